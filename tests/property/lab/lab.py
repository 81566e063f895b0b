"""Tools for graphs that are made at random: each does what its arguments say, and writes down that it did."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

import restate

from agentflow import ToolError


@dataclass
class Done:
    id: str
    ok: bool


def _do(tool: str, name: str, fail: str, key: str) -> None:
    if fail == "tool":
        raise ToolError(f"{name} does not want to")
    if fail == "terminal":
        raise restate.TerminalError(f"{name} refuses", status_code=402)
    if fail == "error":
        raise RuntimeError(f"{name} is broken")
    with open(os.environ["AGENTFLOW_TEST_EFFECTS"], "a") as file:
        file.write(json.dumps({"tool": tool, "name": name, "key": key, "event": "done"}) + "\n")


def act(name: str, idempotency_key: str, fail: str = "") -> Done:
    """Does something that can be undone."""
    _do("act", name, fail, idempotency_key)
    return Done(name, True)


def work(name: str, idempotency_key: str, fail: str = "") -> str:
    """Does something that nobody undoes."""
    _do("work", name, fail, idempotency_key)
    return f"did {name}"


def undo(name: str, idempotency_key: str) -> None:
    """Undoes what was done under a name."""
    _do("undo", name, "", idempotency_key)


def add(number: int, more: int = 1) -> int:
    """Adds."""
    return number + more


def upto(number: int) -> list[int]:
    """The first few whole numbers from 1."""
    return list(range(1, min(max(number, 0), 4) + 1))
