"""What the golden object remembers."""

from __future__ import annotations

from typing import Any


def remember(name: str, state: dict[str, Any]) -> str:
    """Remembers the user's name."""
    state["name"] = name
    return name
