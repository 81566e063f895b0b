"""What a test says of tools: `tools: {pay: {return: ...}}`, checked against the tools that there are."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from agentflow import expressions
from agentflow.diagnostics import Path, choices_help, quoted
from agentflow.spec.fit import misfit
from agentflow.spec.reader import Reader
from agentflow.types import Json, ListOf, Nullable, Object, Type, Union

VERBS = ("return", "error", "fail", "raise", "real")
KEYS = (*VERBS, "if", "times", "delay", "state")


WHAT = {"tools": "tool", "services": "service"}


def read_stubs(
    reader: Reader,
    key: str,
    returns: Mapping[str, Type | None],
    types: Mapping[str, Type],
    instead: Mapping[str, tuple[str, str]],
    stateful: Collection[str] = (),
) -> None:
    """Reports what is wrong; the entries themselves are read again where they are used (`runtime.stage`).

    `returns`: the names that there are, and what each gives, as far as that is known. `instead`: those for which
    nothing can stand in, why, and what to say in its place. `stateful`: those that take the state of an object.
    """
    for name, given in reader.entries(key, f"a mapping from {key} to what they do").items():
        path = reader.at(key, name)
        if name not in returns:
            help = choices_help(name, returns)
            reader.error("unknown-tool", f"there is no {WHAT[key]} {quoted(name)}", path, key=True, help=help)
        if name in instead:
            why, help = instead[name]
            reader.error("misplaced-key", f"nothing stands in for {quoted(name)}: {why}", path, key=True, help=help)
            continue
        about = _About(name, returns.get(name), types, name in stateful)
        if isinstance(given, list):
            if not given:
                reader.reading.wrong(path, "an entry, or a list of some", given)
            for at, entry in enumerate(given):
                _entry(reader, (*path, at), entry, about)
        else:
            _entry(reader, path, given, about)


@dataclass(frozen=True)
class _About:
    name: str
    returns: Type | None
    types: Mapping[str, Type]
    changes_state: bool


def _entry(outer: Reader, path: Path, data: Json, about: _About) -> None:
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
    _verb(reader, verbs[0], about)
    condition = reader.take("if")
    if not isinstance(condition, bool | str | None):
        reader.reading.wrong(reader.at("if"), "an expression over args", condition)
    elif isinstance(condition, str):
        _templates(reader, "expr", reader.at("if"), condition, frozenset(["args", "node", "place"]))
    if reader.integer("times", 1, 1000) is not None and verbs[0] != "raise":
        message = '"times" belongs to "raise": so often it fails, before it does what the next entry says'
        reader.error("misplaced-key", message, reader.at("times"), key=True)
    reader.duration("delay")
    _state(reader, verbs[0], about)
    reader.finish(known=KEYS)


def _state(reader: Reader, verb: str, about: _About) -> None:
    changes = reader.take("state")
    if changes is None:
        return
    if verb != "return" or not about.changes_state:
        message = '"state" belongs to "return", of a tool that takes the state of an object: what it changes in it'
        reader.error("misplaced-key", message, reader.at("state"), key=True)
    elif not isinstance(changes, dict):
        reader.reading.wrong(reader.at("state"), "a mapping from names to values", changes)
    else:
        _templates(reader, "value", reader.at("state"), changes, frozenset(["args", "call"]))


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


def _verb(reader: Reader, verb: str, about: _About) -> None:
    value = reader.take(verb)
    path = reader.at(verb)
    if verb != "real":
        _templates(reader, "value", path, value, frozenset(["args", "call"]))
    if verb == "return":
        known = about.returns
        problem = None if known is None else misfit(value, partial(known), partials(about.types))
        if problem is not None:
            reader.error("argument-type", f"this is not what {about.name} returns: {problem}", path)
    elif verb == "real":
        if value is not True:
            reader.reading.wrong(path, "true", value)
    elif verb == "fail" and isinstance(value, dict):
        failure = Reader(reader.reading, path, value, '"fail"')
        failure.require("message")
        failure.string("message")
        failure.integer("code", 400, 599)
        failure.finish()
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
