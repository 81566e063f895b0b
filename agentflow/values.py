"""JSON values as templates see them: what is missing, what is equal, what a value looks like as text.

Whatever cannot be done with a value is an `Unusable`, with a sentence for the author.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TypeGuard

from agentflow.types import Json

LONGEST = 32 << 20  # characters of a text; the engine carries no larger message


class Unusable(Exception):
    """A value that cannot be used so."""


@dataclass(frozen=True)
class Missing:
    """Nothing is there: `name` as the template spells it, and what is known of the reason.

    What may well be missing (the first of a list) is `expected` to be so: it counts as null where null is allowed.
    """

    name: str
    reason: str = ""
    expected: bool = False

    def __str__(self) -> str:
        return f"{self.name} is missing" + (f" ({self.reason})" if self.reason else "")

    def __bool__(self) -> bool:
        return False


Found = Json | Missing


def given(value: Found) -> bool:
    return value is not None and not isinstance(value, Missing)


def kind(value: Found) -> str:
    """What a value is, in the words of the graph language."""
    match value:
        case Missing():
            return "missing"
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case dict():
            return "an object"
    raise Unusable(f"{type(value).__name__} is not JSON")


def number(value: Found) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def show(value: Found) -> str:
    """A value as text: numbers as they are, objects and lists as JSON; null and what is missing have none."""
    if isinstance(value, str):
        return value
    if isinstance(value, Missing):
        raise Unusable(str(value))
    if value is None:
        raise Unusable("null cannot be shown as text; use default")
    return as_json(value)


def as_json(value: Found, indent: int | None = None) -> str:
    if isinstance(value, Missing):
        raise Unusable(str(value))
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
    except (ValueError, TypeError, RecursionError) as error:
        raise Unusable(f"this is not JSON: {error}") from None


def same(left: Found, right: Found) -> bool:
    """Equality of JSON: 1 is 1.0, but true is not 1; null and what is missing are alike."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if not given(left) or not given(right):
        return not given(left) and not given(right)
    return left == right


def less(left: Found, right: Found) -> bool:
    """Numbers with numbers, text with text; with null nothing is less or greater."""
    if not given(left) or not given(right):
        return False
    if number(left) and number(right):
        return left < right
    if isinstance(left, str) and isinstance(right, str):
        return left < right
    raise Unusable(f"{kind(left)} cannot be ordered with {kind(right)}")


def contains(where: Found, what: Found) -> bool:
    if isinstance(where, list):
        return any(same(each, what) for each in where)
    if isinstance(where, dict):
        return isinstance(what, str) and what in where
    if isinstance(where, str) and isinstance(what, str):
        return what in where
    raise Unusable(f"{kind(what)} cannot be looked for in {kind(where)}")


def field(value: Found, name: str, what: str) -> Found:
    """By key only; a field of null, or of what has no fields, is missing."""
    if isinstance(value, dict):
        return value[name] if name in value else Missing(what)
    if isinstance(value, Missing):
        return Missing(what, f"{value.name} is missing" + (f": {value.reason}" if value.reason else ""))
    return Missing(what, "its owner is null" if value is None else f"it is looked for in {kind(value)}")


def item(value: Found, key: Found, what: str) -> Found:
    if isinstance(key, str):
        return field(value, key, what)
    if isinstance(key, bool) or not isinstance(key, int):
        raise Unusable(f"{kind(key)} is no key: a list takes a whole number, an object text")
    if isinstance(value, list | str):
        return value[key] if -len(value) <= key < len(value) else Missing(what, f"there are {len(value)}", True)
    return field(value, str(key), what) if not isinstance(value, dict) else Missing(what)


def digits(value: Found) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Unusable(f"a whole number is needed, not {kind(value)}")
    return value


def bounded(length: int) -> None:
    if length > LONGEST:
        raise Unusable("the text grows too long")


def items_of(value: Found) -> list[Json]:
    """What is gone through, element by element."""
    if isinstance(value, list):
        return value
    if isinstance(value, str):
        return list(value)
    if isinstance(value, dict):
        return list(value)
    raise Unusable(str(value) if isinstance(value, Missing) else f"a list is needed, not {kind(value)}")


def list_of(value: Found) -> list[Json]:
    if isinstance(value, list):
        return value
    raise Unusable(str(value) if isinstance(value, Missing) else f"a list is needed, not {kind(value)}")


def number_of(value: Found) -> int | float:
    if number(value):
        return value
    raise Unusable(str(value) if isinstance(value, Missing) else f"a number is needed, not {kind(value)}")


def present(value: Found) -> Json:
    if isinstance(value, Missing):
        raise Unusable(str(value))
    return value


def settled(value: Found) -> Json:
    """The value where null is allowed; what is missing unexpectedly has been misspelt, or was to be dealt with."""
    return None if isinstance(value, Missing) and value.expected else present(value)
