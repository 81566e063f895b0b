"""Following a run: what its readers ask for, and how they wait for what has not happened yet.

A handler sees the state as it was when it began. One that waits for news listens, in a durable step, to what this very
process writes, which costs the engine nothing, and then asks again through the same handler. What another process
writes is not heard; so it asks again from time to time anyway, more and more rarely.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import restate
from restate.exceptions import TerminalError

from agentflow import events
from agentflow.durations import milliseconds
from agentflow.runtime import steps

MOST = 1000  # events in one answer
LARGEST = 1024 * 1024  # bytes, beyond which an answer takes no further large event
LONGEST = 60_000  # milliseconds that a reader is kept waiting
SOON, LATE = 0.05, 1.5  # seconds between two looks; a step takes no longer, since it keeps the engine from suspending
RARELY = 3  # of the long pauses, those after which it looks


@dataclass(frozen=True)
class Asked:
    start: int
    wait: float  # seconds
    run: str | None = None  # the invocation of the turn that is meant, where a key has many


def question(asked: Asked, wait: float = 0) -> bytes:
    """The body that asks for the same, with another time to wait."""
    return json.dumps(events.question(asked.start, wait, asked.run)).encode()


def read(body: bytes) -> Asked:
    """`{"from": n, "wait": "20s", "run": id}`, all of which may be left out. Raises TerminalError with 400."""
    try:
        given = json.loads(body) if body.strip() else {}
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict) or not given.keys() <= {"from", "wait", "run"}:
        raise TerminalError('events are asked for with {"from": NUMBER, "wait": "20s"}', status_code=400)
    start, wait, run = given.get("from", 0), given.get("wait", "0s"), given.get("run")
    if not isinstance(start, int) or isinstance(start, bool) or not 0 <= start < 2**53:
        raise TerminalError("from must be the number of an event: 0, 1, 2...", status_code=400)
    try:
        length = milliseconds(wait, least=0)
    except (TypeError, ValueError):
        raise TerminalError("wait must be a duration, like 20s", status_code=400) from None
    if not isinstance(run, str | None):
        raise TerminalError("run must be the id of an invocation", status_code=400)
    return Asked(start, min(length, LONGEST) / 1000, run)


class Bell:
    """Rings when something is written of a run in this process."""

    def __init__(self) -> None:
        self.rung = 0
        self._heard = asyncio.Event()

    def ring(self) -> None:
        """Whoever listens hears it, those too that begin to listen before the next one."""
        self.rung += 1
        heard, self._heard = self._heard, asyncio.Event()
        heard.set()

    async def listen(self, before: int, seconds: float) -> dict[str, Any]:
        """Until it has rung more often than `before`, or so long."""
        began = time.monotonic()
        if self.rung == before:
            try:
                await asyncio.wait_for(self._heard.wait(), seconds)
                await asyncio.sleep(SOON)  # what was written is on its way, and more may come with it
            except TimeoutError:
                pass
        return {"rung": self.rung, "heard": self.rung != before, "waited": max(time.monotonic() - began, SOON)}


@dataclass(frozen=True)
class Listener:
    bell: Bell
    before: int  # how often it had rung before the first look


_bells: WeakValueDictionary[tuple[str, str], Bell] = WeakValueDictionary()


def listener(service: str, key: str) -> Listener:
    """To be made before the first look. A bell goes with the last who listens to it."""
    bell = _bells.get((service, key))
    if bell is None:
        bell = _bells[(service, key)] = Bell()
    return Listener(bell, bell.rung)


def ring(service: str, key: str) -> None:
    if _bells and (found := _bells.get((service, key))) is not None:
        found.ring()


async def answered(
    ctx: restate.Context, service: str, key: str, asked: Asked, found: dict[str, Any], listener: Listener
) -> bytes:
    """`found`, or what has come since, as soon as there is something or the time is up."""
    waited, pause, looks = 0.0, SOON, 0
    heard = listener.before
    while not found["events"] and not found["ended"] and waited < asked.wait:
        looks += 1
        listen = partial(listener.bell.listen, heard, min(pause, asked.wait - waited))
        news = await steps.journaled(ctx, f"news#{looks}", listen)
        waited, heard = waited + news["waited"], news["rung"]
        pause = SOON if news["heard"] else min(pause * 2, LATE)
        if pause == LATE and looks % RARELY and waited < asked.wait:
            continue
        found = json.loads(await ctx.generic_call(service, "events", question(asked), key=key))
    return json.dumps(found, ensure_ascii=False).encode()
