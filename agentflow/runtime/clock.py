"""Time: every durable timer that a run sets is made here, and steps read the clock here, so that a test may hold it."""

from __future__ import annotations

import asyncio
import contextlib
import time as system
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any

import restate

from agentflow.runtime import rehearsal

# What a step may overrun an alarm before it breaks off by itself. An invocation in which one step works for longer than
# the engine's inactivity timeout is told nothing any more, not even that the alarm went off; the step has a clock.
GRACE = 1.0  # seconds


def sleep(ctx: restate.Context, milliseconds: float, name: str | None = None) -> restate.RestateDurableFuture[Any]:
    """A timer that goes off after so long, over restarts of whatever runs here. Journals show its name."""
    if (case := rehearsal.case_of(ctx)) is not None:
        return case.timer(ctx, milliseconds / 1000)
    return ctx.sleep(timedelta(milliseconds=milliseconds), name)


def until_then(ctx: restate.Context, moment: float) -> float:
    """Milliseconds until a moment, for a timer's length and nothing else: the engine checks no length on replay."""
    case = rehearsal.case_of(ctx)
    return max(moment - (system.time() if case is None else case.now), 0) * 1000


# ---------------------------------------------------------------- for steps: never in a handler's own flow


def time() -> float:
    """Seconds since 1970."""
    case = rehearsal.current()
    return system.time() if case is None else case.now


def monotonic() -> float:
    """Seconds, for differences."""
    case = rehearsal.current()
    return system.monotonic() if case is None else case.now


async def pause(seconds: float) -> None:
    """Waits within a step."""
    case = rehearsal.current()
    await (asyncio.sleep(seconds) if case is None else case.pause(seconds))


async def until(event: Awaitable[Any], seconds: float) -> None:
    """Waits for an event within a step, but no longer than this."""
    waiting = asyncio.ensure_future(event)
    late = asyncio.ensure_future(pause(seconds))
    try:
        await asyncio.wait({waiting, late}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        late.cancel()


def last(since: float, seconds: float) -> float:
    """By `monotonic`, when steps break off by themselves under an alarm of `seconds` that was set at `since`."""
    return system.monotonic() + seconds + GRACE if rehearsal.current() is None else since + seconds


@contextlib.contextmanager
def calling(late: Callable[[], None], at: float) -> Iterator[None]:
    """Calls `late` if it becomes that late, by `monotonic`, while the body goes on."""
    case = rehearsal.current()
    if case is None:
        timer = asyncio.get_running_loop().call_later(at - system.monotonic(), late)
        try:
            yield
        finally:
            timer.cancel()
        return

    async def wait() -> None:
        await case.pause(at - case.now, works=True)
        late()

    task = asyncio.ensure_future(wait())
    try:
        yield
    finally:
        task.cancel()
