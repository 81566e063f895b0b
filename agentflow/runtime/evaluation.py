"""Expressions as functions of a scope: each node of the tree becomes one closure, made once.

Errors are `Unusable`; what is not there is a `Missing` value until something needs it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping

from agentflow import syntax
from agentflow.filters import FILTERS, TAKES_NOTHING, TESTS
from agentflow.syntax import Expression, spelled
from agentflow.types import Json
from agentflow.values import (
    Found,
    Missing,
    Unusable,
    contains,
    digits,
    field,
    given,
    item,
    kind,
    less,
    number,
    present,
    same,
    settled,
    show,
)

Scope = Mapping[str, Json]
OUTCOMES = "__outcomes__"  # in a scope: how each node that has no value of its own ended, "skipped" or "failed"
Evaluation = Callable[[Scope], Found]

LARGEST = 1 << 1024  # whole numbers; beyond it a float is infinite, too
ARITHMETIC: Mapping[str, Callable[[int | float, int | float], int | float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}
COMPARISONS: Mapping[str, Callable[[Found, Found], bool]] = {
    "==": same,
    "!=": lambda left, right: not same(left, right),
    "<": less,
    ">": lambda left, right: less(right, left),
    "<=": lambda left, right: given(left) and given(right) and not less(right, left),
    ">=": lambda left, right: given(left) and given(right) and not less(left, right),
    "in": lambda left, right: contains(right, left),
    "not in": lambda left, right: not contains(right, left),
}


def compiled(of: Expression) -> Evaluation:
    match of:
        case syntax.Const(value=constant):
            return lambda scope: constant
        case syntax.Name(name=name):
            return lambda scope: scope[name] if name in scope else Missing(name)
        case syntax.Attr():
            return _attr(of)
        case syntax.Item():
            inside, key, what = compiled(of.of), compiled(of.key), spelled(of)
            return lambda scope: item(inside(scope), key(scope), what)
        case syntax.Slice():
            return _slice(of)
        case syntax.ListLiteral(items=items):
            each_of = tuple(map(compiled, items))
            return lambda scope: [settled(each(scope)) for each in each_of]
        case syntax.Unary(op=op, of=inside_of):
            inside, what = compiled(inside_of), spelled(inside_of)
            sign = -1 if op == "-" else 1
            return lambda scope: sign * _number(inside(scope), what)
        case syntax.Binary():
            return _binary(of)
        case syntax.Concat(parts=parts):
            shown = tuple(map(as_text, parts))
            return lambda scope: "".join([part(scope) for part in shown])
        case syntax.Compare():
            return _compare(of)
        case syntax.Logic(op=op, left=first, right=second):
            left, right = compiled(first), compiled(second)
            if op == "and":
                return lambda scope: left(scope) and right(scope)
            return lambda scope: left(scope) or right(scope)
        case syntax.Not(of=inside_of):
            inside = compiled(inside_of)
            return lambda scope: not inside(scope)
        case syntax.Inline():
            test, then = compiled(of.test), compiled(of.then)
            other = compiled(of.other) if of.other is not None else _null
            return lambda scope: then(scope) if test(scope) else other(scope)
        case syntax.Filtered():
            return _filtered(of)
        case syntax.Tested():
            return _tested(of)


def _null(scope: Scope) -> Found:
    return None


def as_text(of: Expression) -> Callable[[Scope], str]:
    """An expression shown as text: an inline `if` without `else` may be nothing at all."""
    if isinstance(of, syntax.Inline) and of.other is None:
        test, then = compiled(of.test), as_text(of.then)
        return lambda scope: then(scope) if test(scope) else ""
    inside, what = compiled(of), spelled(of)

    def evaluate(scope: Scope) -> str:
        value = inside(scope)
        if value is None:
            raise Unusable(f"{what} is null, and null cannot be shown as text")
        return show(value)

    return evaluate


def _number(value: Found, what: str) -> int | float:
    if number(value):
        return value
    raise Unusable(str(value) if isinstance(value, Missing) else f"{what} is {kind(value)}, not a number")


def _attr(of: syntax.Attr) -> Evaluation:
    inside, name, what, owner = compiled(of.of), of.name, spelled(of), spelled(of.of)

    def evaluate(scope: Scope) -> Found:
        value = inside(scope)
        if value is None:
            return Missing(what, f"{owner} {_why_null(of.of, scope)}")
        return field(value, name, what)

    return evaluate


def _why_null(of: Expression, scope: Scope) -> str:
    outcomes = scope.get(OUTCOMES)
    if isinstance(of, syntax.Name) and isinstance(outcomes, Mapping) and of.name in outcomes:
        return "was skipped" if outcomes[of.name] == "skipped" else "failed"
    return "is null"


def _slice(of: syntax.Slice) -> Evaluation:
    inside, what = compiled(of.of), spelled(of.of)
    ends = [None if end is None else compiled(end) for end in (of.start, of.stop, of.step)]

    def evaluate(scope: Scope) -> Found:
        value = inside(scope)
        if not isinstance(value, list | str):
            raise Unusable(str(value) if isinstance(value, Missing) else f"{what} is {kind(value)}, not a list")
        found = [None if end is None else end(scope) for end in ends]
        start, stop, step = (None if end is None else digits(end) for end in found)
        if step == 0:
            raise Unusable("the step of a slice is zero")
        return value[start:stop:step]

    return evaluate


def _binary(of: syntax.Binary) -> Evaluation:
    left, right = compiled(of.left), compiled(of.right)
    first, second, op, calculate = spelled(of.left), spelled(of.right), of.op, ARITHMETIC[of.op]

    def evaluate(scope: Scope) -> Found:
        one, other = left(scope), right(scope)
        if op == "+" and isinstance(one, list) and isinstance(other, list):
            return one + other
        if op == "+" and isinstance(one, str) and isinstance(other, str):
            raise Unusable("text is joined with ~, not with +")
        result = calculate(_number(one, first), _number(other, second))
        if not -LARGEST < result < LARGEST:
            raise Unusable("a number that is too large")
        return result

    return evaluate


def _compare(of: syntax.Compare) -> Evaluation:
    first = compiled(of.first)
    rest = [(COMPARISONS[op], compiled(right)) for op, right in of.rest]

    def evaluate(scope: Scope) -> Found:
        left = settled(first(scope))
        for compare, right in rest:
            other = settled(right(scope))
            if not compare(left, other):
                return False
            left = other
        return True

    return evaluate


def _filtered(of: syntax.Filtered) -> Evaluation:
    inside, what, function = compiled(of.of), spelled(of.of), FILTERS[of.name]
    args = tuple(map(compiled, of.args))
    named = tuple((name, compiled(value)) for name, value in of.named)
    lenient = of.name in TAKES_NOTHING

    def evaluate(scope: Scope) -> Found:
        value = inside(scope)
        if lenient:
            if of.name == "required" and value is None and not args and not named:
                raise Unusable(f"{what} is required, and is null")
            if of.name == "default" and given(value) and len(args) < 2:
                return value
        else:
            present(value)
        given_args = [settled(arg(scope)) for arg in args]
        result = function(value, *given_args, **{name: settled(arg(scope)) for name, arg in named})
        return Missing(f"{what} | {of.name}", result.reason, result.expected) if isinstance(result, Missing) else result

    return evaluate


def _tested(of: syntax.Tested) -> Evaluation:
    if of.name in ("skipped", "failed"):
        assert isinstance(of.of, syntax.Name)
        node, outcome = of.of.name, of.name

        def evaluate(scope: Scope) -> Found:
            outcomes = scope.get(OUTCOMES)
            return isinstance(outcomes, Mapping) and outcomes.get(node) == outcome

        return evaluate
    inside, test = compiled(of.of), TESTS[of.name]
    args = tuple(map(compiled, of.args))
    return lambda scope: test(inside(scope), *[settled(arg(scope)) for arg in args])
