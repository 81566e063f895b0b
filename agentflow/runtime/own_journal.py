"""Tools that take a restate.Context: they keep a journal of their own inside the caller's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from restate.exceptions import SdkInternalBaseException, TerminalError
from restate.server_context import DisconnectedException

from agentflow import ToolError
from agentflow.runtime import own_steps, rehearsal, saga, steps
from agentflow.runtime.errors import Cancelled, Interruption, NodeError, TimedOut
from agentflow.runtime.graph import Retry, Tool, Undo
from agentflow.runtime.operations import Operation
from agentflow.runtime.schema import Mismatch, bind
from agentflow.runtime.signature import signature_of
from agentflow.types import Json

if TYPE_CHECKING:
    from agentflow.runtime.flow import Run


async def call_with_context(
    run: Run, tool: Tool, args: Mapping[str, Json], retry: Retry | None = None, undo: Undo | None = None
) -> Json:
    """Calls the function in the handler itself; it alone awaits the context until it returns.

    `retry` and `undo` are the node's own. What the function raises that is not terminal is the engine's to try again,
    replaying it; what its own steps raise is tried as `retry` says.
    """
    invocation = run.invocation
    if (case := rehearsal.current()) is not None and not case.is_real(tool):
        return await run.land(run.start_tool(tool, args, retry, undo))  # what stands in for it is one step
    trace, began = invocation.report.trace, invocation.now
    outcome: steps.Outcome = {"began": began, "tries": 1}  # how long it took is seldom in the journal
    try:
        value = await _call(run, tool, args, retry or tool.retry, undo or tool.undo)
        outcome["value"] = value
    except NodeError as error:
        outcome["failed"] = error.as_json()
        raise
    except Interruption:
        outcome["failed"] = {"kind": "cancelled", "code": 499, "message": "cut off"}
        raise
    finally:
        if trace is not None and ("value" in outcome or "failed" in outcome):  # else the attempt was suspended
            trace.tool(run.path, tool, args, {**outcome, "at": invocation.now})
    return value


async def _call(run: Run, tool: Tool, args: Mapping[str, Json], retry: Retry | None, undo: Undo | None) -> Json:
    invocation = run.invocation
    await invocation.reserve("tool_calls", run.path)
    key = f"{invocation.run['id']}:{run.path}"
    function = tool.does
    assert not isinstance(function, Operation), tool.name
    context = signature_of(function).context
    assert context is not None
    state = invocation.kept.mapping() if invocation.kept is not None and tool.takes_state else None
    try:
        arguments = bind(function, args, idempotency_key=key, state=state)
    except Mismatch as mismatch:
        raise NodeError("tool", f"{tool.name}: the arguments do not fit: {mismatch}", code=400, node=run.path) from None
    entry = None if undo is None else saga.Entry.of(undo, run.path, key, args, run.scope)
    invocation.report.flush()
    due = min((alarm.due for alarm in invocation.alarms), default=math.inf)
    try:
        with own_steps.tried(invocation.ctx, retry, tool.timeout, due):
            result = await function(**arguments, **{context: invocation.ctx})
    except steps.EXITS as exit:
        raise steps.exited(exit) from None
    except DisconnectedException:
        raise
    except Exception as raised:
        error = _ending(raised)
        if error is None:
            raise own_steps.masked(raised) from None  # the engine keeps what it is given
        code = error.status_code if isinstance(error, TerminalError) else 500
        cancelled = code == 409 and error.args[:1] == ("cancelled",)  # what the engine tells whoever awaits the context
        if entry is not None and (cancelled or entry.on == "attempted"):
            await invocation.learn_the_time(run.path)
            entry.at, entry.unknown = invocation.now, cancelled
            invocation.undo.append(entry)
        if cancelled:
            invocation.note_cancel()
            raise Cancelled from None
        if code == 504:
            await _check_time(run, known=False)
        told = isinstance(error, ToolError) or own_steps.was_told(error)
        raise NodeError("tool", steps.describe(error), code=code, node=run.path, told=told) from None
    try:
        value = steps.to_json(result)
    except ValueError as error:
        raise NodeError("tool", f"the result of {tool.name} {error}", node=run.path) from None
    if state is not None and invocation.kept is not None:
        invocation.keep(steps.changed(tool, invocation.kept, state))
    if entry is not None:
        await invocation.learn_the_time(run.path)
        entry.complete(value, invocation.now)
        invocation.undo.append(entry)
    await _check_time(run, known=entry is not None)
    return value


def _ending(raised: Exception) -> ToolError | TerminalError | None:
    """The error that is final, also where the function has dressed it up. What ends the attempt is raised on."""
    if isinstance(raised, ToolError):
        return raised
    cause: BaseException | None = raised
    while cause is not None:
        if isinstance(cause, SdkInternalBaseException):
            raise raised
        if isinstance(cause, TerminalError):
            return cause
        cause = cause.__cause__
    return None


async def _check_time(run: Run, *, known: bool) -> None:
    """Nothing could interrupt the function; a time limit that has passed meanwhile holds now."""
    invocation = run.invocation
    if not invocation.alarms:
        return
    if not known:
        await invocation.learn_the_time(run.path)
    if invocation.cancelled:
        raise Cancelled
    for alarm in invocation.alarms:
        if alarm.due <= invocation.now:
            raise TimedOut(alarm)
