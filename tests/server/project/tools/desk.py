"""Tools for the server tests: every effect is a line of a file, and a control file says how each tool behaves."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from typing import Any, Literal

import restate

from agentflow import ToolError


def _control(name: str) -> dict[str, Any]:
    path = os.environ["AGENTFLOW_TEST_EFFECTS"].replace("effects.jsonl", "control.json")
    if not os.path.exists(path):
        return {}
    with open(path) as file:
        found: dict[str, Any] = json.load(file).get(name, {})
        return found


def _log(**line: Any) -> None:
    with open(os.environ["AGENTFLOW_TEST_EFFECTS"], "a") as file:
        file.write(json.dumps({**line, "at": time.time()}) + "\n")


async def _act(tool: str, key: str, **args: Any) -> None:
    """Waits and fails as the control file says, and writes the effect between the two."""
    control = _control(tool)
    _log(tool=tool, key=key, event="begin", **args)
    await asyncio.sleep(control.get("delay", random.random() * float(os.environ.get("AGENTFLOW_TEST_JITTER", "0"))))
    how = control.get("fail")
    if how == "tool":
        raise ToolError(f"{tool} does not want to")
    if how == "terminal":
        raise restate.TerminalError(f"{tool} refuses", status_code=402)
    if how == "error":
        raise RuntimeError(f"{tool} is broken")
    _log(tool=tool, key=key, event="done", **args)
    if os.environ.get("AGENTFLOW_TEST_DIE_AFTER") == tool:
        os._exit(9)  # between the effect and its record


async def act(name: str, idempotency_key: str) -> dict[str, str]:
    """Does something under a name.

    Args:
        name: What to call it.
    """
    await _act("act", idempotency_key, name=name)
    return {"id": f"id_{name}"}


async def undo_act(id: str, idempotency_key: str) -> None:
    """Takes back what `act` did."""
    await _act("undo_act", idempotency_key, id=id)


async def book_flight(to: str, idempotency_key: str) -> dict[str, str]:
    """Books a flight."""
    await _act("book_flight", idempotency_key, to=to)
    return {"id": f"flight_{to}"}


async def book_hotel(to: str, idempotency_key: str) -> dict[str, str]:
    """Books a hotel."""
    await _act("book_hotel", idempotency_key, to=to)
    return {"id": f"hotel_{to}"}


async def charge(amount: int, idempotency_key: str) -> dict[str, str]:
    """Charges the card."""
    await _act("charge", idempotency_key, amount=amount)
    return {"id": f"charge_{amount}"}


async def cancel(what: Literal["flight", "hotel", "charge"], id: str, idempotency_key: str) -> None:
    """Cancels a booking."""
    await _act(f"cancel_{what}", idempotency_key, id=id)


async def look(name: str) -> str:
    """Only looks."""
    await _act("look", "", name=name)
    return f"saw {name}"


async def tell(whom: str, link: str, message: str, idempotency_key: str) -> None:
    """Tells a person."""
    await _act("tell", idempotency_key, whom=whom, link=link, message=message)


def plain(number: int) -> int:
    """A sync function."""
    _log(tool="plain", key="", event="done", number=number)
    return number + 1


async def journaled(ctx: restate.Context, name: str) -> str:
    """Keeps its own journal."""
    first: str = await ctx.run_typed("first", lambda: f"one {name}")
    _log(tool="journaled", key="", event="pass", name=name)
    second: str = await ctx.run_typed("second", lambda: f"two {name}")
    return f"{first}, {second}"
