"""What inference finds wrong in a template: each finding is one rule's, with its place in the text."""

from __future__ import annotations

from dataclasses import dataclass

from agentflow.check.algebra import described
from agentflow.diagnostics import choices_help, quoted
from agentflow.syntax import (
    Attr,
    Binary,
    Compare,
    Concat,
    Const,
    Expression,
    Filtered,
    Inline,
    Item,
    Logic,
    Name,
    Not,
    Unary,
    spelled,
    start_of,
)
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
    """Where an expression begins, and how long it is, as far as its last word; brackets around it are left out."""
    start = start_of(of)
    return start, max(_end(of) - start, 1)


def _end(of: Expression) -> int:
    match of:
        case Name(name=name, at=at) | Attr(name=name, at=at) | Filtered(name=name, at=at):
            return at + len(name)
        case Const(value=str() as text, at=at):
            return at + len(text) + 2
        case Const(value=value, at=at):
            return at + len(str(value))
        case Item(key=Const() as key):
            return _end(key) + 1
        case Unary(of=inside) | Not(of=inside):
            return _end(inside)
        case Binary(right=right) | Logic(right=right):
            return _end(right)
        case Compare(rest=(*_, (_, right))):
            return _end(right)
        case Concat(parts=(*_, last)):
            return _end(last)
        case Inline(test=test, other=other):
            return _end(other if other is not None else test)
    return of.at + 1


def root(of: Expression) -> str | None:
    while isinstance(of, Attr | Item):
        of = of.of
    return of.name if isinstance(of, Name) else None


def unknown_field(of: Attr, owner: Type, fields: list[str]) -> Finding:
    name = spelled(of.of)
    message = f"{quoted(name)} has no field {quoted(of.name)}"
    note = None if fields else "it has no fields" if isinstance(owner, Object) else f"it is {described(owner)}"
    return Finding("unknown-field", message, of.at, len(of.name), note, choices_help(of.name, fields), root(of.of))


def unknown_field_within(of: Expression, owner: Type, name: str, at: int, fields: list[str]) -> Finding:
    """Of the elements of a list, by the name that a filter is given."""
    message = f"what {_subject(of)} holds has no field {quoted(name)}"
    note = None if fields else "it has no fields" if isinstance(owner, Object) else f"it is {described(owner)}"
    return Finding("unknown-field", message, at, len(name), note, choices_help(name, fields), root(of))


def null_within(of: Filtered, written: Const | None, field: str | None) -> Finding:
    """An element of a list, or a field of one, where a filter takes no null."""
    name = spelled(of.of)
    what = f"{quoted(field)} of an element" if field is not None else "an element"
    message = f"{what} of {_subject(of.of)} may be null, and {quoted(of.name)} takes none"
    kept = f"selectattr({field!r}, 'defined')" if field is not None else "select"
    help = f"leave those out: {name} | {kept} | {of.name}" if root(of.of) is not None else f"leave those out: {kept}"
    return Finding("maybe-null", message, *extent(written or of.of), help=help, about=root(of.of))


def misfit_within(of: Filtered, type: Type, written: Const | None, must: str) -> Finding:
    """What a filter does to each element, or to a field of it, cannot be done to this."""
    what = f"what {_subject(of.of)} holds"
    if written is not None:
        what = f"{quoted(str(written.value))} of {what}"
    message = f"{what} is {described(type)}, and must be {must}"
    return Finding("wrong-operand", message, *extent(written or of.of), about=root(of.of))


def _subject(of: Expression) -> str:
    return quoted(spelled(of)) if root(of) is not None else "the list"


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


def unordered(of: Compare, left: Type, right: Type) -> Finding:
    """Less and greater: only numbers with numbers, text with text."""
    subject = f"{quoted(spelled(of.first))} is {described(left)}, which" if root(of.first) else described(left)
    message = f"{subject} is neither less nor greater than {described(right)}"
    note = "numbers are compared with numbers, and text with text"
    return Finding("impossible-comparison", message, *extent(of), note=note, about=root(of.first))


def not_a_node(of: Name, outcome: str) -> Finding:
    message = f"{quoted(of.name)} is no node, so that it is never {outcome}"
    return Finding("not-a-node", message, of.at, len(of.name))
