"""What is under way in an invocation: a step, or a node that runs in an invocation of its own."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

import restate
from restate.exceptions import TerminalError

from agentflow.runtime import saga, steps
from agentflow.runtime.errors import Interruption, NodeError
from agentflow.runtime.invocation import Future, Invocation
from agentflow.runtime.spending import Counted
from agentflow.runtime.times import rfc3339
from agentflow.types import Json

if TYPE_CHECKING:
    from agentflow.runtime.flow import Run
    from agentflow.runtime.graph import Tool


class Flight(ABC):
    """Something under way in this invocation: a future, and how its result is taken in.

    `undo` fills with what it did; whoever started it decides what becomes of that.
    """

    lands: ClassVar[bool] = True  # its future is done soon after `end` and `cancel`

    def __init__(self, run: Run, future: Future) -> None:
        self.run = run
        self.future = future
        self.undo: list[saga.Entry] = []
        self.waits: dict[str, Json] | None = None  # what for, where it may take long: a person, the clock

    async def prepare(self, *, beside: bool) -> None:  # noqa: B027 - most have begun already
        """Begins what could not begin at once, before its future is waited for. `beside`: while others fly."""

    @abstractmethod
    async def take(self) -> Json:
        """The value, of a future that is done. Raises NodeError."""

    def end(self, *, cut: bool) -> None:  # noqa: B027 - what runs elsewhere is ended by `cancel`
        """No result is wanted any more; `cut` also breaks off what is being tried."""

    async def cancel(self) -> None:  # noqa: B027 - what runs here is ended by `end`
        """Cancels what runs elsewhere."""


class StepFlight(Flight):
    def __init__(
        self,
        run: Run,
        future: Future,
        entry: saga.Entry | None,
        stop: steps.Stop,
        tool: Tool,
        args: Mapping[str, Json],
    ) -> None:
        super().__init__(run, future)
        self.entry = entry
        self.stop = stop
        self.tool = tool
        self.args = args
        if entry is not None:
            self.undo.append(entry)

    async def take(self) -> Json:
        outcome: steps.Outcome = await self.future
        self.run.invocation.happened(outcome["at"])
        report = self.run.invocation.report
        report.tried(self.run.path, outcome)
        if report.trace is not None:
            report.trace.tool(self.run.path, self.tool, self.args, outcome)
        self.run.invocation.keep(outcome)
        if self.entry is not None:
            saga.settle(self.undo, self.entry, outcome)
        if "failed" in outcome:
            raise steps.error_of(outcome, self.run.path)
        value: Json = outcome["value"]
        return value

    def end(self, *, cut: bool) -> None:
        self.stop.ended.set()
        if cut or self.tool.effect == "read":
            self.stop.break_off()


class LateFlight(StepFlight):
    """A step that begins when the run's budget has a call left for it."""

    def __init__(
        self,
        run: Run,
        start: Callable[[], Future],
        entry: saga.Entry | None,
        stop: steps.Stop,
        tool: Tool,
        args: Mapping[str, Json],
    ) -> None:
        super().__init__(run, cast("Future", None), entry, stop, tool, args)
        self._start = start

    async def prepare(self, *, beside: bool) -> None:
        invocation = self.run.invocation
        try:
            await invocation.reserve("tool_calls", self.run.path, beside=beside)
        except NodeError:
            self.undo.clear()  # it has done nothing
            raise
        except Interruption:
            self.undo.clear()
            invocation.report.ended(self.run.path, "cancelled", invocation.now)
            raise
        self.future = self._start()


class WaitFlight(Flight):
    """A durable timer. Nothing happens when it goes off unheeded, so whoever abandons it need not wait for it."""

    lands = False

    def __init__(self, run: Run, future: Future, due: float) -> None:
        super().__init__(run, future)
        self.ends = max(due, run.invocation.now)
        self.waits = {"kind": "wait", "until": rfc3339(due)}

    async def take(self) -> Json:
        await self.future
        self.run.invocation.happened(self.ends)
        return rfc3339(self.ends)


class RemoteFlight(Flight):
    """Something that runs in an invocation of its own."""

    def __init__(self, run: Run, future: restate.RestateDurableCallFuture[Any]) -> None:
        super().__init__(run, future)
        self.call = future

    async def cancel(self) -> None:
        try:
            await self.call.cancel_invocation()
        except TerminalError:  # a cancel of our own, which reaches the callee too
            self.run.invocation.note_cancel()


class CallFlight(RemoteFlight):
    """A node in an invocation of its own."""

    def __init__(self, run: Run, future: restate.RestateDurableCallFuture[Any]) -> None:
        super().__init__(run, future)
        self.outcome: str | None = None  # "failed" where its own `on_error` gave the value
        self.state: dict[str, Any] | None = None  # what it reported of the node itself

    async def take(self) -> Json:
        try:
            result = json.loads(await self.future)
        except TerminalError as error:
            metadata = error.metadata or {}
            self._merge(json.loads(metadata.get("agentflow", "{}")))
            node = metadata.get("node") or self.run.path
            kind: Any = metadata.get("kind", "cancelled" if error.status_code == 409 else "fail")
            raise NodeError(
                kind, error.message, code=499 if kind == "cancelled" else error.status_code, node=node
            ) from None
        self._merge(result)
        self._check_spent()
        self.outcome = result.get("outcome")
        value: Json = result["value"]
        return value

    def _check_spent(self) -> None:
        """Nodes that run side by side each count on their own: here it shows what they have spent together."""
        meter = self.run.invocation.meters[0]
        used = meter.used()
        names: tuple[Counted, ...] = ("model_calls", "tool_calls", "handoffs")
        for name in names:
            bound = getattr(meter.limits, name)
            if bound is not None and used[name] > bound:
                message = (
                    f"{meter.who} has made {used[name]} {name.replace('_', ' ')}: more than {bound} (limits.{name})"
                )
                raise NodeError("limit", message, node=self.run.path)

    def _merge(self, result: dict[str, Any]) -> None:
        invocation = self.run.invocation
        self.undo.extend(saga.Entry(**entry) for entry in result.get("undo", ()))
        invocation.undone.extend(result.get("undone", ()))
        invocation.not_undone.extend(result.get("not_undone", ()))
        invocation.spent.add(result.get("spent", {}))
        invocation.happened(result.get("now", 0))
        invocation.keep(result)
        for name, entries in result.get("said", {}).items():
            invocation.conversation(name).fresh += entries
        nodes = result.get("nodes", {})
        invocation.report.merge(nodes, self.run.path)
        self.state = nodes.get(self.run.path)


async def abandon(invocation: Invocation, flights: Sequence[Flight], *, cut: bool) -> None:
    """Ends what flies and waits until its outcome is known; what it did is left in each flight's `undo`."""
    for flight in flights:
        flight.end(cut=cut)
    if not invocation.cancelled:  # the engine has told the callees of a cancelled invocation already
        for flight in flights:
            await flight.cancel()
    pending = {flight.future: flight for flight in flights if flight.lands}
    while pending:
        for future in await invocation.outlast(*pending):
            try:
                await pending.pop(future).take()
            except NodeError:
                continue  # its failure was our doing, or no longer matters: something else ended the node
