"""Each provider's path with its real client, against a stand-in on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest
from google.adk.models.llm_request import LlmRequest
from pydantic import BaseModel, ConfigDict

from agentflow.runtime import models
from agentflow.runtime.answers import Usage, usage
from agentflow.runtime.errors import ModelRefused, ModelUnavailable, NodeError
from agentflow.runtime.graph import Agent, Model, Retry, Tool
from agentflow.runtime.lite import strict
from agentflow.runtime.secrets import Env
from tests import dialects, standin
from tests.runtime.durable import Run, both_ways

KEY = "key-that-nobody-may-see"
QUICK = Retry(attempts=3, initial="1ms", max="2ms")


@dataclass(frozen=True)
class Path:
    """How a model is asked: its name in a graph, the protocol, and where the key goes."""

    model: str
    dialect: dialects.Dialect
    url: str = ""  # what is added to the stand-in's address
    key: str = KEY

    def at(self, host: standin.Standin, **more: Any) -> Model:
        given: dict[str, Any] = {"retry": QUICK, "api_key": Env("SOME_MODEL"), **more}
        return Model("m", self.model, base_url=host.url + self.url, **given)


PATHS = {
    "gemini": Path("gemini-x", dialects.Gemini()),
    "claude": Path("claude-x", dialects.Claude(), key=f"Bearer {KEY}"),
    "bare": Path("qwen3", dialects.OpenAI(), "/v1", f"Bearer {KEY}"),
    "litellm": Path("mistral/mistral-small-latest", dialects.OpenAI(), "/v1", f"Bearer {KEY}"),
}


@pytest.fixture(params=PATHS)
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    return PATHS[request.param]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("GEMINI_", "GOOGLE_", "ANTHROPIC_", "OPENAI_", "MISTRAL_")):
            monkeypatch.delenv(name)
    monkeypatch.delenv("AGENTFLOW_OFFLINE", raising=False)
    monkeypatch.setenv("SOME_MODEL", KEY)


def add(a: int, b: int = 2) -> dict[str, int]:
    """Adds two numbers."""
    return {"sum": a + b}


def now() -> str:
    """Tells the time."""
    return "noon"


def agent(model: Model, **more: Any) -> Agent:
    return Agent("clerk", model, "You are a clerk.", **more)


async def test_tools_are_called_and_their_results_go_back_under_their_ids(path: Path) -> None:
    asked, done = path.dialect.call(("add", {"a": 1}), ("now", {})), path.dialect.say("done")
    with standin.standin(asked, done, asked, done) as host:
        clerk = agent(path.at(host), tools=[Tool("add", add), Tool("now", now)])
        run = await both_ways(lambda: Run([clerk]), clerk)
    assert run.scope["answer"] == "done" and run.batches == [["add#2", "now#3"]]
    assert len(host.requests) == 4 and host.keys == [path.key] * 4
    again = host.requests[1]
    results = path.dialect.results(again)
    assert [identity for identity, _ in results] == path.dialect.asked(again)
    assert "3" in results[0][1] and "noon" in results[1][1]
    journaled: Any = run.journal[0][1]
    assert usage(journaled["value"]) == Usage(input=7, output=3)
    assert KEY not in json.dumps(run.journal)


async def test_a_typed_answer_is_asked_for_by_its_schema(path: Path) -> None:
    wrong, right = path.dialect.say({"ok": "perhaps"}), path.dialect.say({"ok": True})
    if isinstance(path.dialect, dialects.Claude):
        wrong, right = path.dialect.typed({"ok": "perhaps"}), path.dialect.typed({"ok": True})
    with standin.standin(wrong, right) as host:
        clerk = agent(path.at(host))
        assert await Run([clerk]).turn(clerk, returns=Verdict) == {"ok": True}
    schema = path.dialect.schema(host.requests[0])
    assert schema["properties"]["ok"]["type"] == "boolean" and schema["required"] == ["ok"]
    assert "does not fit" in json.dumps(host.requests[1])


class Verdict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    ok: bool


async def test_a_typed_answer_that_is_no_object(path: Path) -> None:
    said = path.dialect.say([1, 2])
    if isinstance(path.dialect, dialects.Claude):
        said = path.dialect.typed([1, 2])
    with standin.standin(said) as host:
        clerk = agent(path.at(host))
        assert await Run([clerk]).turn(clerk, returns=list[int]) == [1, 2]
    assert "JSON Schema" in json.dumps(host.requests[0])


@pytest.mark.parametrize("status", [429, 500, 503, 529, 408])
async def test_what_may_pass_is_tried_again(path: Path, status: int) -> None:
    with standin.standin(path.dialect.error(status), path.dialect.error(status), path.dialect.say("done")) as host:
        clerk = agent(path.at(host))
        assert await Run([clerk]).turn(clerk) == "done"
    assert len(host.requests) == 3, "and the client tried nothing by itself"


async def test_a_dropped_connection_may_pass(path: Path) -> None:
    with standin.standin(standin.DROPPED, path.dialect.say("done")) as host:
        clerk = agent(path.at(host))
        assert await Run([clerk]).turn(clerk) == "done"
    assert len(host.requests) == 2


@pytest.mark.parametrize(
    ("status", "words"),
    [(400, "rejected the request"), (401, "refused the key"), (403, "refused"), (404, "not know"), (422, "answered")],
)
async def test_refusals_are_terminal_and_hide_the_key(path: Path, status: int, words: str) -> None:
    with standin.standin(path.dialect.error(status, f"no: {KEY}")) as host:
        run = Run([clerk := agent(path.at(host))])
        with pytest.raises(NodeError, match=f"{path.model}.*{words}.*no: <SOME_MODEL>") as raised:
            await run.turn(clerk)
    assert raised.value.code == status and raised.value.kind == "model" and len(host.requests) == 1
    assert KEY not in str(raised.value) and KEY not in json.dumps(run.journal)


@pytest.mark.parametrize(("given", "least", "most"), [("7", 7, 7), ("Fri, 31 Dec 2100 23:59:59 GMT", 1e9, 1e10)])
async def test_retry_after_is_read(path: Path, given: str, least: float, most: float) -> None:
    with standin.standin(path.dialect.error(429, retry_after=given)) as host, pytest.raises(ModelUnavailable) as raised:
        await models.complete(path.at(host), LlmRequest(contents=[]), "1")
    assert raised.value.code == 429 and raised.value.retry_after is not None
    assert least <= raised.value.retry_after <= most


async def test_nobody_there_is_unavailable(path: Path) -> None:
    model = Model("m", path.model, base_url="http://127.0.0.1:9", retry=Retry(attempts=1), api_key=Env("SOME_MODEL"))
    run = Run([clerk := agent(model)])
    with pytest.raises(NodeError, match=f"{path.model} cannot be reached"):
        await run.turn(clerk)


async def test_a_missing_key_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_MODEL")
    with standin.standin(path.dialect.say("done")) as host:
        run = Run([clerk := agent(path.at(host))])
        with pytest.raises(NodeError, match="no key.*SOME_MODEL is not set") as raised:
            await run.turn(clerk)
    assert raised.value.code == 401 and not host.requests


async def test_the_settings_arrive(path: Path) -> None:
    generate = {"temperature": 0.5, "top_p": 0.9, "max_output_tokens": 77, "stop": ["END"]}
    if not path.model.startswith("claude"):
        generate["seed"] = 3
    with standin.standin(path.dialect.say("done")) as host:
        clerk = agent(path.at(host, generate={"temperature": 0.1, "top_p": 0.9}), generate=generate)
        await Run([clerk]).turn(clerk)
    sent = host.requests[0]
    sent = sent.get("generationConfig", sent)
    flat = {name.lower().replace("_", ""): value for name, value in sent.items()}
    assert flat["temperature"] == 0.5 and flat["topp"] == 0.9
    most = next(flat[name] for name in ("maxoutputtokens", "maxcompletiontokens", "maxtokens") if name in flat)
    assert most == 77
    assert (flat.get("stop") or flat.get("stopsequences")) == ["END"]
    if "seed" in generate:
        assert (flat.get("seed") or flat.get("randomseed")) == 3


async def test_the_providers_own_variable_holds_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, variable in (
        ("gemini", "GOOGLE_API_KEY"),
        ("claude", "ANTHROPIC_API_KEY"),
        ("litellm", "MISTRAL_API_KEY"),
    ):
        path = PATHS[name]
        monkeypatch.setenv(variable, KEY)
        with standin.standin(path.dialect.say("done")) as host:
            clerk = agent(path.at(host, api_key=None))
            assert await Run([clerk]).turn(clerk) == "done"
        assert host.keys == [path.key]


async def test_a_server_of_ones_own_is_not_sent_the_key_of_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    path = PATHS["bare"]
    with standin.standin(path.dialect.say("done")) as host:
        clerk = agent(path.at(host, api_key=None))
        assert await Run([clerk]).turn(clerk) == "done"
    assert (
        host.keys == ["Bearer none"] and host.paths == ["/v1/chat/completions"] and host.requests[0]["model"] == "qwen3"
    )


async def test_a_name_with_slashes_reaches_a_server_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    said = dialects.OpenAI().say("done")
    with standin.standin(said) as host:
        clerk = agent(Model("m", "openai/meta-llama/Llama-3", base_url=f"{host.url}/v1"))
        assert await Run([clerk]).turn(clerk) == "done"
    assert host.requests[0]["model"] == "meta-llama/Llama-3" and host.keys == [f"Bearer {KEY}"]


async def test_a_provider_that_litellm_does_not_know_is_terminal() -> None:
    run = Run([clerk := agent(Model("m", "nobody/at-all"))])
    with pytest.raises(NodeError, match='knows no provider of the model "nobody/at-all"'):
        await run.turn(clerk)


def test_a_key_that_litellm_looks_for_is_named_before_a_run_needs_it() -> None:
    graph = SimpleNamespace(agents={"clerk": agent(Model("m", "mistral/mistral-small-latest"))})
    with pytest.raises(ModelRefused, match="set MISTRAL_API_KEY"):
        models.prepare(cast("Any", graph))


async def test_claude_thinks_as_it_is_told() -> None:
    path = PATHS["claude"]
    for budget, sent in ((2000, {"type": "enabled", "budget_tokens": 2000}), (0, {"type": "disabled"})):
        with standin.standin(path.dialect.say("done")) as host:
            clerk = agent(path.at(host), generate={"thinking_budget": budget, "max_output_tokens": 4000})
            await Run([clerk]).turn(clerk)
        assert host.requests[0]["thinking"] == sent


async def test_a_model_that_is_not_known_to_think_is_not_told_to() -> None:
    path = PATHS["bare"]
    with standin.standin(path.dialect.say("done")) as host:
        run = Run([clerk := agent(path.at(host), generate={"thinking_budget": 2000})])
        with pytest.raises(NodeError, match="leave thinking_budget out"):
            await run.turn(clerk)


async def test_what_openai_thinks_is_counted_once() -> None:
    path = PATHS["bare"]
    with standin.standin(path.dialect.say("done")) as host:
        answer = await models.complete(path.at(host), LlmRequest(contents=[]), "1")
    assert answer["usage_metadata"]["thoughts_token_count"] == 1  # type: ignore[index,call-overload]
    assert usage(answer) == Usage(7, 3)


def test_only_closed_schemas_are_strict() -> None:
    closed: dict[str, Any] = {"type": "object", "additionalProperties": False}
    text = {"type": "string"}
    assert strict({**closed, "properties": {"a": text}, "required": ["a"]})
    assert not strict({**closed, "properties": {"a": text}, "required": []})
    assert not strict({"type": "object", "properties": {"a": text}, "required": ["a"]})
    assert not strict({**closed, "properties": {"a": {}}, "required": ["a"]})
    listed = {"type": "array", "items": {"type": "object"}}
    assert not strict({**closed, "properties": {"a": listed}, "required": ["a"]})


@pytest.mark.parametrize(
    ("model", "package", "extra"), [("claude-x", "anthropic", "claude"), ("a/b", "litellm", "litellm")]
)
def test_a_client_that_is_not_installed_is_named(
    model: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentflow.providers.find_spec", lambda _: None)
    with pytest.raises(ModelRefused, match=rf"needs {package}.*agentflow\[{extra}\]"):
        models.provider(Model("m", model))


def test_litellm_is_told_to_report_to_nobody() -> None:
    """Importing it reads no address but what it must, and writes nothing."""
    script = """
import socket
def refuse(*_, **__): raise AssertionError("somebody is called")
socket.socket.connect = refuse
socket.getaddrinfo = refuse
import agentflow.runtime.lite, litellm
assert litellm.telemetry is False and not litellm.success_callback and not litellm.callbacks
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (told.returncode, told.stdout) == (0, ""), told
