"""Compiling grows about as a graph does, whatever its shape: counted in calls of functions, not in seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agentflow.driver import compile

HEAD = """\
agentflow: 1
graph: grows
input: {id: string, amount: number, ok: boolean}
tools:
  look: {python: "tools.looking:look", effect: read}
  pay: {python: "tools.looking:look", effect: dangerous}
  write: {python: "tools.looking:look"}
"""
TOOLS = """\
from dataclasses import dataclass


@dataclass
class Found:
    text: str
    found: bool


def look(name: str = "", amount: float = 0) -> Found:
    return Found(name, True)
"""


def each(count: int, line: Callable[[int], str]) -> str:
    return "nodes:\n" + "".join(f" {line(at)}\n" for at in range(count))


def before(at: int, distance: int = 1) -> int:
    return max(at - distance, 0)


def beside_each_other(count: int) -> str:
    outputs = ", ".join(f'a{at}: "{{{{ n{at}.text }}}}"' for at in range(count))
    return each(count, lambda at: f"n{at}: {{tool: look}}") + f"output: {{{outputs}}}\n"


def one_after_another(count: int) -> str:
    return each(count, lambda at: f'n{at}: {{value: "{{{{ n{at - 1} + 1 }}}}"}}' if at else "n0: {value: 1}")


def ten_before_each(count: int) -> str:
    def line(at: int) -> str:
        terms = " + ".join(f"n{other}" for other in range(before(at, 10), at)) or "1"
        return f'n{at}: {{value: "{{{{ {terms} }}}}"}}'

    return each(count, line)


def a_sum(count: int) -> str:
    return f'nodes:\n n: {{value: "{{{{ {" + ".join(["input.amount"] * (count // 4))} }}}}"}}\n'


def conditions_on_conditions(count: int) -> str:
    def line(at: int) -> str:
        if not at:
            return "n0: {tool: look, when: input.ok}"
        return (
            f"n{at}: {{tool: look, when: n{at - 1} and n{at - 1}.found and input.ok,"
            f" with: {{name: \"{{{{ n{before(at, 2)}.text | default('x') }}}}\"}}}}"
        )

    return each(count, line)


def approvals(count: int) -> str:
    def line(at: int) -> str:
        needs = f"p{at - 1}" if at else ""
        return f"a{at}: {{approval: go, approvers: [x], needs: [{needs}]}}\n p{at}: {{tool: pay, needs: [a{at}]}}"

    return each(count // 2, line)


def approvals_that_continue(count: int) -> str:
    return each(
        count // 2,
        lambda at: (
            f"a{at}: {{approval: go, approvers: [x], on_reject: continue, when: input.amount > {at}}}\n"
            f" p{at}: {{tool: pay, when: a{at} is skipped or a{at}.approved}}"
        ),
    )


def failures_as_guards(count: int) -> str:
    return each(
        count // 3,
        lambda at: (
            f"a{at}: {{tool: look, timeout: 1m, on_error: continue}}\n f{at}: {{fail: no, when: not a{at}}}\n"
            f' v{at}: {{value: "{{{{ a{at}.text }}}}", needs: [f{at}]}}'
        ),
    )


def guards_beside_what_they_exclude(count: int) -> str:
    return each(
        count // 2,
        lambda at: (
            f'f{at}: {{fail: no, when: input.id == "{at}"}}\n p{at}: {{tool: write, when: input.id == "other {at}"}}'
        ),
    )


def groups(count: int) -> str:
    return each(count // 3, lambda at: f'g{at}: {{nodes: {{a: {{value: 1}}, b: {{value: "{{{{ a }}}}"}}}}}}')


def cases(count: int) -> str:
    inside = "".join(f"   c{at}: {{value: {at}}}\n" for at in range(count))
    return f"nodes:\n s:\n  switch: input.id\n  cases:\n{inside}  default: {{value: 0}}\n"


def mistakes(count: int) -> str:
    return each(count, lambda at: f'n{at}: {{value: "{{{{ nn{at} }}}}"}}')


SHAPES = [
    beside_each_other,
    one_after_another,
    ten_before_each,
    a_sum,
    conditions_on_conditions,
    approvals,
    approvals_that_continue,
    failures_as_guards,
    guards_beside_what_they_exclude,
    groups,
    cases,
    mistakes,
]


def calls(path: Path) -> int:
    counted = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal counted
        counted += event == "call"

    sys.setprofile(count)
    try:
        result = compile(path)
    finally:
        sys.setprofile(None)
    assert bool(result.program) is not bool(result.diagnostics), result.diagnostics[:3]
    return counted


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_five_times_the_nodes_take_about_five_times_the_work(shape: Callable[[int], str], tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "looking.py").write_text(TOOLS)
    counted = []
    for count in (1, 120, 600):  # the first, for what is imported and kept
        graph = tmp_path / f"graph_{count}.yaml"
        graph.write_text(HEAD + shape(max(count, 12)))
        counted.append(calls(graph))
    assert counted[2] / counted[1] < 10  # 25, if it grew with the square
