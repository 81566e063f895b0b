"""The filters and tests of templates: pure functions over JSON, the same list for the compiler and the runtime.

Only `default`, `required` and a few tests take what is missing, or null. Filters that yield lists yield lists.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from agentflow.types import Json
from agentflow.values import (
    Found,
    Missing,
    Unusable,
    as_json,
    bounded,
    contains,
    digits,
    field,
    given,
    item,
    items_of,
    kind,
    less,
    list_of,
    number,
    number_of,
    present,
    same,
    show,
)


def _attribute(value: Found, path: Found) -> Found:
    for part in str(path).split("."):
        value = (
            item(value, int(part), str(path)) if part.isascii() and part.isdigit() else field(value, part, str(path))
        )
    return value


def _picked(values: Found, attribute: Found) -> list[Json]:
    found = list_of(values)
    return found if attribute is None else [present(_attribute(each, attribute)) for each in found]


def _order(values: Sequence[Json], case_sensitive: Found) -> list[tuple[Any, ...]]:
    """Keys to sort by: all numbers, or all texts."""
    if all(map(number, values)):
        return [(value,) for value in values]
    if all(isinstance(value, str) for value in values):
        return [(value if case_sensitive else str(value).lower(),) for value in values]
    raise Unusable("only numbers, or only texts, can be put in order")


# ---------------------------------------------------------------- filters


def _default(value: Found, other: Found = "", boolean: Found = False) -> Found:
    return value if given(value) and (value or not boolean) else other


def _required(value: Found, message: Found = None) -> Json:
    if isinstance(value, Missing) or value is None:
        raise Unusable(
            show(message) if given(message) else str(value) if value is not None else "a required value is null"
        )
    return value


def _length(value: Found) -> int:
    if isinstance(value, str | list | dict):
        return len(value)
    raise Unusable(str(value) if isinstance(value, Missing) else f"{kind(value)} has no length")


def _join(value: Found, d: Found = "", attribute: Found = None) -> str:
    texts = [show(each) for each in (_picked(value, attribute))]
    between = show(d)
    bounded(sum(map(len, texts)) + len(between) * len(texts))
    return between.join(texts)


def _sort(value: Found, reverse: Found = False, case_sensitive: Found = False, attribute: Found = None) -> Json:
    found = list_of(value)
    keys = _order(_picked(value, attribute), case_sensitive)
    order = sorted(range(len(found)), key=keys.__getitem__, reverse=bool(reverse))
    return [found[index] for index in order]


def _unique(value: Found, case_sensitive: Found = False, attribute: Found = None) -> Json:
    seen: set[str] = set()
    kept: list[Json] = []
    for each, key in zip(list_of(value), _picked(value, attribute), strict=True):
        mark = json.dumps(key if case_sensitive or not isinstance(key, str) else key.lower(), sort_keys=True)
        if mark not in seen:
            seen.add(mark)
            kept.append(each)
    return kept


def _extreme(value: Found, case_sensitive: Found, attribute: Found, which: Callable[..., Any], name: str) -> Found:
    found = list_of(value)
    keys = _order(_picked(value, attribute), case_sensitive)
    return found[which(range(len(found)), key=keys.__getitem__)] if found else Missing(name, "the list is empty", True)


def _min(value: Found, case_sensitive: Found = False, attribute: Found = None) -> Found:
    return _extreme(value, case_sensitive, attribute, min, "the smallest")


def _max(value: Found, case_sensitive: Found = False, attribute: Found = None) -> Found:
    return _extreme(value, case_sensitive, attribute, max, "the largest")


def _first(value: Found) -> Found:
    return next(iter(items_of(value)), Missing("the first", "there is none", True))


def _last(value: Found) -> Found:
    return next(reversed(items_of(value)), Missing("the last", "there is none", True))


def _reverse(value: Found) -> Json:
    return value[::-1] if isinstance(value, str) else list_of(value)[::-1]


def _sum(value: Found, attribute: Found = None, start: Found = 0) -> Json:
    total = number_of(start)
    for each in _picked(value, attribute):
        total += number_of(each)
    return total


def _map(value: Found, name: Found = None, *args: Found, attribute: Found = None, default: Found = None) -> Json:
    found = items_of(value)
    if attribute is not None:
        return [present(_default(_attribute(each, attribute), default) if default is not None
                         else _attribute(each, attribute)) for each in found]  # fmt: skip
    return [present(FILTERS[str(name)](each, *args)) for each in found]


def _select(value: Found, test: Found = None, *args: Found) -> Json:
    return [each for each in items_of(value) if _holds(each, test, args)]


def _reject(value: Found, test: Found = None, *args: Found) -> Json:
    return [each for each in items_of(value) if not _holds(each, test, args)]


def _selectattr(value: Found, attribute: Found, test: Found = None, *args: Found) -> Json:
    return [each for each in list_of(value) if _holds(_attribute(each, attribute), test, args)]


def _rejectattr(value: Found, attribute: Found, test: Found = None, *args: Found) -> Json:
    return [each for each in list_of(value) if not _holds(_attribute(each, attribute), test, args)]


def _holds(value: Found, test: Found, args: tuple[Found, ...]) -> bool:
    return bool(value) if test is None else TESTS[str(test)](value, *args)


def _upper(value: Found) -> str:
    return show(value).upper()


def _lower(value: Found) -> str:
    return show(value).lower()


def _capitalize(value: Found) -> str:
    return show(value).capitalize()


def _title(value: Found) -> str:
    return show(value).title()


def _trim(value: Found, chars: Found = None) -> str:
    return show(value).strip(None if chars is None else show(chars))


def _replace(value: Found, old: Found, new: Found, count: Found = None) -> str:
    text, before, after = show(value), show(old), show(new)
    most = -1 if count is None else digits(count)
    bounded(len(text) + text.count(before) * len(after))
    return text.replace(before, after, most)


def _truncate(value: Found, length: Found = 255, killwords: Found = False, end: Found = "...") -> str:
    text, tail = show(value), show(end)
    most = digits(length)
    if len(text) <= most:
        return text
    cut = text[: max(most - len(tail), 0)]
    return (cut if killwords else cut.rsplit(" ", 1)[0]) + tail


def _indent(value: Found, width: Found = 4, first: Found = False) -> str:
    text, space = show(value), " " * min(max(digits(width), 0), 100)
    bounded(len(text) + (text.count("\n") + 1) * len(space))
    lines = text.split("\n")
    return "\n".join((space + line) if line and (first or index) else line for index, line in enumerate(lines))


def _wordcount(value: Found) -> int:
    return len(show(value).split())


def _string(value: Found) -> str:
    return show(value)


def _tojson(value: Found, indent: Found = None) -> str:
    return as_json(value, None if indent is None else min(max(digits(indent), 0), 16))


def _round(value: Found, precision: Found = 0, method: Found = "common") -> Json:
    found, places = number_of(value), digits(precision)
    if method not in ("common", "ceil", "floor"):
        raise Unusable("round goes by common, ceil or floor")
    if isinstance(found, int) and places >= 0:
        return found
    if abs(places) > 300:
        raise Unusable("so many places cannot be rounded to")
    if method == "common":
        return round(found) if places == 0 else round(found, places)
    scale = 10.0**places
    scaled = math.ceil(found * scale) if method == "ceil" else math.floor(found * scale)
    return scaled if places == 0 else scaled / scale


def _abs(value: Found) -> Json:
    return abs(number_of(value))


def _int(value: Found, default: Found = None) -> Json:
    return _converted(value, default, lambda text: int(text, 10), int, "a whole number")


def _float(value: Found, default: Found = None) -> Json:
    return _converted(value, default, float, float, "a number")


def _converted(
    value: Found, default: Found, read: Callable[[str], Json], turn: Callable[[Any], Json], what: str
) -> Json:
    try:
        if number(value):
            return turn(value)
        if isinstance(value, str) and math.isfinite(float(value)):
            return read(value.strip())
    except (ValueError, OverflowError):
        pass
    if default is not None:
        return present(default)
    raise Unusable(str(value) if isinstance(value, Missing) else f"{kind(value)} that is not {what} was to become one")


def _list(value: Found) -> Json:
    return list(items_of(value))


def _items(value: Found) -> Json:
    if isinstance(value, dict):
        return [[key, each] for key, each in value.items()]
    raise Unusable(str(value) if isinstance(value, Missing) else f"an object is needed, not {kind(value)}")


def _dictsort(value: Found, case_sensitive: Found = False, by: Found = "key", reverse: Found = False) -> Json:
    pairs = _items(value)
    assert isinstance(pairs, list)
    if by not in ("key", "value"):
        raise Unusable("dictsort goes by key or by value")
    return _sort(pairs, reverse, case_sensitive, "0" if by == "key" else "1")


FILTERS: Mapping[str, Callable[..., Found]] = {
    "abs": _abs,
    "capitalize": _capitalize,
    "default": _default,
    "dictsort": _dictsort,
    "first": _first,
    "float": _float,
    "indent": _indent,
    "int": _int,
    "items": _items,
    "join": _join,
    "last": _last,
    "length": _length,
    "list": _list,
    "lower": _lower,
    "map": _map,
    "max": _max,
    "min": _min,
    "reject": _reject,
    "rejectattr": _rejectattr,
    "replace": _replace,
    "required": _required,
    "reverse": _reverse,
    "round": _round,
    "select": _select,
    "selectattr": _selectattr,
    "sort": _sort,
    "string": _string,
    "sum": _sum,
    "title": _title,
    "tojson": _tojson,
    "trim": _trim,
    "truncate": _truncate,
    "unique": _unique,
    "upper": _upper,
    "wordcount": _wordcount,
}
TAKES_NOTHING = frozenset({"default", "required"})  # filters that may be given what is missing
NAMES_A_TEST: Mapping[str, int] = {"map": 0, "select": 0, "reject": 0, "selectattr": 1, "rejectattr": 1}

# ---------------------------------------------------------------- tests


def _whole(value: Found) -> int:
    return digits(present(value))


TESTS: Mapping[str, Callable[..., bool]] = {
    "boolean": lambda value: isinstance(value, bool),
    "defined": given,
    "divisibleby": lambda value, num: digits(num) != 0 and _whole(value) % digits(num) == 0,
    "eq": same,
    "even": lambda value: _whole(value) % 2 == 0,
    "failed": lambda value: False,  # asked of a node's name; the evaluation knows the answer
    "false": lambda value: value is False,
    "float": lambda value: isinstance(value, float),
    "ge": lambda value, other: given(value) and given(other) and not less(value, other),
    "gt": lambda value, other: less(other, value),
    "in": lambda value, seq: contains(seq, value),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "le": lambda value, other: given(value) and given(other) and not less(other, value),
    "lower": lambda value: show(value).islower(),
    "lt": less,
    "mapping": lambda value: isinstance(value, dict),
    "ne": lambda value, other: not same(value, other),
    "none": lambda value: not given(value),
    "number": number,
    "odd": lambda value: _whole(value) % 2 == 1,
    "sequence": lambda value: isinstance(value, list),
    "skipped": lambda value: False,  # likewise
    "string": lambda value: isinstance(value, str),
    "true": lambda value: value is True,
    "undefined": lambda value: not given(value),
    "upper": lambda value: show(value).isupper(),
}


def arguments_fit(function: Callable[..., object], args: Sequence[object], named: Iterable[tuple[str, object]]) -> str:
    """What is wrong with the arguments, or nothing."""
    return _fit(function, len(args), tuple(name for name, _ in named))


@lru_cache(maxsize=4096)
def _fit(function: Callable[..., object], count: int, named: tuple[str, ...]) -> str:
    if len({*named}) < len(named):
        return "is given an argument twice"
    try:
        inspect.signature(function).bind(None, *range(count), **dict.fromkeys(named))
    except TypeError as error:
        return f"cannot be used so: {error}"
    return ""
