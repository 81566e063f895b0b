"""The arguments of a call of a tool: their templates, their types, and whether they fit its parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from agentflow.diagnostics import Diagnostic, Path, choices_help, nearest, pointed, quoted
from agentflow.nodes.kind import Template
from agentflow.source import Source
from agentflow.spec.fit import misfit, out_of_bounds
from agentflow.tools.signature import Signature
from agentflow.types import ANY, Field, Json, ListOf, Named, Nullable, Object, Type


class Where(Protocol):
    """A graph, or so much of one as is read."""

    @property
    def source(self) -> Source: ...

    @property
    def types(self) -> Mapping[str, Type]: ...


def templates(
    args: Mapping[str, Json], path: Path, signature: Signature | None, extra: Mapping[str, Type] | None = None
) -> Iterator[Template]:
    """One template an argument, each with the type that its parameter takes."""
    for name, data in args.items():
        parameter = signature.parameter(name) if signature else None
        expected = parameter.type if parameter else ANY
        if parameter and not parameter.required and not isinstance(expected, Nullable):
            expected = Nullable(expected)
        yield Template((*path, name), "value", data, extra or {}, expected)


def object_type(signature: Signature | None) -> Type:
    """The arguments of a call, as the object that `args` is."""
    if signature is None or signature.open:
        return ANY
    return Object(tuple(_field(p.name, p.type, p.required) for p in signature.parameters))


def _field(name: str, type: Type, required: bool) -> Field:
    if not required and type != ANY and not isinstance(type, Nullable):
        type = Nullable(type)
    return Field(name, type, optional=not required)


def check(
    args: Mapping[str, Json],
    path: Path,
    call: Path,
    tool: str,
    signature: Signature | None,
    where: Where,
    what: str = "tool",
) -> Iterator[Diagnostic]:
    """What does not fit: names that there are not, arguments that are missing, literals of the wrong type.

    `path` is that of the arguments and `call` that of the tool's name, where a missing argument is shown.
    """
    if signature is None:
        return
    source = where.source
    known = [parameter.name for parameter in signature.parameters]
    missing = [p.name for p in signature.parameters if p.required and p.name not in args]
    for name, data in args.items():
        parameter = signature.parameter(name)
        if parameter is not None:
            yield from _check_literal(data, (*path, name), parameter.type, where)
        elif not signature.open:
            choices = [other for other in known if other not in args]
            help = choices_help(name, choices)
            if (meant := nearest(name, choices)) in missing:
                missing.remove(meant)  # misspelt: that it lacks says the same again
            message = f"the {what} {quoted(tool)} has no {'parameter' if what == 'tool' else 'input'} {quoted(name)}"
            yield source.error("unknown-parameter", message, (*path, name), key=True, help=help)
    if missing and not source.is_no_mapping(path):
        listed = ", ".join(quoted(name) for name in missing)
        message = f"the call of {quoted(tool)} lacks {listed}"
        yield source.error("missing-argument", message, call, help="arguments are given in with: {...}")


def _check_literal(data: Json, path: Path, type: Type, where: Where) -> Iterator[Diagnostic]:
    """What is wrong with data that is written out, each thing at its own place."""
    bare, source = _bare(type, where.types), where.source
    if isinstance(data, list) and isinstance(bare, ListOf):
        for index, item in enumerate(data):
            yield from _check_literal(item, (*path, index), bare.of, where)
    elif isinstance(data, dict) and isinstance(bare, Object):
        yield from _check_fields(data, path, bare, where)
    elif reason := misfit(data, type, where.types):
        yield source.error("argument-type", f"{pointed(path)} does not fit its parameter: {reason}", path)


def _bare(type: Type, types: Mapping[str, Type]) -> Type:
    """Without null and names around it."""
    seen: set[str] = set()
    while isinstance(type, Nullable | Named):
        if isinstance(type, Named):
            if type.name in seen or type.name not in types:
                return ANY
            seen.add(type.name)
            type = types[type.name]
        else:
            type = type.of
    return type


def _check_fields(data: dict[str, Json], path: Path, type: Object, where: Where) -> Iterator[Diagnostic]:
    names = [field.name for field in type.fields]
    missing = [field.name for field in type.fields if not field.optional and field.name not in data]
    for name, item in data.items():
        field = type.field(name)
        if field is None:
            choices = [other for other in names if other not in data]
            if (meant := nearest(name, choices)) in missing:
                missing.remove(meant)
            message = f"{pointed(path)} does not fit its parameter: there is no field {quoted(name)}"
            help = choices_help(name, choices)
            yield where.source.error("argument-type", message, (*path, name), key=True, help=help)
            continue
        found = list(_check_literal(item, (*path, name), field.type, where))
        yield from found
        if not found and (reason := out_of_bounds(item, field, name)):
            message = f"{pointed(path)} does not fit its parameter: {reason}"
            yield where.source.error("argument-type", message, (*path, name))
    if missing:
        lacks = f"it lacks {', '.join(map(quoted, missing))}"
        yield where.source.error("argument-type", f"{pointed(path)} does not fit its parameter: {lacks}", path)


def unknown_tool(
    name: str, path: Path, tools: Mapping[str, object], agents: Mapping[str, object], source: Source
) -> Diagnostic:
    """There is no such tool; an agent of that name is said to be one."""
    help = choices_help(name, tools)
    if name in agents:
        help = f"{quoted(name)} is an agent: write agent: {name}"
    members = [tool for tool in tools if tool.startswith(f"{name}.")]
    if members:
        help = f"{quoted(name)} is a set of tools: write one of them, {members[0]}"
    note = "not in tools" if tools else "the graph has no tools"
    return source.error("unknown-tool", f"there is no tool {quoted(name)}", path, note=note, help=help)
