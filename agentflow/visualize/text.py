"""A program as a tree for the terminal, in the order in which it runs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from agentflow.ir import Agent, Block, Choice, Each, Fan, Group, Loop, Node, Program, Run
from agentflow.types import Object
from agentflow.visualize import order
from agentflow.visualize.facts import Fact, Names, abilities, facts, place_of, undone
from agentflow.visualize.words import (
    arguments,
    duration,
    fields,
    literal,
    one_line,
    shorten,
    timetable,
    type_name,
    visible,
    without_braces,
)

_UNICODE: Final = ("├─ ", "└─ ", "│  ", "·", "…")
_ASCII: Final = ("|- ", "`- ", "|  ", "-", "...")
_COLORS: Final = {"name": "1", "kind": "36", "quiet": "2", "danger": "31", "undo": "35", "error": "31", "when": "33"}
_LONG: Final = 200  # the most that is said of a text


@dataclass(frozen=True)
class Style:
    """How a tree is printed: `width` in columns, `unicode` where the encoding can, `color` on a terminal."""

    width: int = 100
    unicode: bool = True
    color: bool = False

    def paint(self, role: str, text: str) -> str:
        code = _COLORS.get(role)
        return f"\x1b[{code}m{text}\x1b[0m" if self.color and code and text else text


@dataclass(frozen=True)
class _Item:
    """A branch of the tree: its first line, what is said below it, its own branches."""

    head: tuple[tuple[str, str], ...]  # role, text
    notes: tuple[tuple[str, str], ...] = ()
    items: tuple[_Item, ...] = ()


def text(program: Program, style: Style | None = None) -> str:
    style = style or Style()
    names = Names(program)
    lines = list(_top(program, style))
    after = _block(program.after.body, names) if program.after is not None else ()
    sections = [("nodes", _block(program.body, names)), ("finally", after), *_declared(program, names)]
    for title, items in sections:
        if items:
            lines += ["", style.paint("quiet", title), *_tree(items, style, "")]
    output = program.body.output
    value = without_braces(arguments(output.data)) if output is not None else type_name(program.output)
    lines += ["", *_wrapped([("quiet", "output"), ("", value)], style, "", "  ")]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _top(program: Program, style: Style) -> Iterator[str]:
    mark = (_UNICODE if style.unicode else _ASCII)[3]
    yield style.paint("name", visible(program.name)) + f" {mark} {program.kind} {mark} {visible(program.source)}"
    if program.description:
        yield from _wrapped([("", one_line(program.description))], style, "", "")
    if not isinstance(program.input, Object) or program.input.fields:
        given = fields(program.input) if isinstance(program.input, Object) else type_name(program.input)
        yield from _wrapped([("quiet", "input"), ("", given)], style, "", "  ")
    if program.schedule is not None:
        given = arguments(program.schedule.input) if program.schedule.input else ""
        said = [timetable(program.schedule), *([f"with {given}"] if given else [])]
        yield from _wrapped([("quiet", "starts"), ("", ", ".join(said))], style, "", "  ")
    said = [_limit(name, value) for name, value in vars(program.limits).items() if value is not None]
    if said:
        yield from _wrapped([("quiet", "limits"), ("", ", ".join(said))], style, "", "  ")


def _limit(name: str, value: float) -> str:
    match name:
        case "time":
            return f"time {duration(int(value))}"
        case "cost" | "fan_out":
            return f"{name.replace('_', '-')} {value}"
        case _:
            return f"{value} {name.replace('_', ' ')}"


# ---------------------------------------------------------------- nodes


def _block(block: Block, names: Names) -> tuple[_Item, ...]:
    """In an order in which they can run, else the file's."""
    edges = order.edges_of(block)
    places = order.topological(len(block.nodes), edges)
    after = [
        [block.nodes[source].name for source, target in edges if target == place] for place in range(len(block.nodes))
    ]
    return tuple(_node(block.nodes[place], names, after[place]) for place in places)


def _node(node: Node, names: Names, after: Sequence[str] = (), label: str = "") -> _Item:
    known = facts(node, names)
    head = [("name", f"{label}:")] if label else []
    if node.name not in (label, "on_error", "default", "do"):
        head.append(("name", visible(node.name)))
    head.append(("kind", visible(node.kind)))
    head += [(fact.role, fact.text) for fact in known if fact.role in ("does", "danger")]
    if after:
        head.append(("quiet", f"after {visible(', '.join(after))}"))
    items = _inside(node, names)
    if isinstance(node.on_error, Run):
        items = (*items, _node(node.on_error.node, names, label="on error"))
    return _Item(tuple(head), tuple(_notes(known)), items)


def _notes(known: Sequence[Fact]) -> Iterator[tuple[str, str]]:
    """What it says and when, a line each; who is asked on one line, and the short rest on another."""
    said = [fact for fact in known if fact.role in ("about", "says") and fact.label not in ("prompt", "with", "form")]
    for fact in said:
        yield ("quiet" if fact.role == "about" else ""), shorten(str(fact), _LONG)
    yield from (("when", str(fact)) for fact in known if fact.role == "when")
    asked = [fact for fact in known if fact.role == "asks" or fact.label in ("no answer:", "if rejected:")]
    rest = [fact for fact in known if fact.role in ("has", "limit", "error", "undo") and fact not in asked]
    for group in (asked, [fact for fact in rest if not fact.in_title]):
        if group:
            yield "", "; ".join(shorten(str(fact), _LONG) for fact in group)


def _inside(node: Node, names: Names) -> tuple[_Item, ...]:
    match node.op:
        case Group(body) | Loop(body):
            return _block(body, names)
        case Each(node=each):
            return (_node(each, names),)
        case Fan(branches):
            return tuple(_node(branch, names) for branch in branches)
        case Choice(_, cases, default):
            chosen = [_node(case.node, names, label=literal(case.value)) for case in cases]
            return (*chosen, *([_node(default, names, label="else")] if default is not None else []))
        case _:
            return ()


# ---------------------------------------------------------------- declarations


def _declared(program: Program, names: Names) -> Iterator[tuple[str, tuple[_Item, ...]]]:
    yield "agents", tuple(_agent(agent, names) for agent in program.agents)
    tools = []
    for tool in program.tools:
        role = "danger" if tool.effect == "dangerous" else ""
        undo = [("undo", f"undone by {visible(tool.undo.tool)}")] if tool.undo is not None else []
        place = visible(place_of(tool))
        tools.append(_Item((("name", visible(tool.name)), (role, tool.effect), ("quiet", place), *undo)))
    yield "tools", tuple(tools)


def _agent(agent: Agent, names: Names) -> _Item:
    said = [("", str(fact)) for fact in (*abilities(agent), *undone(agent, names))]
    returns = [("", f"returns {type_name(agent.returns)}")] if agent.returns is not None else []
    about = [("", shorten(agent.description, _LONG))] if agent.description else []
    return _Item((("name", visible(agent.name)), ("quiet", names.model(agent.model))), (*about, *said, *returns))


# ---------------------------------------------------------------- lines


def _tree(items: Sequence[_Item], style: Style, indent: str) -> Iterator[str]:
    fork, last, trunk, *_ = _UNICODE if style.unicode else _ASCII
    for place, item in enumerate(items):
        at_end = place == len(items) - 1
        below = indent + ("   " if at_end else trunk)
        stem = below + (trunk if item.items else "   ")
        yield from _wrapped(item.head, style, indent + (last if at_end else fork), stem + "   ")
        for role, note in item.notes:
            yield from _wrapped([(role, note)], style, stem, stem + "  ")
        yield from _tree(item.items, style, below)


def _wrapped(parts: Sequence[tuple[str, str]], style: Style, first: str, rest: str) -> Iterator[str]:
    """Parts side by side, two spaces between, broken at the width; colours are put on after breaking."""
    ellipsis = (_UNICODE if style.unicode else _ASCII)[4]
    plain = "  ".join(text for _, text in parts).replace("…", ellipsis)
    room = max(style.width - max(len(first), len(rest)), 24)
    lines = textwrap.wrap(plain, room, break_on_hyphens=False) or [""]
    for number, line in enumerate(lines):
        yield (rest if number else first) + (_painted(line, parts, style, number == 0))


def _painted(line: str, parts: Sequence[tuple[str, str]], style: Style, is_first: bool) -> str:
    if not style.color:
        return line
    if len(parts) == 1:
        return style.paint(parts[0][0], line)
    at, painted = 0, ""
    for role, text in parts if is_first else ():
        if not text or not line.startswith(text, at):
            break
        painted += style.paint(role, text)
        at += len(text)
        gap = len(line[at:]) - len(line[at:].lstrip())
        painted, at = painted + line[at : at + gap], at + gap
    return painted + line[at:]
