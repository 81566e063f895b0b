"""How what an expression depends on is cut into cases, and what can be said of one: the alphabet of proofs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from agentflow import syntax
from agentflow.check.algebra import NOTHING, is_number
from agentflow.syntax import Expression
from agentflow.types import BOOLEAN, STRING, Enumeration, Json, ListOf, Object, Type
from agentflow.values import Unusable, less, number, same


class Special:
    """A case that is no value of JSON."""

    def __init__(self, word: str) -> None:
        self.word = word

    def __repr__(self) -> str:
        return self.word


SOMETHING = Special("something")  # a value that is there, and true, and none of those it is compared with
SKIPPED, FAILED = Special("skipped"), Special("failed")  # null takes the node's place
Case = Special | Json

TESTS = {"in": "in", "eq": "==", "ne": "!="}


def cases_of(type: Type, constants: list[Json]) -> list[Case]:
    """The values of a type, as far as the constants that they are compared with tell them apart."""
    if type == BOOLEAN:
        return [True, False]
    if isinstance(type, Enumeration):
        named = [value for value in type.values if value in constants]
        return [*named, *([SOMETHING] if len(named) < len(type.values) else [])]
    if is_number(type):
        return _numbers(constants)
    if isinstance(type, Object) and type.fields:
        return [SOMETHING]
    if isinstance(type, ListOf):
        return [SOMETHING, []]
    if type == NOTHING:
        return []
    words: list[Case] = list(dict.fromkeys(one for one in constants if isinstance(one, str) and one))
    if type == STRING:
        return [SOMETHING, "", *words]
    flags: list[Case] = [flag for flag in (True, False) if any(one is flag for one in constants)]
    numbers = _numbers(constants) if any(map(number, constants)) else []
    return [SOMETHING, "", *words, *flags, *numbers]


def _numbers(constants: list[Json]) -> list[Case]:
    """Below, at and above each number."""
    points = sorted({0, *(one for one in constants if number(one))})
    between = [(low + high) / 2 for low, high in itertools.pairwise(points)]
    return [*sorted({*points, *between, points[0] - 1, points[-1] + 1})]


def is_path(of: Expression) -> bool:
    match of:
        case syntax.Name():
            return True
        case syntax.Attr(of=inside) | syntax.Item(of=inside, key=syntax.Const()):
            return is_path(inside)
    return False


def tells_null(of: Expression) -> bool:
    """Whether its cases tell if it is null."""
    match of:
        case syntax.Const() | syntax.Not() | syntax.Compare() | syntax.Tested():
            return True
        case syntax.Logic() | syntax.Inline():
            return all(map(tells_null, syntax.inner(of)))
        case syntax.Filtered(of=inside, name="default", args=(other,), named=()):
            return tells_null(inside) and tells_null(other)
        case syntax.Filtered(of=inside, name="required"):
            return tells_null(inside)
        case syntax.Filtered(of=inside, name="first" | "last"):
            return is_path(inside)
        case syntax.Attr(of=inside) | syntax.Item(of=inside):
            return tells_null(inside) or not isinstance(inside, syntax.Name | syntax.Attr | syntax.Item)
    return isinstance(of, syntax.Name)


def conjuncts(of: Expression) -> Iterator[Expression]:
    if isinstance(of, syntax.Logic) and of.op == "and":
        yield from conjuncts(of.left)
        yield from conjuncts(of.right)
    else:
        yield of


def first_of(of: Expression) -> Expression:
    return syntax.Item(of, syntax.Const(0, 0), 0)


def root_of(of: Expression) -> str:
    while isinstance(of, syntax.Attr | syntax.Item):
        of = of.of
    return of.name if isinstance(of, syntax.Name) else next(iter(names_in(of)), "")


def names_in(of: Expression) -> set[str]:
    found: set[str] = set()
    stack = [of]
    while stack:
        one = stack.pop()
        if isinstance(one, syntax.Name):
            found.add(one.name)
        stack.extend(syntax.inner(one))
    return found


def constants_of(of: Expression) -> list[Json] | None:
    """The values of a constant, or of a list of them."""
    match of:
        case syntax.Const(value=value):
            return [value]
        case syntax.ListLiteral(items=items) if all(isinstance(item, syntax.Const) for item in items):
            return [item.value for item in items if isinstance(item, syntax.Const)]
        case syntax.Unary(op="-", of=syntax.Const(value=int() | float() as value)):
            return [-value]
    return None


def compared(op: str, left: Case, right: Case) -> bool:
    if op in ("in", "not in"):
        return (isinstance(right, list) and any(_equal(each, left) for each in right)) is (op == "in")
    if op in ("==", "!="):
        return _equal(left, right) is (op == "==")
    if left is None or right is None:
        return False
    if isinstance(left, Special) or isinstance(right, Special):
        raise Unusable("only numbers are compared with numbers")
    if op in ("<", ">="):
        return less(left, right) is (op == "<")
    return less(right, left) is (op == ">")


def _equal(left: Case, right: Case) -> bool:
    if isinstance(left, Special) or isinstance(right, Special):
        return False
    return same(left, right)
