"""Tools of the golden graphs."""

from __future__ import annotations


def look(name: str) -> str:
    """Looks at something."""
    return name


def copy(name: str, times: int = 1) -> str:
    """Copies something."""
    return name * times


def remove(name: str) -> None:
    """Removes something."""


def mail(to: str, text: str) -> None:
    """Sends a letter."""
