"""`agentflow diff`: what a change of a graph breaks, and for whom."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from agentflow.cli import main

Diff = Callable[[str, str], tuple[int, list[str]]]
GRAPH = """agentflow: 1
graph: order
input: {id: string, amount: integer, kind: {type: a | b | c, default: a}}
types: {Paid: {by: string, sum: number}}
models: {default: gemini-2.5-flash}
agents: {clerk: {instruction: Help., returns: {ok: boolean, note: string | null}}}
nodes:
  look: {agent: clerk, prompt: "{{ input.id }}"}
  paid: {event: paid, returns: Paid}
output: {ok: "{{ look.ok }}", by: "{{ paid.by }}"}
"""
OBJECT = """agentflow: 1
graph: friend
kind: object
models: {default: gemini-2.5-flash}
state: {name: string, visits: {type: integer, default: 0}}
session: {keep: 20}
agents: {friend: {instruction: "Hello {{ state.name | default('') }} {{ state.visits }}."}}
"""


@pytest.fixture
def diff(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Diff:
    def compared(old: str, new: str) -> tuple[int, list[str]]:
        files = [tmp_path / "old.yaml", tmp_path / "new.yaml"]
        for file, text in zip(files, (old, new), strict=True):
            file.write_text(text)
        capsys.readouterr()
        code = main(["diff", *map(str, files)])
        printed = capsys.readouterr()
        assert not printed.err, printed.err
        return code, [line.strip() for line in printed.out.splitlines()]

    return compared


def test_what_nobody_relies_on_may_change(diff: Diff) -> None:
    assert diff(GRAPH, GRAPH.replace("Help.", "Help a lot.")) == (0, ["nothing changed for anybody who relies on it"])


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("amount: integer", "amount: integer, iban: string", "input.iban is required now"),
        ("id: string, amount", "id: string, much", "input.amount is refused now: there is no such field any more"),
        ("amount: integer", "amount: string", "input.amount was a whole number, and is text now"),
        ("a | b | c", "a | b", "input.kind was one of a, b, c, and is one of a, b now"),
        ("amount: integer", "amount: {type: integer, minimum: 3}", "input.amount must be at least 3 now"),
        (', by: "{{ paid.by }}"', "", "output.by is no longer there"),
        ('ok: "{{ look.ok }}"', 'ok: "{{ look.note }}"', "output.ok was true or false, and is text or null now"),
        ('ok: "{{ look.ok }}"', 'ok: "{{ look.ok if input.amount > 3 else none }}"', "output.ok may be null now"),
        ("graph: order", "graph: orders", "the graph is called orders now: order is another service"),
        ("event: paid", "event: payment", "messages called paid are refused: a run that waits for one never gets it"),
        (
            "sum: number",
            "sum: number, when: string",
            "the message paid.when is required now: runs that wait for it get none of the old form",
        ),
    ],
)
def test_what_breaks_somebody_is_told(diff: Diff, before: str, after: str, told: str) -> None:
    assert before in GRAPH
    code, lines = diff(GRAPH, GRAPH.replace(before, after))
    assert code == 1 and f"breaks   {told}" in lines, lines


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("amount: integer", "amount: number", None),
        ("amount: integer", "amount: integer, note: {type: string, optional: true}", "input.note may be given now"),
        ('ok: "{{ look.ok }}"', 'ok: "{{ look.ok }}", more: 1', "output.more is new"),
        ("a | b | c", "a | b | c | d", None),
    ],
)
def test_what_breaks_nobody_is_told_too(diff: Diff, before: str, after: str, told: str | None) -> None:
    code, lines = diff(GRAPH, GRAPH.replace(before, after))
    assert code == 0
    assert (f"changes  {told}" in lines) if told else lines == ["nothing changed for anybody who relies on it"]


def test_another_kind_breaks_callers(diff: Diff) -> None:
    plain = GRAPH.replace("  paid: {event: paid, returns: Paid}\n", "").replace(', by: "{{ paid.by }}"', "")
    code, lines = diff(plain, plain.replace("graph: order\n", "graph: order\nkind: service\n"))
    assert code == 1 and "breaks   it is of the kind service now, and was a workflow: keys differ" in lines
    assert "breaks   the handler status is no longer there" in lines


def test_state_that_outlives_a_revision(diff: Diff) -> None:
    code, lines = diff(OBJECT, OBJECT.replace("type: integer, default: 0", "type: string, default: none"))
    assert code == 1
    assert "breaks   state.visits was a whole number, and is text now: what is kept may not fit" in lines
    code, lines = diff(OBJECT, OBJECT.replace("keep: 20", "keep: 30"))
    assert (code, lines[1]) == (0, "changes  the session keeps 30 messages now, and kept 20 messages")
    less = OBJECT.replace(", visits: {type: integer, default: 0}", "").replace(" {{ state.visits }}", "")
    code, lines = diff(OBJECT, less)
    assert code == 0 and "changes  state.visits is no longer read; what is kept under it stays" in lines


def test_what_people_are_asked(diff: Diff) -> None:
    nodes = "nodes:\n  ok: {approval: Pay?, approvers: [claims], form: {limit: number}}\noutput: done\n"
    asked = "agentflow: 1\ngraph: pay\n" + nodes
    code, lines = diff(asked, asked.replace("limit: number", "limit: number, why: string"))
    assert (code, lines[1:]) == (1, ["breaks   the form of ok.why is required now"])
    code, lines = diff(asked, asked.replace("limit: number", "limit: number | null"))
    assert code == 0
    code, lines = diff(asked, asked.replace("  ok:", "  fine:"))
    assert (code, lines[1:]) == (0, ["changes  ok is not asked any more", "changes  fine is asked now"])


def test_what_stands_in_for_what_is_not_given(diff: Diff) -> None:
    code, lines = diff(GRAPH, GRAPH.replace("default: a", "default: b"))
    assert (code, lines[1:]) == (0, ['changes  input.kind is "b" where it is not given, and was "a"'])
    other = OBJECT.replace("default: 0}", "default: 1}, more: string").replace("session", "on_busy: interrupt\nsession")
    code, lines = diff(OBJECT, other)
    assert (code, [line for line in lines if line.startswith("changes")]) == (
        0,
        [
            "changes  a message that comes during a turn stops the turn in progress now",
            "changes  state.visits is 1 before it is first set, and was 0",
            "changes  state.more is new, and not set where something is kept",
        ],
    )


def test_a_schedule_is_told(diff: Diff) -> None:
    timed = "agentflow: 1\ngraph: clock\nschedule: {every: 1h}\nnodes: {one: {value: 1}}\n"
    code, lines = diff(timed, timed.replace("schedule: {every: 1h}\n", ""))
    assert (code, lines[1]) == (0, "changes  it has no schedule any more: nothing starts by itself")


def test_json_and_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text(GRAPH)
    new.write_text(GRAPH.replace("amount: integer", "amount: string"))
    assert main(["diff", str(old), str(new), "--format", "json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told == [{"about": "callers", "breaks": True, "text": "input.amount was a whole number, and is text now"}]
    assert main(["diff", str(old)]) == 2
    new.write_text("graph: x\n")
    assert main(["diff", str(old), str(new)]) == 1
    assert "missing-key" in capsys.readouterr().err
