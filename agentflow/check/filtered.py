"""The types of what filters yield."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from agentflow import syntax
from agentflow.check.algebra import element_of, field_of, is_number, nullable, opaque, resolved, union, without_null
from agentflow.types import ANY, INTEGER, NUMBER, STRING, ListOf, Object, Type

TEXT = frozenset({"capitalize", "indent", "join", "lower", "replace", "string", "title", "trim", "truncate", "upper"})
SAME = frozenset({"list", "reject", "rejectattr", "reverse", "select", "selectattr", "sort", "unique"})
ONE = frozenset({"first", "last", "max", "min"})


def type_of(
    of: syntax.Filtered, inside: Type, args: Sequence[Type], named: Mapping[str, Type], types: Mapping[str, Type]
) -> Type:
    """Of a filter but `default`, `required` and `tojson`, which the inference knows, given a value that is there.

    `args` and `named` are the types of its arguments.
    """
    name = of.name
    if name in TEXT:
        return STRING
    if name in ("length", "wordcount"):
        return INTEGER
    element = element_of(inside, types)
    if name in ONE:
        written_out = isinstance(of.of, syntax.ListLiteral) and len(of.of.items) > 0
        return ANY if element is None else element if written_out else nullable(element)
    if name in SAME:
        return ListOf(_kept(of, element, types)) if element is not None else ANY
    if name == "map":
        return ListOf(_mapped(of, element, (*args, *named.values()), types))
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


def _kept(of: syntax.Filtered, element: Type, types: Mapping[str, Type]) -> Type:
    """What is left of the elements: without null, and without null in a field, where the test leaves them out."""
    match of.name, of.args:
        case ("select", ()):
            return without_null(element)
        case ("select" | "reject", (syntax.Const(value=str() as test), *args)):
            return without_null(element) if _leaves_out_null(of.name == "select", test, args) else element
        case ("selectattr", (syntax.Const(value=str() as path),)):
            return _with_field(element, path.split("."), types)
        case (
            ("selectattr" | "rejectattr"),
            (syntax.Const(value=str() as path), syntax.Const(value=str() as test), *args),
        ) if _leaves_out_null(of.name == "selectattr", test, args):
            return _with_field(element, path.split("."), types)
    return element


def _leaves_out_null(holds: bool, test: str, args: Sequence[syntax.Expression]) -> bool:
    """Whether nothing that is null, or missing, is kept by a test that holds, or does not hold."""
    if test in ("eq", "ne"):
        null = isinstance(args[0], syntax.Const) and args[0].value is None
        given = isinstance(args[0], syntax.Const) and args[0].value is not None
        return given if holds == (test == "eq") else null
    if test in ("none", "undefined"):
        return not holds
    return holds and test != "in"


def _with_field(element: Type, path: Sequence[str], types: Mapping[str, Type]) -> Type:
    """An element that has a field, which is not null."""
    bare = without_null(resolved(element, types))
    if not path or not isinstance(bare, Object):
        return bare
    fields = tuple(
        replace(field, type=_with_field(field.type, path[1:], types), optional=False)
        if field.name == path[0]
        else field
        for field in bare.fields
    )
    return replace(bare, fields=fields)


def attribute_of(element: Type, path: str, types: Mapping[str, Type]) -> Type:
    """Of a field of what a list holds; ANY where that cannot be said."""
    type = element
    for part in path.split("."):
        found, sure = field_of(type, part, types)
        if found is None or not sure:
            return ANY
        type = found
    return type


def _mapped(of: syntax.Filtered, element: Type | None, args: Sequence[Type], types: Mapping[str, Type]) -> Type:
    if element is None or opaque(element):
        return ANY
    match of.args, of.named:
        case (), (("attribute", syntax.Const(value=str() as path)),):
            return attribute_of(element, path, types)
        case (), (("attribute", syntax.Const(value=str() as path)), ("default", _)):
            return union((without_null(attribute_of(element, path, types)), args[1]))
        case (syntax.Const(value=str() as name), *_), ():
            if name == "default":
                return union((without_null(element), *(args[1:2] or [STRING])))
            inner = syntax.Filtered(of.of, name, (), (), of.at)
            return type_of(inner, without_null(element), (), {}, types)
    return ANY
