"""Tools for the server tests: every effect is a line of a file, and a control file says how each tool behaves."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from datetime import timedelta
from typing import Any

import restate

from agentflow import ToolError


def _control(tool: str, name: str) -> dict[str, Any]:
    """What the control file says of the tool, or of the tool under this name alone."""
    path = os.environ["AGENTFLOW_TEST_EFFECTS"].replace("effects.jsonl", "control.json")
    if not os.path.exists(path):
        return {}
    with open(path) as file:
        found: dict[str, Any] = json.load(file).get(tool, {})
    named = found.get(name)
    return named if isinstance(named, dict) else found


def _log(**line: Any) -> None:
    with open(os.environ["AGENTFLOW_TEST_EFFECTS"], "a") as file:
        file.write(json.dumps({**line, "at": time.time()}) + "\n")


def _begun(key: str) -> int:
    with open(os.environ["AGENTFLOW_TEST_EFFECTS"]) as file:
        return sum(line["key"] == key and line["event"] == "begin" for line in map(json.loads, file))


async def _act(tool: str, key: str, name: str) -> None:
    """Waits and fails as the control file says, and writes the effect between the two.

    `delay` in seconds; `fail` as tool, terminal or error, with `times` only so many times; `die` exits before the
    effect, or with `after` between the effect and its record.
    """
    control = _control(tool, name)
    _log(tool=tool, key=key, event="begin", name=name)
    await asyncio.sleep(control.get("delay", random.random() * float(os.environ.get("AGENTFLOW_TEST_JITTER", "0"))))
    how = control.get("fail")
    if "times" in control and _begun(key) > control["times"]:
        how = None
    if how == "tool":
        raise ToolError(f"{tool} does not want to")
    if how == "terminal":
        raise restate.TerminalError(f"{tool} refuses", status_code=402)
    if how == "error":
        raise RuntimeError(f"{tool} is broken")
    _log(tool=tool, key=key, event="done", name=name)


async def act(name: str, idempotency_key: str) -> dict[str, str]:
    """Does something under a name.

    Args:
        name: What to call it.
    """
    await _act("act", idempotency_key, name)
    return {"id": name}


async def undo_act(id: str, idempotency_key: str) -> None:
    """Takes back what `act` did."""
    await _act("undo_act", idempotency_key, id)


async def undo_try(name: str, idempotency_key: str) -> None:
    """Takes back what `act` did or may have done."""
    await _act("undo_try", idempotency_key, name)


async def work(name: str, idempotency_key: str) -> str:
    """Does something that nobody takes back."""
    await _act("work", idempotency_key, name)
    return f"did {name}"


async def look(name: str) -> str:
    """Only looks."""
    await _act("look", "", name)
    return f"saw {name}"


async def tell(whom: str, link: str, message: str, idempotency_key: str) -> None:
    """Tells a person."""
    _log(tool="tell", key=idempotency_key, event="done", name=whom, link=link, message=message)


def count(number: int) -> int:
    """Adds one; a sync function."""
    _log(tool="count", key="", event="done", name=str(number))
    return number + 1


async def journaled(ctx: restate.Context, name: str) -> str:
    """Keeps its own journal."""
    first: str = await ctx.run_typed("first", lambda: f"one {name}")
    _log(tool="journaled", key="", event="pass", name=name)
    second: str = await ctx.run_typed("second", lambda: f"two {name}")
    return f"{first}, {second}"


async def nap(ctx: restate.Context, name: str, ms: int, fail: str = "") -> str:
    """Keeps its own journal, and sleeps in it."""
    await ctx.sleep(timedelta(milliseconds=ms))
    _log(tool="nap", key="", event="done", name=name)
    if fail == "value" and _begun("nap") == 0:
        _log(tool="nap", key="nap", event="begin", name=name)
        raise ValueError("not this time")
    return name


def numbers(count: int) -> list[int]:
    """The first whole numbers."""
    return list(range(count))


async def jot(name: str, state: dict[str, Any], idempotency_key: str) -> int:
    """Keeps a name in the state of the object; how many there are."""
    state["names"].append(name)
    await _act("jot", idempotency_key, name)
    return len(state["names"])


async def spoil(state: dict[str, Any]) -> None:
    """Leaves a state that does not fit."""
    state["names"] = "none"


async def jot_journaled(ctx: restate.Context, name: str, state: dict[str, Any]) -> int:
    """Keeps a name, with a journal of its own."""
    await ctx.run_typed("a step", lambda: 1)
    state["names"].append(name)
    return len(state["names"])


async def two_steps(ctx: restate.Context, how: str) -> str:
    """Makes two durable steps of its own, of which one fails."""

    async def fails() -> str:
        _log(tool="two", key="", event="begin", name=how)
        secret = os.environ["DESK_TOKEN"]
        if how == "tool":
            raise ToolError(f"not with {secret}")
        if how == "terminal":
            raise restate.TerminalError(f"refused to {secret}", status_code=402)
        if how == "error":
            raise RuntimeError(f"broken by {secret}")
        if how == "slow":
            await asyncio.sleep(30)
        return how

    first = await ctx.run_typed("first", lambda: "one")
    if how == "plain":
        await fails()
        raise RuntimeError(f"beside them, {os.environ['DESK_TOKEN']}")
    return first + await ctx.run_typed("fails", fails)
