"""What inference finds wrong in a template: each finding is one rule's, with its place in the text."""

from __future__ import annotations

from dataclasses import dataclass

from agentflow.check.algebra import described
from agentflow.diagnostics import choices_help, quoted
from agentflow.syntax import Attr, Const, Expression, Item, Name, spelled, start_of
from agentflow.types import STRING, Object, Type


@dataclass(frozen=True)
class Finding:
    code: str
    message: str
    at: int
    length: int
    note: str | None = None
    help: str | None = None
    about: str | None = None  # a name that is the reason: where it is defined belongs to the message


def extent(of: Expression) -> tuple[int, int]:
    """Where a path begins, and how long it is; of anything else, where it begins."""
    match of:
        case Name(name=name, at=at):
            return at, len(name)
        case Attr(of=inside, name=name, at=at):
            start, _ = extent(inside)
            return start, at + len(name) - start
        case Item(of=inside, at=at):
            start, _ = extent(inside)
            return start, max(at + 1 - start, 1)
    return start_of(of), 1


def root(of: Expression) -> str | None:
    while isinstance(of, Attr | Item):
        of = of.of
    return of.name if isinstance(of, Name) else None


def unknown_field(of: Attr, owner: Type, fields: list[str]) -> Finding:
    name = spelled(of.of)
    message = f"{quoted(name)} has no field {quoted(of.name)}"
    note = None if fields else "it has no fields" if isinstance(owner, Object) else f"it is {described(owner)}"
    return Finding("unknown-field", message, of.at, len(of.name), note, choices_help(of.name, fields), root(of.of))


def may_be_null(of: Expression, use: str, why: str | None, whole: Expression | None = None) -> Finding:
    """`use` says what is done with it: `its field "id" is used`; `whole` is what that yields."""
    name = spelled(of)
    subject = quoted(name) if root(of) is not None else name
    message = f"{subject} may be null{f' ({why})' if why else ''}, and {use}"
    help = None
    if root(of) is not None:
        stands_in = f"{spelled(whole or of)} | default(...)"
        help = f"write {stands_in}, or use it only where it is there: {name} and ..., ... if {name} else ..."
    return Finding("maybe-null", message, *extent(of), help=help, about=root(of))


def never_equal(of: Expression, constant: Expression, type: Type, other: Type, words: list[str]) -> Finding:
    """`words` are those that it can be."""
    place = constant if isinstance(constant, Const) else of
    name = quoted(spelled(of)) if root(of) is not None else described(type)
    value = constant.value if isinstance(constant, Const) else None
    message = f"{name} is never {quoted(value) if isinstance(value, str) else described(other)}"
    help = choices_help(value, words) if isinstance(value, str) and words else None
    length = len(repr(value)) if isinstance(constant, Const) else extent(of)[1]
    return Finding("impossible-comparison", message, place.at, length, f"it is {described(type)}", help, root(of))


def not_usable(of: Expression, type: Type, must: str) -> Finding:
    start, length = extent(of)
    subject = quoted(spelled(of)) if root(of) is not None else spelled(of)
    if isinstance(of, Const) and isinstance(of.value, str):
        subject, type, length = quoted(of.value), STRING, len(of.value) + 2
    return Finding(
        "wrong-operand", f"{subject} is {described(type)}, and must be {must}", start, length, about=root(of)
    )


def not_a_node(of: Name, outcome: str) -> Finding:
    message = f"{quoted(of.name)} is no node, so that it is never {outcome}"
    return Finding("not-a-node", message, of.at, len(of.name))
