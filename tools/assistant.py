"""The assistant's tools. `state` is what the object keeps: what is changed in it is written when the step completes."""

from __future__ import annotations

import asyncio
from typing import Any

from agentflow import ToolError

ARTICLES = {
    "durable execution": "A program whose steps are journaled, so that it goes on after a crash where it was.",
    "virtual object": "A service with state under a key, which takes one message at a time.",
}


def prefer(language: str, state: dict[str, Any]) -> str:
    """Sets the language in which the user wants to be answered.

    Args:
        language: its English name
    """
    state["language"] = language
    return f"from now on {language}"


def note(text: str, state: dict[str, Any]) -> int:
    """Keeps a note for later turns, and gives how many there are.

    Args:
        text: one sentence
    """
    state["notes"].append(text)
    return len(state["notes"])


async def look_up(subject: str, seconds: float = 0) -> str:
    """Looks a subject up in the library.

    Args:
        subject: what to look for
        seconds: how thoroughly
    """
    await asyncio.sleep(seconds)
    if subject.lower() not in ARTICLES:
        raise ToolError(f"the library has nothing on {subject}; it knows {', '.join(ARTICLES)}")
    return ARTICLES[subject.lower()]
