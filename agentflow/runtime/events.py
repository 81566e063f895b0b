"""Messages to a run: how a node waits for one, and the public handler that takes them in."""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Any

import restate
from restate.exceptions import TerminalError

from agentflow.durations import milliseconds
from agentflow.runtime import messages, results, saga
from agentflow.runtime.errors import NodeError
from agentflow.runtime.flights import Flight
from agentflow.runtime.graph import Event, Graph
from agentflow.runtime.invocation import Future
from agentflow.runtime.schema import Mismatch
from agentflow.runtime.times import rfc3339
from agentflow.types import Json

if TYPE_CHECKING:
    from agentflow.runtime.flow import Run


def receive(run: Run, event: Event, timeout: str | None, on_timeout: str) -> EventFlight:
    """Waits for the oldest message of that name which nobody has taken; its data are the value.

    Where nobody sends one in time: null, or a failure of the kind `event` with 504.
    """
    invocation = run.invocation
    waiter, future = invocation.ctx.awakeable(type_hint=dict)
    flight = EventFlight(run, future, event, waiter, on_timeout)
    length = None if timeout is None else milliseconds(timeout)
    flight.tell("take", waiter=waiter, node=run.path, timeout=length)
    until = None if length is None else rfc3339(invocation.now + length / 1000)
    flight.waits = {"kind": "event", "event": event.name, "until": until}
    return flight


class EventFlight(Flight):
    def __init__(self, run: Run, future: Future, event: Event, waiter: str, on_timeout: str) -> None:
        super().__init__(run, future)
        self.event = event
        self.waiter = waiter
        self.on_timeout = on_timeout
        self.unwanted = False

    def tell(self, handler: str, **body: Json) -> None:
        invocation = self.run.invocation
        messages.send(invocation.ctx, invocation.graph.name, _key(self.run), handler, name=self.event.name, **body)

    def end(self, *, cut: bool) -> None:
        self.unwanted = True
        self.tell("withdraw", waiter=self.waiter)

    async def take(self) -> Json:
        path = self.run.path
        try:
            answer: dict[str, Any] = await self.future
        except TerminalError as error:
            raise NodeError("event", f"{path}: {error.message}", node=path) from None
        self.run.invocation.happened(answer.get("at", 0))
        if "seq" in answer:
            taken = {"name": self.event.name, "seq": answer["seq"], "data": answer["data"], "at": answer["at"]}
            self.undo.append(saga.Entry.of_message(path, taken, self.run.invocation.now))
        if self.unwanted:
            raise NodeError("cancelled", f"{path}: withdrawn", code=499, node=path)
        if "closed" in answer:
            raise NodeError("event", f"{path}: {messages.OVER}", code=410, node=path)
        if "expired" in answer:
            if self.on_timeout == "continue":
                return None
            raise NodeError("event", f"{path}: nobody sent {self.event.name} in time", code=504, node=path)
        try:
            return results.fitted(answer.get("data"), self.event.type)
        except Mismatch as mismatch:  # it was checked as it came, by a newer revision
            message = f"{path}: {self.event.name} does not fit: {mismatch}"
            raise NodeError("event", message, code=400, node=path) from None


def _key(run: Run) -> str:
    return str(run.invocation.run["key"])


# ---------------------------------------------------------------- the door


async def accept(graph: Graph, ctx: restate.WorkflowSharedContext, body: bytes) -> bytes:
    """`{name, data}` from outside. Refuses with 400, 404 or 410, and then has kept nothing.

    A run that is not there yet gets it when it begins. The answer is `{name, at}`.
    """
    name, data = _read(body)
    event = graph.events.get(name)
    if event is None:
        near = difflib.get_close_matches(name, graph.events, n=1)
        known = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(graph.events) or 'none'}"
        raise TerminalError(f"{graph.name} takes no event {name!r}: {known}", status_code=404)
    try:
        fitting = results.fitted(data, event.type)
    except Mismatch as mismatch:
        raise TerminalError(f"the data of {name} do not fit: {mismatch}", status_code=400) from None
    run: dict[str, Any] | None = await ctx.get("run", type_hint=dict)
    if run is not None and ("ended" in run or run.get("state") == "cancelled"):
        raise TerminalError(messages.OVER, status_code=410)
    at = json.loads(
        await messages.call(ctx, graph.name, ctx.key(), "put", name=name, data=fitting, seen=run is not None)
    )
    return json.dumps({"name": name, "at": rfc3339(at)}).encode()


def _read(body: bytes) -> tuple[str, Json]:
    try:
        given: Any = results.loads(body.decode())
        json.dumps(given, ensure_ascii=False).encode()
    except ValueError:
        given = None
    if not isinstance(given, dict) or not isinstance(given.get("name"), str) or not set(given) <= {"name", "data"}:
        raise TerminalError('an event is {"name": "...", "data": ...}', status_code=400)
    return given["name"], given.get("data")
