"""What a graph says of a wait: for how long, or until when."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from agentflow.durations import LONGEST, BadDuration, milliseconds
from agentflow.rfc3339 import BadTime, seconds
from agentflow.runtime import clock
from agentflow.runtime.errors import NodeError
from agentflow.runtime.flights import WaitFlight
from agentflow.types import Json

if TYPE_CHECKING:
    from agentflow.runtime.flow import Run


def wait(run: Run, duration: str | None, until: str | None) -> WaitFlight:
    """Sets the timer: one entry of the journal, whatever its length, so that a time in the past is one too."""
    now, ctx = run.invocation.now, run.invocation.ctx
    if duration is not None:
        left = length(run, run.text(duration))
        return WaitFlight(run, clock.sleep(ctx, left, run.path), now + left / 1000)
    due = moment(run, run.expression(until or ""))
    # The run's own clock stands at the last thing that it knows to have happened, which was a while ago where the
    # service has been down since.
    return WaitFlight(run, clock.sleep(ctx, math.ceil(clock.until_then(ctx, due)), run.path), due)


def length(run: Run, text: str) -> int:
    """A duration that was computed, in milliseconds."""
    try:
        return milliseconds(text.strip())
    except BadDuration as problem:
        raise NodeError("fail", f"{run.path}: {problem}: {text[:80]!r}", node=run.path) from None


def moment(run: Run, value: Json) -> float:
    """A time that was computed, in seconds since 1970; at most ten years ahead."""
    if not isinstance(value, str):
        raise NodeError("fail", f"{run.path}: this is not a time: {json.dumps(value)[:80]}", node=run.path)
    try:
        found = seconds(value)
    except BadTime as problem:
        raise NodeError("fail", f"{run.path}: {problem}: {value[:80]!r}", node=run.path) from None
    if found - run.invocation.now > LONGEST / 1000:
        raise NodeError("fail", f"{run.path}: this is more than ten years ahead: {value[:80]!r}", node=run.path)
    return found
