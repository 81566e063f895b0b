"""The short words that pictures and the tree share: durations, types, values, shortened texts.

Everything that comes from a graph file passes through `visible`, so that no control character, escape sequence or
change of writing direction reaches a terminal or a document.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import assert_never

from agentflow.ir import Schedule
from agentflow.types import (
    Enumeration,
    Json,
    JsonSchema,
    ListOf,
    Named,
    Nullable,
    Object,
    Primitive,
    PythonType,
    Type,
    Union,
)

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_JOINERS = frozenset({"\u200c", "\u200d"})  # within words of some scripts, and within emoji
_TEMPLATE = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))


def visible(text: str) -> str:
    """The text with what cannot be seen written as an escape; newlines and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_visible, text.replace("\r\n", "\n")))


def _visible(char: str) -> str:
    if char in "\n\t" or char in _JOINERS or unicodedata.category(char) not in _UNSEEN:
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def one_line(text: str) -> str:
    return " ".join(visible(text).split())


def shorten(text: str, width: int) -> str:
    """One line of at most `width` characters, cut at a space where there is one near the end."""
    line = one_line(text)
    if len(line) <= width:
        return line
    cut = line[: width - 1]
    space = cut.rfind(" ", width * 2 // 3)
    return (cut[:space] if space > 0 else cut).rstrip(" ,;:(") + "…"


def without_braces(template: str) -> str:
    """`{{ a.b }}` as `{a.b}`: a template for reading, not for running."""
    return _TEMPLATE.sub(r"{\1}", template)


def duration(ms: int) -> str:
    """As one would write it in a graph file: `24h`, but `2d`."""
    if ms == 0:
        return "0s"
    if ms < 2 * 86_400_000 and ms >= 86_400_000:
        return f"{ms // 3_600_000}h" + (duration(ms % 3_600_000) if ms % 3_600_000 else "")
    parts = []
    for unit, size in _UNITS:
        count, ms = divmod(ms, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def timetable(schedule: Schedule) -> str:
    """When a graph starts by itself: `0 8 * * 1-5 Europe/Berlin`, `every 1h`."""
    if schedule.every is not None:
        return f"every {duration(schedule.every)}"
    return f"{schedule.cron} {schedule.timezone}"


def literal(data: Json) -> str:
    """JSON on one line, a text that is no more than a word without its quotes."""
    if isinstance(data, str) and re.fullmatch(r"[\w.+-]+", data):
        return data
    return visible(json.dumps(data, ensure_ascii=False))


def words(data: Json) -> str:
    """A list of names or templates, as it is read aloud."""
    items = data if isinstance(data, list) else [data]
    return ", ".join(one_line(without_braces(item)) if isinstance(item, str) else literal(item) for item in items)


def arguments(data: Json) -> str:
    if not isinstance(data, dict):
        return literal(data)
    return ", ".join(
        f"{visible(name)}: {one_line(value) if isinstance(value, str) else literal(value)}"
        for name, value in data.items()
    )


def type_name(of: Type) -> str:
    match of:
        case Primitive():
            return of.name
        case ListOf():
            return f"[{type_name(of.of)}]"
        case Nullable():
            return f"{type_name(of.of)} | null"
        case Enumeration():
            return visible(" | ".join(of.values))
        case Named():
            return visible(of.name)
        case Object():
            return "{" + fields(of) + "}"
        case Union():
            return " or ".join(type_name(each) for each in of.of)
        case JsonSchema():
            return "JSON Schema"
        case PythonType():
            return visible(of.reference)
        case _:
            assert_never(of)


def fields(of: Object) -> str:
    return ", ".join(
        f"{visible(each.name)}{'?' if each.optional else ''}: {type_name(each.type)}" for each in of.fields
    )
