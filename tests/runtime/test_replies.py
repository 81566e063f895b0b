"""Offline replies: the conversation and the try choose, and what is wrong in the file is said with its place."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from agentflow.runtime.errors import ModelRefused, ModelUnavailable, NodeError
from agentflow.runtime.graph import Agent, Graph
from agentflow.runtime.replies import Replies, replies_for
from tests.runtime.durable import MODEL, Run, replies

CLERK = Agent("clerk", MODEL, "You.")


async def text(source: Replies, turn: int = 0, attempt: int = 1, prompt: str = "hello") -> Any:
    answer: Any = await source.answer(["clerk"], prompt=prompt, turn=turn, attempt=attempt, ids="1")
    part = answer["content"]["parts"][0]
    return part.get("text") or part["function_call"]


async def test_the_turn_chooses_and_the_last_one_repeats(tmp_path: Path) -> None:
    said = replies(tmp_path, "clerk: [{say: a}, {say: b}]")
    assert [await text(said, turn) for turn in range(4)] == ["a", "b", "b", "b"]


async def test_conditions_see_prompt_and_turn(tmp_path: Path) -> None:
    said = replies(
        tmp_path,
        """
        clerk:
          - {if: "'over 5000' in prompt", say: much}
          - {if: turn == 1, say: second}
          - say: little
        """,
    )
    assert await text(said, prompt="over 5000 it is") == "much"
    assert await text(said) == "little"
    assert await text(said, turn=1) == "little"  # of `second` and `little`, the one at turn 1


async def test_errors_with_times_are_counted_by_the_try(tmp_path: Path) -> None:
    said = replies(tmp_path, "clerk: [{say: a}, {error: 503, times: 2}, {error: 429, times: 1}, {say: b}]")
    assert await text(said, 0, 1) == "a"
    for attempt, code in ((1, 503), (2, 503), (3, 429)):
        with pytest.raises(ModelUnavailable) as raised:
            await text(said, 1, attempt)
        assert raised.value.code == code
    assert await text(said, 1, 4) == "b"
    assert await text(said, 2, 1) == "b"


async def test_an_error_without_times_is_always(tmp_path: Path) -> None:
    said = replies(tmp_path, "clerk: [{error: 401}]")
    for attempt in (1, 9):
        with pytest.raises(ModelRefused, match=r"g.replies.yaml:1 \(clerk\[0\]\)") as raised:
            await text(said, 0, attempt)
        assert raised.value.code == 401


async def test_errors_and_nothing_else_end_in_a_clear_error(tmp_path: Path) -> None:
    said = replies(tmp_path, "clerk: [{error: 503, times: 1}]")
    with pytest.raises(ModelRefused, match="no reply"):
        await text(said, 0, 2)


async def test_a_delay_delays(tmp_path: Path) -> None:
    began = time.monotonic()
    assert await text(replies(tmp_path, "clerk: [{delay: 100ms, say: a}]")) == "a"
    assert time.monotonic() - began >= 0.1


async def test_values_are_said_as_json_and_yaml_is_1_2(tmp_path: Path) -> None:
    said = replies(tmp_path, "clerk: [{say: {amount: 5000, on: yes}}, {say: 010}, {say: false}]")
    assert [await text(said, turn) for turn in range(3)] == ['{"amount": 5000, "on": "yes"}', "010", "false"]


async def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    said = replies(tmp_path, "clerk: [{say: a}]")
    assert await text(said) == "a"
    replies(tmp_path, "clerk: [{say: other}]")
    os.utime(said.path, ns=(1, 1))
    assert await text(said) == "other"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("clerk: {say: a}", r"g.replies.yaml:1 \(clerk\): expected a list"),
        ("clerk:\n  - say: a\n  - sya: b", r"g.replies.yaml:3 \(clerk\[1\].sya\): unknown key \"sya\""),
        ("clerk:\n  - {say: a, call: {tool: b}}", "exactly one of .* found say and call"),
        ("clerk:\n  - {delay: 5}", "found none"),
        ("clerk:\n  - {say: a, delay: 5}", r"\(clerk\[0\].delay\): expected a duration"),
        ("clerk:\n  - {error: 200}", "400 to 599"),
        ("clerk:\n  - {error: 503, times: 0}", "1 to 1000"),
        ("clerk:\n  - {say: a, times: 2}", "times belongs to error"),
        ("clerk:\n  - {call: {with: {}}}", "expected {tool, with}"),
        ("clerk:\n  - {call: {tool: a, with: [1]}}", "expected a mapping of arguments"),
        ("clerk:\n  - {calls: []}", "expected a list of {tool, with}"),
        ("clerk:\n  - {handoff: [a]}", "expected the name of an agent"),
        ("clerk:\n  - {if: 5, say: a}", "expected an expression"),
        ("clerk:\n  - {if: 'turn +', say: a}", r"\(clerk\[0\]\): if: "),
        ("clerk: []", "expected a list"),
        ("- a", "g.replies.yaml:1: expected a mapping"),
        ("clerk: [", "g.replies.yaml:1"),
        ("clerk: [{say: a}]\nclerk: [{say: b}]", "g.replies.yaml:2: the key"),
        ("[" * 100_000, "levels deep"),
        ("other: [{say: a}]", 'no replies for "answer" or "clerk"'),
        ("", 'no replies for "answer" or "clerk"'),
    ],
)
async def test_what_is_wrong_is_terminal_and_says_where(tmp_path: Path, content: str, message: str) -> None:
    run = Run([CLERK], replies(tmp_path, content))
    with pytest.raises(NodeError, match=message) as raised:
        await run.turn(CLERK)
    assert raised.value.kind == "model" and len(run.journal) == 1


async def test_no_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="there is no x.replies.yaml"):
        await Run([CLERK], Replies(tmp_path / "x.replies.yaml")).turn(CLERK)


def test_replies_count_only_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = Graph("claim", "workflow", "r", "claim.yaml", None)
    monkeypatch.delenv("AGENTFLOW_OFFLINE", raising=False)
    assert replies_for(graph) is None
    monkeypatch.setenv("AGENTFLOW_OFFLINE", "1")
    monkeypatch.setenv("AGENTFLOW_REPLIES_CLAIM", "/x/y.yaml")
    assert replies_for(graph) == Replies(Path("/x/y.yaml"))


def test_replies_do_not_import_adk() -> None:
    code = "import sys, agentflow.runtime.replies; sys.exit('google.adk' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
