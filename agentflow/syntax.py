"""Templates and expressions as trees of our own: what the compiler proves things about and the runtime evaluates.

`parse_text`, `parse_value` and `parse_expression` are the only way to such a tree. The everyday part of the language
is read by `agentflow.quick`; everything else by `agentflow.jinja`, which is imported only when it is needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Protocol

from agentflow.frozen import frozen


class SyntaxProblem(Exception):
    """What a template may not be; `offset` and `length` are places in its text."""

    def __init__(self, code: str, message: str, offset: int, length: int = 1, help: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.offset = offset
        self.length = max(length, 1)
        self.help = help


# ---------------------------------------------------------------- expressions

# `at` is an offset in the text: of the name, the bracket, the word `is`; of the first operand where there are several.


@frozen
class Const:
    value: str | int | float | bool | None
    at: int


@frozen
class Name:
    name: str
    at: int


@frozen
class Attr:
    of: Expression
    name: str
    at: int  # of the name, after the dot


@frozen
class Item:
    of: Expression
    key: Expression
    at: int  # of the bracket


@frozen
class Slice:
    of: Expression
    start: Expression | None
    stop: Expression | None
    step: Expression | None
    at: int


@frozen
class ListLiteral:
    items: tuple[Expression, ...]
    at: int


@frozen
class Unary:
    op: str  # - +
    of: Expression
    at: int


@frozen
class Binary:
    op: str  # + - * / // %
    left: Expression
    right: Expression
    at: int


@frozen
class Concat:
    parts: tuple[Expression, ...]
    at: int


@frozen
class Compare:
    """`first op1 a op2 b` as Python has it: every neighbouring pair."""

    first: Expression
    rest: tuple[tuple[str, Expression], ...]  # == != < <= > >= in, not in
    at: int


@frozen
class Logic:
    op: str  # and or
    left: Expression
    right: Expression
    at: int


@frozen
class Not:
    of: Expression
    at: int


@frozen
class Inline:
    """`then if test else other`; without `else` it is null, and nothing at all where it is shown as text."""

    test: Expression
    then: Expression
    other: Expression | None
    at: int


@frozen
class Filtered:
    of: Expression
    name: str
    args: tuple[Expression, ...]
    named: tuple[tuple[str, Expression], ...]
    at: int


@frozen
class Tested:
    of: Expression
    name: str
    args: tuple[Expression, ...]
    at: int


Expression = (
    Const
    | Name
    | Attr
    | Item
    | Slice
    | ListLiteral
    | Unary
    | Binary
    | Concat
    | Compare
    | Logic
    | Not
    | Inline
    | Filtered
    | Tested
)

# ---------------------------------------------------------------- templates


@frozen
class Data:
    text: str


@frozen
class Show:
    of: Expression


@frozen
class Branch:
    """`{% if %}`, its `elif`s, and its `else`."""

    tests: tuple[tuple[Expression, tuple[Part, ...]], ...]
    other: tuple[Part, ...]


@frozen
class Loop:
    targets: tuple[str, ...]  # one, or as many as each element has
    over: Expression
    test: Expression | None
    body: tuple[Part, ...]
    other: tuple[Part, ...]
    at: int  # of the first target


Part = Data | Show | Branch | Loop


@frozen
class Template:
    parts: tuple[Part, ...]

    @property
    def single(self) -> Expression | None:
        """The expression, where the template is exactly one `{{ expression }}`: it keeps its type in a value."""
        match self.parts:
            case (Show(of),):
                return of
        return None


# ---------------------------------------------------------------- reading

MARKS = re.compile(r"\{[{%#]")
MOST = 1 << 20  # characters; a graph file is no longer


@lru_cache(maxsize=65536)
def parse_text(text: str) -> Template:
    """A template. Raises SyntaxProblem."""
    if not MARKS.search(text):
        return Template((Data(text),) if text else ())
    found = _quick().template(_bounded(text))
    if found is not None:
        return found
    from agentflow import jinja

    return jinja.template(text)


@lru_cache(maxsize=65536)
def parse_expression(text: str) -> Expression:
    """An expression without braces. Raises SyntaxProblem."""
    found = _quick().expression(_bounded(text))
    if found is not None:
        return found
    from agentflow import jinja

    return jinja.expression(text)


def parse_value(text: str) -> Template | Expression:
    """A string of a value: an expression where it is exactly one `{{ }}`, else a template. Raises SyntaxProblem."""
    template = parse_text(text)
    return template.single or template


class _Quick(Protocol):
    def template(self, text: str) -> Template | None: ...

    def expression(self, text: str) -> Expression | None: ...


@cache
def _quick() -> _Quick:
    from agentflow import quick  # it makes trees, and so builds on this module

    return quick


def _bounded(text: str) -> str:
    if len(text) > MOST:
        raise SyntaxProblem("template-too-complex", f"a template of {len(text)} characters is too long", 0)
    return text


# ---------------------------------------------------------------- walking


def inner(of: Expression) -> Iterator[Expression]:
    """The expressions directly inside one, in the order in which they are written."""
    match of:
        case Const() | Name():
            return
        case Attr(of=of) | Unary(of=of) | Not(of=of):
            yield of
        case Item(of=of, key=key):
            yield from (of, key)
        case Slice(of=of, start=start, stop=stop, step=step):
            yield from (part for part in (of, start, stop, step) if part is not None)
        case ListLiteral(items=parts) | Concat(parts=parts):
            yield from parts
        case Binary(left=left, right=right) | Logic(left=left, right=right):
            yield from (left, right)
        case Compare(first=first, rest=rest):
            yield first
            yield from (right for _, right in rest)
        case Inline(test=test, then=then, other=other):
            yield from (part for part in (then, test, other) if part is not None)
        case Filtered(of=of, args=args, named=named):
            yield of
            yield from args
            yield from (value for _, value in named)
        case Tested(of=of, args=args):
            yield of
            yield from args


def start_of(of: Expression) -> int:
    """The offset of the first character that belongs to an expression, brackets around it left out."""
    while isinstance(of, Attr | Item | Slice | Filtered | Tested):
        of = of.of
    return of.at


def spelled(of: Expression) -> str:
    """An expression as an author would point at it in a message; only paths are written out."""
    match of:
        case Name(name=name):
            return name
        case Attr(of=inside, name=name):
            return f"{spelled(inside)}.{name}"
        case Item(of=inside, key=Const(value=key)):
            return f"{spelled(inside)}[{key!r}]"
        case Item(of=inside) | Slice(of=inside):
            return f"{spelled(inside)}[...]"
        case Filtered(of=inside, name=name) if spelled(inside) != "the value":
            return f"{spelled(inside)} | {name}"
        case Const(value=None):
            return "none"
    return "the value"
