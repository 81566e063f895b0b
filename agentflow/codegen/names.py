"""Names in a generated module: each its own, from the graph's words, ASCII, and never Python's."""

from __future__ import annotations

import builtins
import keyword
import re

_RESERVED = {
    "GRAPH",
    "SERVICES",
    "Annotated",
    "Any",
    "Literal",
    "af",
    "annotations",
    "run",
    "case",
    "match",
    "type",
    "_",
}


class Names:
    """Hands out names; the same request in the same order gives the same names."""

    def __init__(self) -> None:
        self._taken = {*_RESERVED, *keyword.kwlist, *dir(builtins)}

    def take(self, wanted: str) -> str:
        """`wanted` as an identifier, numbered where it is taken."""
        base = identifier(wanted)
        name, number = base, 2
        while name in self._taken:
            name, number = f"{base}_{number}", number + 1
        self._taken.add(name)
        return name


def identifier(text: str) -> str:
    """An ASCII identifier that looks like `text`: Python folds other letters, so they are left out."""
    word = re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_") or "x"
    return f"n_{word}" if word[0].isdigit() else word


def class_name(*words: str) -> str:
    """`sign_off`, `form` as `SignOffForm`."""
    return "".join(part[:1].upper() + part[1:] for word in words for part in re.split(r"[^A-Za-z0-9]+", word) if part)


def constant_name(*words: str) -> str:
    return "_".join(identifier(word) for word in words).upper()
