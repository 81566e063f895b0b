"""What nodes and tools that ask people share: whom to ask, how they are told, and what follows when nobody answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from agentflow import ir
from agentflow.diagnostics import Diagnostic, Path
from agentflow.nodes import arguments
from agentflow.nodes.kind import Template
from agentflow.spec.model import GraphSpec
from agentflow.spec.names import is_broken
from agentflow.spec.reader import Reader
from agentflow.types import STRING, Json, Type

NOTIFY: dict[str, Type] = {"approver": STRING, "link": STRING, "message": STRING}


@dataclass(frozen=True)
class EscalationSpec:
    to: Json
    timeout: int  # ms

    def lower(self) -> ir.Escalation:
        return ir.Escalation(ir.Value(self.to), self.timeout)


@dataclass(frozen=True)
class NotifySpec:
    tool: str
    args: Mapping[str, Json]

    def lower(self) -> ir.Notify:
        return ir.Notify(self.tool, ir.Value(dict(self.args)))


def read_people(reader: Reader, key: str) -> Json:
    """A list of names or templates; a lone template that yields the list."""
    value = reader.take(key)
    if isinstance(value, str) and value.strip().startswith("{{") and value.strip().endswith("}}"):
        return value
    if isinstance(value, list) and value and all(isinstance(name, str) and name.strip() for name in value):
        return value
    help = f"write [{value}]" if isinstance(value, str) and value.isidentifier() else None
    reader.reading.wrong(reader.at(key), "a list of names", value, help)
    return []


def read_on_timeout(reader: Reader, choices: Sequence[str], beside: Sequence[str] = ()) -> str | None:
    """What follows the time-out: required where there is one. `beside`: keys that mean nothing without one."""
    found = reader.choice("on_timeout", choices)
    if reader.has("timeout") and not reader.has("on_timeout"):
        message = f"{reader.what} has a timeout, and does not say what follows it"
        listed = ", ".join(choices[:-1]) + f" or {choices[-1]}"
        reader.error("missing-on-timeout", message, reader.at("timeout"), key=True, help=f"add on_timeout: {listed}")
    for key in ("on_timeout", *beside):
        if reader.has(key) and not reader.has("timeout"):
            message = f'"{key}" has no meaning without "timeout"'
            reader.error("misplaced-key", message, reader.at(key), key=True, help="add a timeout: 24h")
    return found


def read_escalation(reader: Reader) -> Iterator[EscalationSpec]:
    steps = reader.take("escalate")
    if not reader.has("escalate"):
        return
    if not isinstance(steps, list) or not steps:
        reader.reading.wrong(reader.at("escalate"), "a list of steps: {to: [names], timeout: 4h}", steps)
        return
    for index, data in enumerate(steps):
        step = reader.reading.reader(reader.at("escalate", index), data, "the escalation")
        if step is None:
            continue
        to = read_people(step, "to") if step.require("to") else []
        timeout = step.duration("timeout") if step.require("timeout") else None
        step.finish()
        yield EscalationSpec(to, timeout or 0)


def read_notify(reader: Reader) -> NotifySpec | None:
    inner = reader.mapping("notify")
    if inner is None:
        return None
    tool = inner.string("tool", "a tool's name") if inner.require("tool") else None
    args = inner.entries("with", "a mapping of arguments")
    inner.finish()
    return NotifySpec(tool, args) if tool is not None else None


def notify_templates(notify: NotifySpec | None, path: Path, graph: GraphSpec) -> Iterator[Template]:
    if notify is not None:
        tool = graph.tools.get(notify.tool)
        signature = tool.signature if tool else None
        yield from arguments.templates(notify.args, (*path, "notify", "with"), signature, NOTIFY)


def check_notify(notify: NotifySpec | None, path: Path, graph: GraphSpec) -> Iterator[Diagnostic]:
    """The tool that tells people is there, its arguments fit, and it is one durable step."""
    if notify is None:
        return
    tool, place = graph.tools.get(notify.tool), (*path, "notify", "tool")
    if tool is None:
        if not is_broken(notify.tool, graph.broken):
            yield arguments.unknown_tool(notify.tool, place, graph.tools, graph.agents, graph.source)
        return
    with_ = (*path, "notify", "with")
    yield from arguments.check(notify.args, with_, place, notify.tool, tool.signature, graph)
