"""Conversations as ADK sees them: entries become events, and what is said becomes entries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from google.adk.events.event import Event
from google.genai import types

from agentflow.runtime.conversations import SYSTEM, USER, Conversation, Entry
from agentflow.runtime.offers import adk_name

_UNKEPT = ("thought_signature",)  # of an answer that has had its turn, no provider asks for it again


def events(conversation: Conversation) -> list[Event]:
    """All that an agent knows of before its turn."""
    found = [event(entry) for entry in conversation.entries()]
    if conversation.summary is not None:
        text = f"[What was said before, in short: {conversation.summary}]"
        found.insert(0, event({"by": SYSTEM, "parts": [{"text": text}]}))
    return found


def event(entry: Entry) -> Event:
    """What the system says is heard as if from the user: models know no third party."""
    by = entry["by"]
    from_model = by not in (USER, SYSTEM) and entry.get("role") != "user"
    parts = [_text(entry)] if by == SYSTEM else entry["parts"]
    content = types.Content.model_validate_json(json.dumps({"role": "model" if from_model else "user", "parts": parts}))
    return Event(author=USER if by in (USER, SYSTEM) else adk_name(by), content=content)


def _text(entry: Mapping[str, Any]) -> dict[str, Any]:
    text = "".join(part.get("text", "") for part in entry["parts"])
    return {"text": f"[{text}]" if "outcome" in entry else text}


def entry(event: Event, agent: str, now: float) -> Entry | None:
    """What an agent said or was given; None where that is nothing to remember."""
    if event.content is None:
        return None
    content = cast("dict[str, Any]", json.loads(event.content.model_dump_json(exclude_none=True)))
    parts = [
        {name: value for name, value in part.items() if name not in _UNKEPT}
        for part in content.get("parts", [])
        if not part.get("thought")
    ]
    if not parts:
        return None
    role = {"role": "user"} if content.get("role") == "user" else {}
    return {"by": agent, **role, "at": round(now, 3), "parts": parts}
