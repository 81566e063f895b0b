"""The types of what filters yield."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentflow import syntax
from agentflow.check.algebra import element_of, field_of, is_number, nullable, opaque, union, without_null
from agentflow.types import ANY, INTEGER, NUMBER, STRING, ListOf, Type

TEXT = frozenset({"capitalize", "indent", "join", "lower", "replace", "string", "title", "trim", "truncate", "upper"})
SAME = frozenset({"list", "reject", "rejectattr", "reverse", "select", "selectattr", "sort", "unique"})
ONE = frozenset({"first", "last", "max", "min"})


def type_of(of: syntax.Filtered, inside: Type, args: Sequence[Type], types: Mapping[str, Type]) -> Type:
    """Of a filter but `default`, `required` and `tojson`, which the inference knows, given a value that is there."""
    name = of.name
    if name in TEXT:
        return STRING
    if name in ("length", "wordcount"):
        return INTEGER
    element = element_of(inside, types)
    if name in ONE:
        return nullable(element) if element is not None else ANY
    if name in SAME:
        return ListOf(_kept(of, element)) if element is not None else ANY
    if name == "map":
        return ListOf(_mapped(of, element, types))
    if name in ("items", "dictsort"):
        return ListOf(ListOf(ANY))
    if name == "int":
        return INTEGER if len(args) == 0 else union((INTEGER, args[0]))
    if name == "float":
        return NUMBER if len(args) == 0 else union((NUMBER, args[0]))
    if name == "abs":
        return inside if is_number(inside) else NUMBER
    if name == "round":
        return INTEGER if not of.args and not of.named else NUMBER
    if name == "sum":
        return element if element is not None and is_number(element) and not of.named and not args else NUMBER
    return ANY


def _kept(of: syntax.Filtered, element: Type) -> Type:
    """`select` without a test leaves out what is null."""
    return without_null(element) if of.name == "select" and not of.args else element


def _mapped(of: syntax.Filtered, element: Type | None, types: Mapping[str, Type]) -> Type:
    if element is None or opaque(element):
        return ANY
    match of.args, of.named:
        case (), (("attribute", syntax.Const(value=str() as path)),):
            type: Type = element
            for part in path.split("."):
                found, sure = field_of(type, part, types)
                if found is None or not sure:
                    return ANY
                type = found
            return type
        case (syntax.Const(value=str() as name), *_), ():
            inner = syntax.Filtered(of.of, name, (), (), of.at)
            return type_of(inner, without_null(element), (), types)
    return ANY
