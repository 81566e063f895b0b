"""Whether a filter can do what it does: with what it is given, with each element of a list, with a field of each.

The filters themselves are in `agentflow.filters`; here is told beforehand what would end a run there.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping

from agentflow import syntax
from agentflow.check import findings
from agentflow.check.algebra import (
    NOTHING,
    apart,
    element_of,
    field_of,
    fields_of,
    may_be_null,
    opaque,
    resolved,
    without_null,
)
from agentflow.check.findings import Finding
from agentflow.filters import FILTERS, NAMES_A_TEST
from agentflow.types import ANY, NUMBER, STRING, ListOf, Object, Type

Types = Mapping[str, Type]

LISTS = frozenset({"join", "max", "min", "rejectattr", "selectattr", "sort", "sum", "unique"})
GONE_THROUGH = frozenset({"first", "last", "list", "map", "reject", "select"})  # lists, texts, the keys of an object
ORDERED = frozenset({"max", "min", "sort"})
FIRM_TESTS = frozenset({"divisibleby", "even", "lower", "odd", "upper"})  # to which null has no answer
OBJECT: Type = Object(())


def unfit(of: syntax.Filtered, inside: Type, types: Types) -> Iterator[Finding]:
    """What is wrong with a filter of a value that is there."""
    inside = without_null(resolved(inside, types))
    if opaque(inside) or inside == NOTHING:
        return
    if must := _must_be(of, inside, types):
        yield findings.not_usable(of.of, inside, must)
    elif isinstance(inside, ListOf):
        yield from _elements(of, resolved(inside.of, types), types)


def _must_be(of: syntax.Filtered, inside: Type, types: Types) -> str | None:
    """What it would have to be, and is not."""
    name, gone_through = of.name, element_of(inside, types) is not None
    if name in LISTS:
        return "a list" if apart(inside, ListOf(ANY), types) else None
    if name in GONE_THROUGH:
        return None if gone_through else "a list"
    if name == "length":
        return None if gone_through else "a list or text"
    if name in ("abs", "round"):
        return "a number" if apart(inside, NUMBER, types) else None
    if name in ("items", "dictsort"):
        return "an object" if apart(inside, OBJECT, types) else None
    if name in ("int", "float") and not (of.args or of.named):
        return "a number, or text that is one" if _neither(inside, types) else None
    return None


def _neither(type: Type, types: Types) -> bool:
    """Neither a number nor text."""
    return apart(type, NUMBER, types) and apart(type, STRING, types)


def _elements(of: syntax.Filtered, element: Type, types: Types) -> Iterator[Finding]:
    given = _arguments(of)
    if "attribute" not in given:
        yield from _each(of, element, None, types)
        return
    match given["attribute"]:
        case syntax.Const(value=str() as path) as written if not opaque(element):
            if may_be_null(element) and not _takes_null(of, given):
                yield findings.null_within(of, None, None)
                return
            type: Type = element
            at = written.at + 1
            for part in path.split("."):
                found, sure = field_of(type, part, types)
                if found is None and not part.isdigit():
                    yield findings.unknown_field_within(of.of, type, part, at, fields_of(type, types))
                if found is None or not sure:
                    return
                type, at = found, at + len(part) + 1
            yield from _each(of, type, written, types)


def _arguments(of: syntax.Filtered) -> Mapping[str, syntax.Expression]:
    """By the names of the filter's parameters."""
    try:
        bound = inspect.signature(FILTERS[of.name]).bind(None, *of.args, **dict(of.named))
    except TypeError:
        return {}
    return {name: one for name, one in bound.arguments.items() if isinstance(one, syntax.Expression)}


def _takes_null(of: syntax.Filtered, given: Mapping[str, syntax.Expression]) -> bool:
    """Whether a field of an element that is null may be asked for."""
    if of.name == "map":
        return "default" in given
    return of.name in ("selectattr", "rejectattr") and _named(of) not in FIRM_TESTS


def _each(of: syntax.Filtered, type: Type, written: syntax.Const | None, types: Types) -> Iterator[Finding]:
    """What is done with each element, or with the field of it that is named."""
    firm = of.name in ("join", "sum", *ORDERED) or _named(of) in FIRM_TESTS
    if of.name == "map" and _named(of) is not None:
        firm = _named(of) not in ("default", "tojson")
    if may_be_null(type) and firm:
        yield findings.null_within(of, written, None if written is None else str(written.value))
    elif of.name == "sum" and apart(type, NUMBER, types):
        yield findings.misfit_within(of, type, written, "a number")
    elif of.name in ORDERED and _neither(type, types) and not opaque(type) and type != NOTHING:
        yield findings.misfit_within(of, type, written, "a number or text, to be put in order")


def _named(of: syntax.Filtered) -> str | None:
    """The test or the filter that is done to each element."""
    at = NAMES_A_TEST.get(of.name)
    if at is not None and at < len(of.args):
        match of.args[at]:
            case syntax.Const(value=str() as name):
                return name
    return None
