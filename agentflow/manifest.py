"""What is said of a compiled graph beside its module: its revision, services, schemas, and nodes."""

from __future__ import annotations

from collections.abc import Sequence

from agentflow import __version__, ir
from agentflow.codegen.invocations import asks_people, events, everything, has_budget, own
from agentflow.tools.schema import definitions, schema_of
from agentflow.types import Json, Type


def manifest(program: ir.Program, revision: str) -> dict[str, Json]:
    nodes: Json = [{"path": node.path, "kind": node.kind, "line": node.line} for node in everything(program)]
    return {
        "agentflow": __version__,
        "graph": program.name,
        "kind": program.kind,
        "revision": revision,
        "source": program.source,
        "digest": program.digest,
        "services": list(services(program, revision)),
        "interface": interface(program),
        "nodes": nodes,
    }


def interface(program: ir.Program) -> dict[str, Json]:
    """What others rely on: handlers, what they take and give, messages, and what outlives a revision."""
    handlers: Sequence[Json] = {
        "workflow": ("run", "status", "events", "event"),
        "service": ("run",),
        "object": ("message", "history", "status", "reset", "interrupt"),
    }[program.kind]
    session, schedule = program.session, program.schedule
    return {
        "graph": program.name,
        "kind": program.kind,
        "handlers": [name for name in handlers if name != "event" or events(program)],
        "input_schema": _schema(program.input, program.types),
        "output_schema": _schema(program.output, program.types),
        "questions": {node.path: _form(node.op, program.types) for node in everything(program) if _asks(node.op)},
        "events": {name: _schema(op.type, program.types) for name, op in events(program).items()},
        "state": None if program.state is None else _schema(program.state, program.types),
        "session": None if session is None else {"keep": session.keep, "summarize_after": session.summarize_after},
        "on_busy": program.on_busy,
        "schedule": None
        if schedule is None
        else {"cron": schedule.cron, "timezone": schedule.timezone, "every": schedule.every},
    }


def services(program: ir.Program, revision: str) -> Sequence[str]:
    """The Restate services of a graph: entry, nodes with invocations of their own, approvals, stream, messages."""
    names = [program.name]
    if own(program) or program.after is not None:
        names.append(f"{program.name}.nodes_{revision}")
    if has_budget(program):
        names.append(f"{program.name}.budget_{revision}")
    if asks_people(program):
        names.append(f"{program.name}.approvals")
    if program.schedule is not None:
        names.append(f"{program.name}.schedule")
    if any(isinstance(node.op, ir.Emit) for node in everything(program)):
        names.append(f"{program.name}.stream")
    if events(program):
        names.append(f"{program.name}.inbox")
    if program.on_busy == "interrupt":
        names.append(f"{program.name}.door")
    return names


def _asks(op: ir.Op) -> bool:
    return isinstance(op, ir.Gate | ir.Question)


def _form(op: ir.Op, types: Sequence[ir.TypeDef]) -> Json:
    """What whoever answers a question fills in."""
    form = op.form if isinstance(op, ir.Gate | ir.Question) else None
    return None if form is None else _schema(form, types)


def _schema(type: Type, types: Sequence[ir.TypeDef]) -> Json:
    """With the definitions of the graph's own types, where it refers to one."""
    schema = schema_of(type)
    defined = definitions(schema, {definition.name: definition.type for definition in types})
    return {**schema, "$defs": defined} if defined else schema
