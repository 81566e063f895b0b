"""Agents on different providers in one run: each with its real client, on the real engine."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from harness import TOOLS, Service, until

from agentflow.client import Refused

sys.path.insert(0, str(Path(__file__).parents[1]))

from dialects import Claude, Gemini, OpenAI  # noqa: E402 - found by the line above
from standin import Standin, standin  # noqa: E402

CLAUDE, OPENAI, GEMINI = 23101, 23102, 23103
GRAPHS = [
    f"""agentflow: 1
graph: providers
models:
  claude:
    model: claude-x
    base_url: "http://127.0.0.1:{CLAUDE}"
    api_key: {{env: FIRST_OF_OURS}}
    price: {{input: 1000000, output: 0}}
    retry: {{attempts: 3, initial: 50ms}}
  own:
    model: qwen3
    base_url: "http://127.0.0.1:{OPENAI}/v1"
    api_key: {{env: SECOND_OF_OURS}}
    price: {{input: 0, output: 1000000}}
    retry: {{attempts: 3, initial: 50ms}}
  gemini:
    model: gemini-x
    base_url: "http://127.0.0.1:{GEMINI}"
    api_key: {{env: THIRD_OF_OURS}}
    price: {{input: 0, output: 0}}
limits: {{cost: 1000}}
{TOOLS}
agents:
  one: {{instruction: Work., model: claude, tools: [act]}}
  two: {{instruction: Work., model: own, tools: [act], returns: {{good: boolean}}}}
  three: {{instruction: Work., model: gemini}}
steps:
  first: {{agent: one, prompt: go}}
  second: {{agent: two, prompt: "{{{{ first }}}}"}}
  third: {{agent: three, prompt: "{{{{ second.good }}}}"}}
"""
]
KEYS = {"FIRST_OF_OURS": "secret-one", "SECOND_OF_OURS": "secret-two", "THIRD_OF_OURS": "secret-three"}


def keys(*hosts: Standin) -> list[str]:
    return [str(host.keys[0]) for host in hosts]


def test_a_run_asks_three_providers_and_counts_what_each_costs(service: Service) -> None:
    claude = [Claude().error(529), Claude().call(("act", {"name": "a"})), Claude().say("hello")]
    openai = [
        OpenAI().error(429, retry_after="0.1"),
        OpenAI().call(("act", {"name": "b"}), ("act", {"name": "c"})),
        OpenAI().say({"good": True}),
    ]
    with (
        standin(*claude, port=CLAUDE) as first,
        standin(*openai, port=OPENAI) as second,
        standin(Gemini().say("done"), port=GEMINI) as third,
    ):
        service.restart(AGENTFLOW_OFFLINE="0", **KEYS)
        service.control(act={"b": {"delay": 1.0}})
        run = service.send("providers", "1")
        until(lambda: "b" in service.names("act", event="begin"), 60, "the second agent's tool")
        service.restart(AGENTFLOW_OFFLINE="0", **KEYS)
        assert service.attach(run)["third"] == "done" and service.nothing_twice()
        assert keys(first, second, third) == ["Bearer secret-one", "Bearer secret-two", "secret-three"]
        assert [len(host.requests) for host in (first, second, third)] == [3, 3, 1], "and none was asked again"
    status = service.status("providers", "1")
    assert status["spent"]["cost"] == 2 * 7 + 2 * 3 and status["spent"]["input_tokens"] == 5 * 7
    assert sorted(set(service.names("act"))) == ["a", "b", "c"]
    assert not any(key in told(service, run, status) for key in KEYS.values())


def test_a_refused_key_is_in_no_error_log_or_journal(service: Service) -> None:
    with standin(Claude().error(401, "bad key secret-one"), port=CLAUDE):
        service.restart(AGENTFLOW_OFFLINE="0", **KEYS)
        run = service.send("providers", "2")
        with pytest.raises(Refused) as caught:
            service.attach(run)
    assert (caught.value.status, caught.value.metadata["kind"]) == (401, "model")
    assert caught.value.message == "claude-x refused the key: bad key <FIRST_OF_OURS>"
    assert "secret-one" not in told(service, run, service.status("providers", "2"))


def told(service: Service, run: str, status: dict[str, Any]) -> str:
    """All that is written down of a run: its status, its journal, the service's log."""
    rows = service.engine.admin.query(f"select * from sys_journal where id = '{run}'")
    entries = "".join(str(row) for row in rows)
    assert entries
    return json.dumps(status) + entries + service.log.read_text()
