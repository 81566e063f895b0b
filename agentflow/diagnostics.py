"""A mistake in a user's file as a value: what is wrong, where, and what would be right.

Diagnostics are yielded, never raised; `agentflow.rendering` prints them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Path = tuple[str | int, ...]
"""A place in the YAML: `("nodes", "decide", "prompt")`."""


@dataclass(frozen=True, order=True)
class Span:
    """A stretch of a file: lines and columns from 1, columns in characters, the end exclusive.

    `file` is empty in the file that is being compiled, and the name of one that it includes elsewhere.
    """

    line: int
    column: int
    end_line: int
    end_column: int
    file: str = ""


@dataclass(frozen=True)
class Diagnostic:
    code: str
    message: str
    span: Span
    file: str
    severity: Literal["error", "warning"] = "error"
    note: str | None = None  # after the carets
    help: str | None = None
    related: tuple[tuple[Span, str], ...] = ()


@dataclass(frozen=True)
class Explanation:
    """What `agentflow explain CODE` tells: one sentence, the story, and a wrong and a right example."""

    summary: str
    text: str


def ordered(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """In the order of the file, each once."""
    return sorted(dict.fromkeys(diagnostics), key=lambda d: (d.file, d.span, d.code, d.message))


def quoted(value: object) -> str:
    """A value from a user's file: text in double quotes, on one line, and no longer than a message can bear."""
    if not isinstance(value, str):
        return str(value).lower() if isinstance(value, bool) else str(value)
    text = value
    if len(text) > 60:
        text = text[:57] + "..."
    escaped = text
    if not text.isprintable():
        escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return '"' + escaped.replace('"', '\\"') + '"'


def pointed(path: Path) -> str:
    """The last name of a place, and where in it: `tags[2]`."""
    at = max((at for at, step in enumerate(path) if isinstance(step, str)), default=0)
    return quoted("".join(str(step) if index == 0 else f"[{step}]" for index, step in enumerate(path[at:])))


def nearest(name: str, choices: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The choice that was probably meant, if one is near enough."""
    found = difflib.get_close_matches(name[:100], list(choices), n=1, cutoff=cutoff)
    return found[0] if found else None


def choices_help(name: str, choices: Iterable[str]) -> str | None:
    """Few choices are listed, many get the nearest."""
    known = sorted(choices)
    if (near := nearest(name, known)) is not None:
        return f"did you mean {quoted(near)}?"
    if known and len(known) <= 8:
        return f"there {'is' if len(known) == 1 else 'are'} " + ", ".join(quoted(choice) for choice in known)
    return None
