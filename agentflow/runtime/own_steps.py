"""The steps that a function makes with the restate.Context that it takes: tried again as its tool says, and masked."""

from __future__ import annotations

import asyncio
import functools
import inspect
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import restate
from restate import RunOptions
from restate.exceptions import RetryableError, TerminalError
from restate.serde import DefaultSerde, Serde

from agentflow import ToolError
from agentflow.durations import milliseconds
from agentflow.runtime import clock, steps
from agentflow.runtime.graph import Retry
from agentflow.runtime.secrets import mask

_TOLD = "agentflow.told"  # in a terminal error's metadata: it was a ToolError
_LONGEST = 10 * 365 * 86400  # seconds; a timer takes no infinity
_TRIES = ("max_attempts", "max_duration", "max_retry_duration", "initial_retry_interval", "max_retry_interval")


class _Failed(Exception):
    """What a step raised, without its traceback and without secrets. The engine keeps its `repr`."""

    def __repr__(self) -> str:
        return str(self)


@contextmanager
def tried(ctx: restate.Context, retry: Retry | None, timeout: str | None, last: float) -> Iterator[None]:
    """While it lasts, the steps made with `ctx` that say nothing of tries themselves have those of `retry`.

    Without one, or where it names no number and no time, the engine goes on trying, and pauses for a person. A try has
    its `timeout`, and none goes on after `last`, in seconds since 1970. What a step raises goes to the engine
    masked; a ToolError is not tried again.
    """
    context: Any = ctx
    run, run_typed, tries = context.run, context.run_typed, _options(retry)

    def typed(name: str, action: Callable[..., Any], options: Any = None, /, *args: Any, **kwargs: Any) -> Any:
        options = RunOptions() if options is None else options
        silent = all(getattr(options, each) is None for each in _TRIES)
        return run_typed(
            name, _step(action, timeout, last), replace(options, **tries) if silent else options, *args, **kwargs
        )

    def plain(
        name: str,
        action: Callable[..., Any],
        serde: Serde[Any] | None = None,
        max_attempts: int | None = None,
        max_retry_duration: timedelta | None = None,
        type_hint: Any = None,
        args: tuple[Any, ...] | None = None,
    ) -> Any:
        serde = DefaultSerde() if serde is None else serde
        if max_attempts is None and max_retry_duration is None:
            max_attempts, max_retry_duration = tries.get("max_attempts"), tries.get("max_duration")
        return run(name, _step(action, timeout, last), serde, max_attempts, max_retry_duration, type_hint, args)

    context.run, context.run_typed = plain, typed
    try:
        yield
    finally:
        del context.run, context.run_typed  # the class has its own


def was_told(error: TerminalError) -> bool:
    """Whether a step of the function raised it as a ToolError."""
    return _TOLD in (error.metadata or {})


def masked(error: Exception) -> Exception:
    """The same for the engine, which keeps what it is given: no traceback, and no secrets."""
    if isinstance(error, ToolError):
        return TerminalError(steps.describe(error), metadata={_TOLD: "true"})
    if isinstance(error, TerminalError):
        return TerminalError(mask(error.message), error.status_code, error.metadata)
    if isinstance(error, RetryableError):
        return RetryableError(mask(error.message), error.status_code, error.retry_after)
    return _Failed(steps.describe(error))


def _options(retry: Retry | None) -> dict[str, Any]:
    if retry is None or (retry.attempts is None and retry.within is None):
        return {}
    return {
        "max_attempts": retry.attempts,
        "max_duration": None if retry.within is None else _span(retry.within),
        "initial_retry_interval": _span(retry.initial),
        "max_retry_interval": _span(retry.max),
        "retry_interval_factor": retry.factor,
    }


def _span(duration: str) -> timedelta:
    return timedelta(milliseconds=milliseconds(duration))


def _step(action: Callable[..., Any], timeout: str | None, last: float) -> Callable[..., Any]:
    """The same, each try of it in time, and with nothing in its errors that the engine should not keep."""

    @functools.wraps(action)
    async def step(*args: Any, **kwargs: Any) -> Any:
        left = last - clock.time()
        if left <= 0:
            raise TerminalError("it was not tried again: the time is up", 504)
        limit = math.inf if timeout is None else milliseconds(timeout) / 1000
        try:
            trying = action if inspect.iscoroutinefunction(action) else functools.partial(asyncio.to_thread, action)
            return await asyncio.wait_for(trying(*args, **kwargs), min(left, limit, _LONGEST))
        except TimeoutError as error:
            if clock.time() >= last:
                raise TerminalError("it was cut off: the time is up", 504) from None
            raise masked(error if str(error) else TimeoutError(f"no answer in {timeout}")) from None
        except Exception as error:  # whatever it is, the engine gets it
            raise masked(error) from None

    return step
