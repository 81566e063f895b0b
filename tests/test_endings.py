"""Whether a function may end its call for good: what its source, and what it uses of the project, tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentflow.driver import compile
from agentflow.tools.endings import may_end

HEAD = """\
import httpx
from agentflow import ToolError
from typing import Literal
from tools import others, rates as table
from tools.others import Refused, ask, quiet

class Missing(LookupError): ...
class Known: ...
client = others.Client()
"""
OTHERS = """\
import agentflow
from restate import TerminalError
class Refused(TerminalError): ...
class Client: ...
def ask(name): return check(name)
def check(name):
    if not name:
        raise Refused(name)
def quiet(name): return name
"""
PATIENT = [  # each of its failures is tried again
    "def f(name: str) -> str: return name",
    "async def f(name: str, idempotency_key: str): return await httpx.AsyncClient().get(name)",
    "def f(n: int | None = None): raise Missing(n)",
    "def f(names: list[str], how: Literal['a', 'b']): return [quiet(name) for name in names]",
    "def f(name: str): return table.RATES[name]",
    "def f(name: str):\n  def again(): return f(name)\n  return again()",
]
ENDING = [
    "def f(name: str): raise ToolError(name)",
    "def f(name: str): return ask(name)",
    "def f(name: str): raise Refused(name)",
    "def f(name: str): return others.check(name)",
    "def f(name: str): raise helped(name)\ndef helped(name): return ToolError(name)",
    "def f(name: str):\n  from restate import TerminalError as End\n  raise End(name)",
    "def f(name: str):\n  from .others import ask as say\n  return say(name)",
    "def f(name: str): return getattr(others, name)()",
    "def f(known: Known): return known",  # refuses what is not one
    "f = ask",
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "others.py").write_text(OTHERS)
    (folder / "rates.py").write_text("RATES = {'EUR': 1.0}\n")
    return tmp_path


def said(project: Path, function: str) -> bool:
    (project / "tools" / "mine.py").write_text(f"{HEAD}{function}\n")
    return may_end("tools.mine", "f", project)


@pytest.mark.parametrize("function", PATIENT)
def test_what_raises_neither_of_the_two_is_tried_again(project: Path, function: str) -> None:
    assert not said(project, function)


@pytest.mark.parametrize("function", ENDING)
def test_what_may_raise_one_of_the_two_may_end(project: Path, function: str) -> None:
    assert said(project, function)


NODES = """\
agentflow: 1
graph: g
input: {name: string, any: any}
tools:
  patient: {python: "tools.mine:f", effect: read}
  ending: {python: "tools.others:ask", effect: read}
  dates: {command: [date], effect: read}
  dated: {command: [date], effect: read, returns: {at: string}}
  asked: {http: "GET https://example.com/a", effect: read}
  sure: {python: "tools.mine:f", effect: read, confirm: {message: "Sure?", approvers: [a]}}
nodes:
  n: """
WARNED = [
    '{tool: patient, with: {name: "{{ input.name }}"}, on_error: continue}',
    "{tool: dates, on_error: continue}",
    "{switch: input.name, cases: {a: {tool: dates}}, default: {tool: patient, with: {name: b}}, on_error: continue}",
    "{steps: {a: {tool: dates}, b: {value: '{{ a }}'}}, on_error: {use: {a: x, b: y}}}",
]
SILENT = [
    "{tool: patient, with: {name: a}, retry: {attempts: 2}, on_error: continue}",
    "{tool: patient, with: {name: a}, retry: {within: 1m}, on_error: continue}",
    "{tool: patient, with: {name: a}, timeout: 1m, on_error: continue}",
    '{tool: patient, with: {name: "{{ input.any }}"}, on_error: continue}',
    '{tool: patient, with: {name: "{{ input.any.name }}"}, on_error: continue}',
    '{tool: patient, with: {name: "a{{ 7 // (input.name | length) }}"}, on_error: continue}',
    "{tool: ending, with: {name: a}, on_error: continue}",
    "{tool: dated, on_error: continue}",
    "{tool: asked, on_error: continue}",
    "{tool: sure, with: {name: a}, on_error: continue}",
    "{steps: {a: {tool: dates}, b: {tool: asked}}, on_error: continue}",
    "{steps: {a: {tool: dates}, b: {fail: no, when: input.name == 'x'}}, on_error: continue}",
    "{value: 1, on_error: continue}",
]


@pytest.mark.parametrize("node", [*WARNED, *SILENT])
def test_on_error_is_reached_where_something_may_end(project: Path, node: str) -> None:
    (project / "tools" / "mine.py").write_text("def f(name: str) -> str: return name\n")
    graph = project / "g.yaml"
    graph.write_text(NODES + node + "\n")
    found = [d.code for d in compile(graph).diagnostics]
    assert found == (["unreachable-on-error"] if node in WARNED else [])
