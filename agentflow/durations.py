"""Durations: `500ms 30s 5m 24h 7d 1h30m`, as milliseconds."""

from __future__ import annotations

import re

_UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_DURATION = re.compile(r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m(?!s))?(?:(\d{1,9})s)?(?:(\d{1,12})ms)?\Z")
LONGEST = 3650 * _UNITS["d"]


class BadDuration(ValueError):
    """What is wrong with it, and what would be right if that is known."""

    def __init__(self, message: str, help: str | None = None) -> None:
        super().__init__(message)
        self.help = help


def milliseconds(text: str, least: int = 1) -> int:
    """The length of a duration: at least `least`, and at most ten years. Raises BadDuration."""
    match = _DURATION.match(text)
    if not text or match is None:
        if re.fullmatch(r"-?\d+(\.\d+)?", text):
            raise BadDuration(
                "a duration needs a unit", f"write {text}s, or one of ms m h d" if text.isdigit() else None
            )
        raise BadDuration("this is not a duration", "durations look like 500ms, 30s, 5m, 24h, 7d or 1h30m")
    total = sum(int(number) * unit for number, unit in zip(match.groups(), _UNITS.values(), strict=True) if number)
    if not least <= total <= LONGEST:
        raise BadDuration("a duration is more than nothing and at most 3650d")
    return total
