"""The arguments of a call of a tool: their templates, their types, and whether they fit its parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from agentflow.diagnostics import Diagnostic, Path, choices_help, nearest, pointed, quoted
from agentflow.nodes.kind import Template
from agentflow.source import Source
from agentflow.spec.fit import misfit
from agentflow.tools.signature import Signature
from agentflow.types import ANY, STRING, Enumeration, Field, Json, ListOf, Nullable, Object, Type


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
    source: Source,
    what: str = "tool",
) -> Iterator[Diagnostic]:
    """What does not fit: names that there are not, arguments that are missing, literals of the wrong type.

    `path` is that of the arguments and `call` that of the tool's name, where a missing argument is shown.
    """
    if signature is None:
        return
    known = [parameter.name for parameter in signature.parameters]
    missing = [p.name for p in signature.parameters if p.required and p.name not in args]
    for name, data in args.items():
        parameter = signature.parameter(name)
        if parameter is not None:
            yield from _check_literal(data, (*path, name), parameter.type, source)
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


def _check_literal(data: Json, path: Path, type: Type, source: Source) -> Iterator[Diagnostic]:
    reason = misfit(data, type)
    if reason is not None and isinstance(data, list) and isinstance(bare := _bare(type), ListOf):
        for index, item in enumerate(data):
            yield from _check_literal(item, (*path, index), bare.of, source)
        return
    if reason is None and isinstance(data, str) and "{{" in data and not _alone(data) and not _takes_text(type):
        reason = "text around {{ }}, a space too, makes the whole a text"
    if reason is not None:
        yield source.error("argument-type", f"{pointed(path)} does not fit its parameter: {reason}", path)


def _alone(text: str) -> bool:
    return text.startswith("{{") and text.endswith("}}") and text.count("{{") == 1


def _bare(type: Type) -> Type:
    return type.of if isinstance(type, Nullable) else type


def _takes_text(type: Type) -> bool:
    bare = _bare(type)
    return bare in (ANY, STRING) or isinstance(bare, Enumeration)


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
