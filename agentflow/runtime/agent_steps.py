"""What an agent's turn asks of the run it works in: durable model calls, durable tools, counted handoffs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from agentflow.durations import milliseconds
from agentflow.runtime import rehearsal, remote_tools, steps, together
from agentflow.runtime.answers import Asked, usage
from agentflow.runtime.calls import LateCall
from agentflow.runtime.errors import Interruption, NodeError, TemplateError, TimedOut
from agentflow.runtime.flights import Flight, abandon
from agentflow.runtime.graph import Agent, Model, Retry, Tool
from agentflow.runtime.invocation import Alarm, Future, Invocation
from agentflow.runtime.operations import Asking, Listing
from agentflow.runtime.own_journal import call_with_context
from agentflow.runtime.signature import keeps_own_journal
from agentflow.runtime.spending import Meter, Used
from agentflow.runtime.tracing import cut_off
from agentflow.types import Json

if TYPE_CHECKING:
    from agentflow.runtime.agents import ToolCall
    from agentflow.runtime.flow import Run
    from agentflow.runtime.replies import Replies


@dataclass(frozen=True)
class ToolOutcome:
    """What a tool gave, or the error that the model is told."""

    value: Json = None
    error: str | None = None


@dataclass(frozen=True)
class AgentSteps:
    """The run as an agent at `run.path` sees it; see `agents.Durable`."""

    run: Run

    @property
    def path(self) -> str:
        return self.run.path

    @property
    def scope(self) -> Mapping[str, Json]:
        return self.run.scope

    @property
    def invocation(self) -> Invocation:
        return self.run.invocation

    @property
    def replies(self) -> Replies | None:
        return self.run.invocation.replies

    async def model_call(
        self, address: str, model: Model, call: Callable[[int], Awaitable[dict[str, Any]]], retry: Retry, asked: Asked
    ) -> dict[str, Any]:
        """One durable call of a model, tried as `retry` says. Counts against the limits in force."""
        invocation = self.invocation
        await invocation.reserve("model_calls", self.path)
        stop, trace = invocation.stop(), invocation.report.trace
        path, began = f"{self.path}.{address}", invocation.now

        async def ask() -> steps.Outcome:
            return await steps.model_step(call, retry, stop)

        closure = ask if trace is None else trace.within("model", path, ask)
        future = steps.journaled(invocation.ctx, path, closure, stop)
        try:
            await invocation.wait(future)
        except Interruption:
            stop.ended.set()
            stop.break_off()
            if trace is not None:
                trace.model(path, model, asked, cut_off(began, invocation.now))
            raise
        outcome = await future
        invocation.happened(outcome["at"])
        invocation.report.tried(self.path, outcome)
        if trace is not None:
            trace.model(path, model, asked, outcome)
        if "failed" in outcome:
            raise steps.error_of(outcome, self.path)
        answer: dict[str, Any] = outcome["value"]
        used = usage(answer)
        cost = model.price.of(used.input, used.output) if model.price is not None else 0
        await invocation.use({"input_tokens": used.input, "output_tokens": used.output, "cost": cost})
        return answer

    async def tool_batch(self, calls: Sequence[ToolCall]) -> list[ToolOutcome]:
        """Runs the tool calls of one model turn at the same time, started in order, waited for by one coroutine.

        A ToolError is an outcome, for the model to hear of; any other failure is raised once all are known.
        """
        invocation = self.invocation
        if len(calls) == 1 and keeps_own_journal(calls[0].tool):
            return [await self._journaling_call(calls[0])]
        # all of them, or none is started
        await invocation.reserve("tool_calls", self.path, sum(together.steps_of(call.tool) for call in calls))
        places = [self.run.inside(call.address) for call in calls]
        called = [together.Called(at, call.tool, call.args) for at, call in zip(places, calls, strict=True)]
        gates: dict[int, Flight] = {}
        flights: list[Flight] = []
        pending: dict[Future, tuple[int, Flight]] = {}
        late: list[tuple[int, Flight]] = []

        def fly(at: int, *started: Flight) -> None:
            flights.extend(started)
            late.extend((at, flight) for flight in started if isinstance(flight, LateCall))
            pending.update({flight.future: (at, flight) for flight in started if not isinstance(flight, LateCall)})

        def begin() -> None:
            for at, (place, call) in enumerate(zip(places, calls, strict=True)):
                if (gate := remote_tools.confirmation(place, call.tool, call.args)) is not None:
                    gates[at] = gate
                    fly(at, gate)
            for at, one in enumerate(called):
                if at not in gates:
                    fly(at, *one.start())

        def settle() -> None:
            """Not in a `finally`: an attempt that is suspended has ended nothing."""
            for flight in asked:
                invocation.report.ended(flight.run.path, "cancelled", invocation.now)
            for flight in flights:
                invocation.undo.extend(flight.undo)

        asked: list[Flight] = []
        refused: dict[int, str] = {}
        errors: list[NodeError] = []
        try:
            begin()
            asked += [flight for flight in flights if flight.waits is not None]
            for flight in asked:
                invocation.report.waiting(flight.run.path, flight.waits or {}, invocation.now)
            while late or pending:
                while late:
                    at, flight = late.pop(0)
                    await flight.prepare(beside=True)
                    pending[flight.future] = (at, flight)
                for future in await invocation.wait(*pending):
                    at, flight = pending.pop(future)
                    try:
                        value: Any = await flight.take()
                        if flight in asked:
                            asked.remove(flight)
                            invocation.report.ended(flight.run.path, "succeeded", invocation.now)
                        if flight is not gates.get(at):
                            called[at].landed(flight, value)
                        elif not value["approved"]:
                            refused[at] = remote_tools.refusal(calls[at].tool, value)
                        elif not errors:  # the arguments shown are the arguments used
                            fly(at, *called[at].start())
                    except NodeError as error:
                        if error.told:
                            called[at].failed(flight, error)
                        else:
                            errors.append(called[at].named(flight, error))
                            for _, rest in pending.values():
                                rest.end(cut=False)
                                await rest.cancel()
        except (NodeError, TemplateError, Interruption) as end:  # a call that could not begin, or what ends them all
            left = [flight for _, flight in pending.values()]
            await abandon(invocation, left, cut=isinstance(end, TimedOut))
            settle()
            raise
        settle()
        if errors:
            raise errors[0]
        told = [refused.get(at, one.error) for at, one in enumerate(called)]
        return [
            ToolOutcome(one.value) if error is None else ToolOutcome(error=error)
            for one, error in zip(called, told, strict=True)
        ]

    async def listed(self, tool: Tool, listing: Listing) -> Json:
        """What the server of a tool told of its tools: asked once in this invocation, and replayed from then on.

        None where something else stands in for the tool: nobody is asked then.
        """
        invocation = self.invocation
        if (case := rehearsal.current()) is not None and not case.is_real(tool):
            return None
        if listing in invocation.listed:
            return invocation.listed[listing]
        name = tool.name.partition(".")[0]
        asking, stop = replace(tool, name=name, does=Asking(listing)), invocation.stop()
        future = steps.journaled(
            invocation.ctx,
            f"{self.path}.{name}#list",
            lambda: steps.tool_step(asking, {}, "", tool.retry, stop),
            stop,
        )
        try:
            await invocation.wait(future)
        except Interruption:
            stop.ended.set()
            stop.break_off()
            raise
        outcome = await future
        invocation.happened(outcome["at"])
        if "failed" in outcome:
            raise steps.error_of(outcome, self.path)
        told: Json = outcome["value"]
        invocation.listed[listing] = told
        return told

    async def _journaling_call(self, call: ToolCall) -> ToolOutcome:
        place = self.run.inside(call.address)
        if (gate := remote_tools.confirmation(place, call.tool, call.args)) is not None:
            decision: Any = await self.run.land(gate)
            if not decision["approved"]:
                return ToolOutcome(error=remote_tools.refusal(call.tool, decision))
        try:
            value = await call_with_context(place, call.tool, call.args)
        except NodeError as error:
            if error.told:
                return ToolOutcome(error=error.message)
            raise
        return ToolOutcome(value=value)

    def count_handoff(self) -> None:
        """Counts a handoff against the limits in force, and raises their terminal error."""
        self.invocation.count("handoffs", self.path)

    @contextmanager
    def working(self, agent: Agent, before: Used) -> Iterator[None]:
        """An agent's part of a conversation: what is spent meanwhile counts against its limits.

        `before` is what it has used in that conversation before, and grows.
        """
        invocation, since = self.invocation, self.invocation.now
        meter = Meter(agent.name, agent.limits, invocation.spent, dict(before.spent))
        alarm = self._alarm(agent, before)
        invocation.meters.append(meter)
        trace, error = invocation.report.trace, None
        if trace is not None:
            trace.speaks(self.path, agent, since)
        try:
            yield
        except TimedOut as timed_out:
            error = "timeout"
            if timed_out.alarm is not alarm:
                raise
            raise self._late(agent) from None
        except NodeError as failed:
            error = failed.kind
            raise
        except Interruption:
            error = "cancelled"
            raise
        finally:
            if trace is not None:
                trace.spoken(self.path, invocation.now, error)
            invocation.meters.remove(meter)
            if alarm is not None:
                invocation.alarms.remove(alarm)
            before.spent, before.time = meter.used(), before.time + invocation.now - since

    def _alarm(self, agent: Agent, before: Used) -> Alarm | None:
        if agent.limits.time is None:
            return None
        left = milliseconds(agent.limits.time) - round(before.time * 1000)
        if left <= 0:
            raise self._late(agent)
        return self.invocation.alarm(self.path, agent.limits.time if not before.time else f"{left}ms")

    def _late(self, agent: Agent) -> NodeError:
        message = f"{agent.name} took longer than {agent.limits.time} (limits.time)"
        return NodeError("limit", message, code=504, node=self.path)
