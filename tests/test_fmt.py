"""`agentflow fmt`: what it moves, what it keeps, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentflow import arrangement
from agentflow.cli import main
from agentflow.formatting import Left, formatted
from agentflow.nodes.registry import KINDS, VERBS
from agentflow.source import read
from agentflow.spec.agents import AGENT_KEYS
from agentflow.spec.graph import KEYS
from agentflow.spec.nodes import COMMON
from agentflow.spec.tools import COMMON as TOOL_COMMON
from agentflow.spec.types import FIELD_KEYS
from agentflow.tools.registry import KINDS as TOOL_KINDS

ROOT = Path(__file__).parents[1]
GRAPHS = [path for path in sorted(ROOT.glob("graphs/*.yaml")) if path.name.count(".") == 1]
READABLE = [
    path
    for path in sorted([*ROOT.glob("tests/golden/*/*.yaml"), *ROOT.glob("tests/errors/*.yaml")])
    if not read(path)[1]
]


def test_every_key_of_the_language_has_its_place() -> None:
    assert set(KEYS) == set(arrangement.GRAPH)
    assert set(VERBS) <= arrangement.VERBS
    of_nodes = {key for kind in KINDS.values() for key in kind.keys}
    assert of_nodes | set(COMMON) | {"retry"} <= {*arrangement.NODE, *arrangement.VERBS}
    assert set(AGENT_KEYS) == set(arrangement.AGENT)
    assert set(FIELD_KEYS) == set(arrangement.FIELD)
    of_tools = {key for kind in TOOL_KINDS.values() for key in kind.keys}
    assert of_tools | set(TOOL_KINDS) | set(TOOL_COMMON) <= set(arrangement.TOOL)


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_the_examples_are_in_order(path: Path) -> None:
    text = path.read_text()
    assert formatted(text) == text


@pytest.mark.parametrize("path", READABLE, ids=lambda path: path.stem)
def test_any_file_that_can_be_read_is_put_in_order_once(path: Path) -> None:
    source, _ = read(path)
    assert source is not None
    once = formatted(source.text)
    assert formatted(once) == once


MESSY = """\
# About the graph.
# More about it.

graph: messy   # its name
agentflow: 1

nodes:

  # What comes first.
  first:
    when: input.a > 1   # not always
    # what it is told
    prompt: |
      # no comment
        deep

      last
    agent: writer
    # goes with needs
    needs: []
  second: {with: {b: 1, a: 2}, needs: [first], tool: act}   # flow
  gate:
    escalate:
      - timeout: 1h
        to: [b]
      # a second one
      -
        timeout: 2h
        to: [c]
    approvers: [a]
    approval: "Well? # no comment"
    timeout: 1h
# About the input.
input:
  b: string
  a: {maximum: 5, type: number}

tools:
  act: {effect: read, python: "tools.desk:act"}
# The end.
"""
TIDY = """\
# About the graph.
# More about it.

agentflow: 1
graph: messy   # its name
# About the input.
input:
  b: string
  a: {type: number, maximum: 5}

tools:
  act: {python: "tools.desk:act", effect: read}

nodes:

  # What comes first.
  first:
    agent: writer
    # what it is told
    prompt: |
      # no comment
        deep

      last
    # goes with needs
    needs: []
    when: input.a > 1   # not always
  second: {tool: act, with: {b: 1, a: 2}, needs: [first]}   # flow
  gate:
    approval: "Well? # no comment"
    approvers: [a]
    timeout: 1h
    escalate:
      - to: [b]
        timeout: 1h
      # a second one
      -
        to: [c]
        timeout: 2h
# The end.
"""


def test_keys_move_with_what_belongs_to_them() -> None:
    assert formatted(MESSY) == TIDY
    assert formatted(TIDY) == TIDY


def test_windows_line_ends_stay() -> None:
    assert formatted(MESSY.replace("\n", "\r\n")) == TIDY.replace("\n", "\r\n")


def test_a_missing_end_of_the_last_line_is_added() -> None:
    assert formatted("graph: a\nagentflow: 1") == "agentflow: 1\ngraph: a\n"


@pytest.mark.parametrize(
    "text",
    [
        "nodes: {a: {with: {},  # about with\n  tool: x}}\n",  # a comment within braces
        "nodes:\n  a:\n    escalate:\n      - timeout: 1h\n        # above\n        to: [b]\n    approval: Yes?\n",
    ],
    ids=["braces", "dash"],
)
def test_where_a_comment_would_lose_its_place_nothing_moves(text: str) -> None:
    assert "# ab" in formatted(text)
    assert formatted(formatted(text)) == formatted(text)


def test_a_file_in_which_an_order_matters_is_left_alone() -> None:
    with pytest.raises(Left):
        formatted("nodes: &n {a: {fail: x}}\nsteps: *n\ninput: {a: &t string, b: *t}\nagentflow: 1\n")


def test_the_command_writes_what_is_not_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "messy.yaml"
    file.write_text("\ufeff" + MESSY, encoding="utf-8")
    file.chmod(0o640)
    other = tmp_path / "messy.replies.yaml"
    other.write_text("b: 1\na: 2\n")
    arguments = [str(file), str(other)]
    assert main(["fmt", "--check", *arguments]) == 1
    assert file.read_text(encoding="utf-8") == "\ufeff" + MESSY
    assert main(["fmt", *arguments]) == 0
    assert capsys.readouterr().out == f"{file}\n{file}\n"
    assert file.read_text(encoding="utf-8") == "\ufeff" + TIDY
    assert file.stat().st_mode & 0o777 == 0o640
    assert main(["fmt", "--check", *arguments]) == 0
    assert other.read_text() == "b: 1\na: 2\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["messy.replies.yaml", "messy.yaml"]


def test_the_command_says_what_keeps_a_file_from_being_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text("graph: a\ngraph: b\n")
    assert main(["fmt", str(file)]) == 1
    assert "duplicate-key" in capsys.readouterr().err
    assert file.read_text() == "graph: a\ngraph: b\n"
