"""Conversations as ADK and the models see them: entries become contents, and what is said becomes entries.

What was said before a turn does not go through ADK, which copies the whole history for every model call: it is put
before the contents of the turn, and what an entry looks like to an agent is made once and kept.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, cast

from google.adk.events.event import Event
from google.genai import types

from agentflow.runtime.conversations import SYSTEM, USER, Entry, transcript

_UNKEPT = ("thought_signature",)  # of an answer that has had its turn, no provider asks for it again


def contents(entries: Sequence[Entry], summary: str | None, agent: str) -> list[types.Content]:
    """What an agent is given of the past. They are shared: whoever changes one takes a copy."""
    found = [] if summary is None else [_heard(f"[What was said before, in short: {summary}]")]
    for entry in entries:
        told = {name: entry[name] for name in ("by", "role", "parts", "outcome") if name in entry}
        found.append(_content(json.dumps(told), agent))
    return found


@lru_cache(maxsize=8192)
def _content(told: str, agent: str) -> types.Content:
    entry: Entry = json.loads(told)
    if entry["by"] == SYSTEM:  # models know no third party
        text = "".join(part.get("text", "") for part in entry["parts"])
        return _heard(f"[{text}]" if "outcome" in entry else text)
    if entry["by"] not in (USER, agent):
        return _heard(f"For context, of another agent:\n{transcript([entry])}")
    parts = [_without_id(part) for part in entry["parts"]]
    role = "user" if entry["by"] == USER or entry.get("role") == "user" else "model"
    return types.Content.model_validate_json(json.dumps({"role": role, "parts": parts}))


def _heard(text: str) -> types.Content:
    return types.Content(role="user", parts=[types.Part(text=text)])


def _without_id(part: dict[str, Any]) -> dict[str, Any]:
    """The ids of calls are ours, and not shown to providers: calls and results follow each other."""
    return {
        name: {key: each for key, each in value.items() if key != "id"} if name.startswith("function_") else value
        for name, value in part.items()
    }


def event(entry: Entry) -> Event:
    """What is said to an agent in its turn."""
    return Event(author=USER, content=_heard("".join(part["text"] for part in entry["parts"])))


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
