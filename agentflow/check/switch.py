"""A choice by value: over the words of an enumeration or over true and false, complete, or with a default."""

from __future__ import annotations

from collections.abc import Iterator

from agentflow import syntax
from agentflow.check.algebra import apart, may_be_null, opaque, resolved, without_null
from agentflow.check.findings import root
from agentflow.check.inference import Inference, Known
from agentflow.check.places import Analysis, Place
from agentflow.check.types import Typed, parsed_expression
from agentflow.diagnostics import Diagnostic, choices_help, quoted
from agentflow.nodes.kind import Guard
from agentflow.types import BOOLEAN, INTEGER, STRING, Enumeration, Type

Key = str | int | bool


def check(analysis: Analysis, typed: Typed) -> Iterator[Diagnostic]:
    for place in analysis.places:
        guarded = [(branch, branch.guard) for branch in place.branches if branch.guard is not None]
        if guarded:
            yield from _check(typed, place, guarded)


def _check(typed: Typed, place: Place, guarded: list[tuple[Place, Guard]]) -> Iterator[Diagnostic]:
    source = typed.graph.source
    cases = [(branch, guard.values[0]) for branch, guard in guarded if guard.among]
    complete = any(not guard.among for _, guard in guarded)
    subject = parsed_expression(guarded[0][1].subject)
    if subject is None:
        return
    type = Inference(typed.names(place.scope)).of(subject, Known(typed.facts(place)))
    bare = without_null(resolved(type, typed.graph.types))
    wanted = _values(bare)
    name = quoted(syntax.spelled(subject)) if root(subject) else "the value"
    unknown = 0
    for branch, value in cases:
        shown = _shown(value)
        if wanted is not None and not any(_same(value, one) for one in wanted):
            words = [str(_shown(one)) for one in wanted]
            message = f"there is no case {quoted(shown)}: {name} is {_listed(words)}"
            help = choices_help(shown, words) if isinstance(value, str) else None
            if shown in words:
                help = f"without quotes {shown} is a boolean" if bare == BOOLEAN else f"in quotes {shown} is text"
            yield source.error("unknown-case", message, branch.node.path, key=True, help=help)
            unknown += 1
        elif wanted is None and not opaque(bare) and apart(_type_of(value), bare, typed.graph.types):
            message = f"{name} is never {quoted(shown)}, because it is no {_word(value)}"
            yield source.error("unknown-case", message, branch.node.path, key=True)
    if complete or opaque(bare):
        return
    missing = [_shown(one) for one in wanted or () if not any(_same(value, one) for _, value in cases)]
    if wanted is None:
        message = f"{name} may have values without a case"
        yield source.error("incomplete-switch", message, (*place.node.path, place.node.kind), help="add a default")
    elif len(missing) > unknown or may_be_null(type):  # a case that there is not is one of those that are missing
        lacking = [*map(quoted, missing), *(["null"] if may_be_null(type) else [])]
        message = f"there is no case for {' and '.join(lacking)}"
        help = "add " + (f"the case {missing[0]}" if len(lacking) == 1 and missing else "the cases") + ", or a default"
        help = "add a default, which null takes" if not missing else help
        yield source.error("incomplete-switch", message, (*place.node.path, place.node.kind), help=help)


def _values(type: Type) -> list[Key] | None:
    """All that there can be, where that can be listed."""
    if isinstance(type, Enumeration):
        return list(type.values)
    return [True, False] if type == BOOLEAN else None


def _same(left: Key, right: Key) -> bool:
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def _shown(value: Key) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _word(value: Key) -> str:
    return "boolean" if isinstance(value, bool) else "number" if isinstance(value, int) else "text"


def _type_of(value: Key) -> Type:
    return BOOLEAN if isinstance(value, bool) else INTEGER if isinstance(value, int) else STRING


def _listed(words: list[str]) -> str:
    return ", ".join(words[:-1]) + " or " + words[-1] if len(words) > 1 else "".join(words)
