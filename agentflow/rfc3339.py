"""Times as RFC 3339 writes them: `2026-01-31T08:00:00Z`, `2026-01-31T09:00:00.5+01:00`."""

from __future__ import annotations

import re
from datetime import datetime

_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?P<offset>[Zz]|[+-]\d\d:\d\d)?\Z")
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?!\d)")


class BadTime(ValueError):
    """What is wrong with it, and what would be right if that is known."""

    def __init__(self, message: str, help: str | None = None) -> None:
        super().__init__(message)
        self.help = help


def looks_like_time(text: str) -> bool:
    """Whether it is meant as a date or a time, and is no expression."""
    return _DATE.match(text.strip()) is not None


def seconds(text: str) -> float:
    """A time in seconds since 1970."""
    text = text.strip()
    match = _TIME.match(text)
    if match is None:
        raise BadTime("this is not a time", "times look like 2026-01-31T08:00:00Z or 2026-01-31T09:00:00+01:00")
    if match["offset"] is None:
        raise BadTime("a time needs its offset from UTC", f"write {text}Z, or +01:00 in place of the Z")
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise BadTime("there is no such time") from None
