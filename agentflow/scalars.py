"""YAML 1.2 scalars: what a plain one means, and where in the file each character of a value stands."""

from __future__ import annotations

import re

from agentflow.types import Json

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?\Z")
_CONSTANTS: dict[str, Json] = {"true": True, "false": False, "null": None, "~": None, "": None}
_STARTS = frozenset("-0123456789")
_ESCAPE_LENGTHS = {"x": 4, "u": 6, "U": 10}
_SPACE = " \t\n\r"


class Truth(str):
    """`true` or `false` as a key: neither that text, nor the number that a boolean is equal to in Python."""

    __slots__ = ()

    @property
    def value(self) -> bool:
        return str.__eq__(self, "true")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Truth) and str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((Truth, str(self)))


class NumberTooLarge(ValueError):
    """A number that neither JSON's readers nor Python's floats can hold."""


def plain(text: str) -> Json:
    """What an unquoted scalar means: `true`, `null`, a number as JSON writes it, else text."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in _STARTS or not (match := _NUMBER.match(text)):
        return text
    if match[1] is None and match[2] is None:
        if len(text) > 40:
            raise NumberTooLarge(text)
        return int(text)
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise NumberTooLarge(text)
    return number


def places(raw: str, style: str | None, value: str) -> list[int] | None:
    """For each character of a value (and its end) its offset in the raw scalar; None where they do not align.

    Both are walked together: white space that folding dropped or added is skipped, escapes are one character.
    """
    at = 0
    if style in ("|", ">"):
        at = raw.find("\n") + 1
    elif style in ("'", '"'):
        at = 1
    found: list[int] = []
    for char in value:
        if char in _SPACE and not (style == '"' and raw[at : at + 1] == "\\"):
            if char == "\n":  # the indentation and what folding dropped lie before it
                while raw[at : at + 1] in (" ", "\t"):
                    at += 1
            found.append(at)
            at += raw[at : at + 1] != "" and raw[at] in _SPACE
            continue
        while raw[at : at + 1] != "" and raw[at] in _SPACE:
            at += 1
        if style == '"' and raw[at : at + 2] in ("\\\n", "\\\r"):
            at += 2
            while raw[at : at + 1] != "" and raw[at] in _SPACE:
                at += 1
        step = 1
        if style == '"' and raw[at : at + 1] == "\\":
            step = _ESCAPE_LENGTHS.get(raw[at + 1 : at + 2], 2)
        elif raw[at : at + 1] != char:
            return None
        elif style == "'" and char == "'":
            step = 2
        found.append(at)
        at += step
    found.append(at)
    return found
