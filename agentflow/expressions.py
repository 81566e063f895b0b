"""The compiler's view of templates: the strings of a value with their places, what they refer to, what is wrong.

`agentflow.syntax` reads them, for the compiler and the runtime alike; the rules of `agentflow.check` walk the trees.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from agentflow import syntax
from agentflow.diagnostics import Path
from agentflow.syntax import Expression, Part, SyntaxProblem, Template
from agentflow.types import Json

Form = Literal["text", "value", "expr"]


@dataclass(slots=True)
class Reference:
    """A name that a template looks up in its scope, and the fields that follow it."""

    name: str
    attrs: tuple[str, ...]
    at: int  # offset in the text


@dataclass(slots=True)
class Leaf:
    """One string of a template's data: where it is, and its tree, or what keeps it from having one."""

    path: Path
    text: str
    tree: Template | Expression | None
    problem: SyntaxProblem | None = None


def leaves(form: Form, path: Path, data: Json) -> Iterator[Leaf]:
    """The strings of a template at any depth, read; strings without a template in them are left out."""
    if isinstance(data, str):  # most are
        if form == "expr" or "{" in data:
            yield read(form, path, data)
        return
    stack: list[tuple[Path, Json]] = [(path, data)]
    while stack:
        here, value = stack.pop()
        if isinstance(value, str):
            if form == "expr" or "{" in value:
                yield read(form, here, value)
        elif form != "expr" and isinstance(value, dict):
            stack.extend(((*here, key), inner) for key, inner in reversed(value.items()))
        elif form != "expr" and isinstance(value, list):
            stack.extend(((*here, index), inner) for index, inner in reversed(list(enumerate(value))))


def read(form: Form, path: Path, text: str) -> Leaf:
    try:
        return Leaf(path, text, _parsed(form, text))
    except SyntaxProblem as problem:
        return Leaf(path, text, None, problem)


def _parsed(form: Form, text: str) -> Template | Expression:
    match form:
        case "text":
            return syntax.parse_text(text)
        case "value":
            return syntax.parse_value(text)
        case "expr":
            return syntax.parse_expression(text)


def literal(data: Json) -> str:
    """An expression for a literal of YAML in the place of one: `when: true`, `switch: 3`."""
    if data is None:
        return "none"
    if isinstance(data, list):
        return "[" + ", ".join(map(literal, data)) + "]"
    return data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)


def references(tree: Template | Expression) -> list[Reference]:
    """Every name that is looked up in the scope, in the order of the text; not what a `for` of its own binds."""
    found: list[Reference] = []
    if isinstance(tree, Template):
        _of_parts(tree.parts, frozenset(), found)
    else:
        _of_expression(tree, frozenset(), found)
    if len(found) > 1:
        found.sort(key=lambda reference: reference.at)
    return found


def _of_parts(parts: tuple[Part, ...], bound: frozenset[str], found: list[Reference]) -> None:
    for part in parts:
        match part:
            case syntax.Show(of):
                _of_expression(of, bound, found)
            case syntax.Branch(tests, other):
                for test, body in tests:
                    _of_expression(test, bound, found)
                    _of_parts(body, bound, found)
                _of_parts(other, bound, found)
            case syntax.Loop():
                _of_expression(part.over, bound, found)
                inside = bound | {*part.targets}
                if part.test is not None:
                    _of_expression(part.test, inside, found)
                _of_parts(part.body, inside | {"loop"}, found)
                _of_parts(part.other, bound, found)


def _of_expression(of: Expression, bound: frozenset[str], found: list[Reference]) -> None:
    attrs: tuple[str, ...] = ()
    while isinstance(of, syntax.Attr):
        attrs = (of.name, *attrs)
        of = of.of
    if isinstance(of, syntax.Name):
        if of.name not in bound:
            found.append(Reference(of.name, attrs, of.at))
    elif not isinstance(of, syntax.Const):
        for each in syntax.inner(of):
            _of_expression(each, bound, found)


def key(of: Expression) -> str:
    """The same for expressions that are the same but for where they stand."""
    match of:
        case syntax.Const(value=value):
            return f"{type(value).__name__}:{value!r}"
        case syntax.Name(name=name):
            return name
        case syntax.Attr(of=inside, name=name):
            return f"{key(inside)}.{name}"
        case syntax.Compare(first=first, rest=rest):
            return f"({key(first)} " + " ".join(f"{op} {key(right)}" for op, right in rest) + ")"
        case syntax.Tested(of=inside, name=name, args=args):
            return f"({key(inside)} is {name}({', '.join(map(key, args))}))"
        case syntax.Filtered(of=inside, name=name, args=args, named=named):
            texts = [*map(key, args), *(f"{name}={key(value)}" for name, value in named)]
            return f"({key(inside)} | {name}({', '.join(texts)}))"
        case syntax.Binary(op=op) | syntax.Logic(op=op) | syntax.Unary(op=op):
            return f"({op} " + " ".join(map(key, syntax.inner(of))) + ")"
        case syntax.Slice(start=start, stop=stop, step=step):
            ends = ":".join("" if end is None else key(end) for end in (start, stop, step))
            return f"{key(of.of)}[{ends}]"
    return f"{type(of).__name__}(" + ", ".join(map(key, syntax.inner(of))) + ")"
