"""What a test says of tools: `tools: {pay: {return: ...}}`, checked against the tools that there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from agentflow import expressions, ir
from agentflow.diagnostics import Path, choices_help, quoted
from agentflow.spec.fit import misfit
from agentflow.spec.reader import Reader
from agentflow.types import Json, ListOf, Nullable, Object, Type, Union

VERBS = ("return", "error", "fail", "raise", "real")
KEYS = (*VERBS, "if", "times", "delay")


def read_stubs(reader: Reader, tools: Mapping[str, ir.Tool], types: Mapping[str, Type]) -> None:
    """Reports what is wrong; the entries themselves are read again where they are used (`runtime.stage`)."""
    for name, given in reader.entries("tools", "a mapping from tools to what they do").items():
        path = reader.at("tools", name)
        if name not in tools:
            help = choices_help(name, tools)
            reader.error("unknown-tool", f"there is no tool {quoted(name)}", path, key=True, help=help)
        if isinstance(given, list):
            if not given:
                reader.reading.wrong(path, "an entry, or a list of some", given)
            for at, entry in enumerate(given):
                _entry(reader, (*path, at), entry, tools.get(name), types)
        else:
            _entry(reader, path, given, tools.get(name), types)


def _entry(outer: Reader, path: Path, data: Json, tool: ir.Tool | None, types: Mapping[str, Type]) -> None:
    help = "what a tool gives is written {return: ...}"
    reader = outer.reading.reader(path, data, "what a tool does", help)
    if reader is None:
        return
    verbs = [verb for verb in VERBS if reader.has(verb)]
    if len(verbs) != 1:
        found = " and ".join(verbs) or "none"
        message = f"what a tool does is exactly one of {', '.join(VERBS)}; here is {found}"
        reader.error("several-verbs" if verbs else "no-verb", message, path, help=None if verbs else help)
        return
    _verb(reader, verbs[0], tool, types)
    condition = reader.take("if")
    if not isinstance(condition, bool | str | None):
        reader.reading.wrong(reader.at("if"), "an expression over args", condition)
    elif isinstance(condition, str):
        _templates(reader, "expr", reader.at("if"), condition, frozenset(["args", "node"]))
    if reader.integer("times", 1, 1000) is not None and verbs[0] != "raise":
        message = '"times" belongs to "raise": so often it fails, before it does what the next entry says'
        reader.error("misplaced-key", message, reader.at("times"), key=True)
    reader.duration("delay")
    reader.finish(known=KEYS)


def _templates(reader: Reader, form: expressions.Form, path: Path, data: Json, known: frozenset[str]) -> None:
    """Reports what is wrong with templates that see nothing but `known`."""
    leaves = [expressions.read(form, path, data)] if form == "expr" and isinstance(data, str) else []
    for leaf in leaves or expressions.leaves(form, path, data):
        if leaf.problem is not None:
            reader.error(leaf.problem.code, leaf.problem.message, leaf.path)
        elif leaf.tree is not None:
            for name in dict.fromkeys(reference.name for reference in expressions.references(leaf.tree)):
                if name not in known:
                    message = f"there is no {quoted(name)} here: only {', '.join(sorted(known))}"
                    reader.error("unknown-name", message, leaf.path)


def _verb(reader: Reader, verb: str, tool: ir.Tool | None, types: Mapping[str, Type]) -> None:
    value = reader.take(verb)
    path = reader.at(verb)
    if verb != "real":
        _templates(reader, "value", path, value, frozenset(["args", "call"]))
    if verb == "return":
        problem = None if tool is None else misfit(value, partial(tool.returns), partials(types))
        if problem is not None and tool is not None:
            reader.error("argument-type", f"this is not what {tool.name} returns: {problem}", path)
    elif verb == "real":
        if value is not True:
            reader.reading.wrong(path, "true", value)
    elif verb == "fail" and isinstance(value, dict):
        about = Reader(reader.reading, path, value, '"fail"')
        about.require("message")
        about.string("message")
        about.integer("code", 400, 599)
        about.finish()
    elif not isinstance(value, str):
        must = "text, or {message, code}" if verb == "fail" else "text: what it says"
        reader.reading.wrong(path, must, value)


def partials(types: Mapping[str, Type]) -> dict[str, Type]:
    return {name: partial(type) for name, type in types.items()}


def partial(of: Type) -> Type:
    """The type with all that it asks for optional: a case says of a result what it needs, and no more."""
    match of:
        case Object():
            return Object(tuple(replace(field, type=partial(field.type), optional=True) for field in of.fields))
        case ListOf():
            return ListOf(partial(of.of))
        case Nullable():
            return Nullable(partial(of.of))
        case Union():
            return Union(tuple(partial(one) for one in of.of))
        case _:
            return of
