"""How wide a text is where each character has one cell, or two, as in a terminal and for a formatter's line length."""

from __future__ import annotations

import unicodedata


def cells(text: str) -> int:
    """A text without control characters, in cells: two for a wide character, none for one that combines."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
