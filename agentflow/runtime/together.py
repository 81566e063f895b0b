"""Calls of tools under way: of one tool one step, of a parallel tool a step of each of its members, all at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentflow.runtime import rehearsal
from agentflow.runtime.arguments import Arguments
from agentflow.runtime.errors import Interruption, NodeError, TimedOut
from agentflow.runtime.flights import Flight, abandon
from agentflow.runtime.graph import Retry, Tool
from agentflow.runtime.invocation import Future
from agentflow.runtime.operations import Operation
from agentflow.runtime.schema import Mismatch
from agentflow.toolnames import offered
from agentflow.types import Json

if TYPE_CHECKING:
    from agentflow.runtime.flow import Run


@dataclass(frozen=True)
class Member:
    tool: Tool
    takes: Sequence[str] | None = None  # of the arguments; None: all

    @property
    def name(self) -> str:
        """In the journal and in the value."""
        return offered(self.tool.name)

    def args(self, given: Mapping[str, Json]) -> dict[str, Json]:
        return {name: value for name, value in given.items() if self.takes is None or name in self.takes}


@dataclass(frozen=True, eq=False)
class parallel_tool(Operation):  # noqa: N801 - reads as a function where it is declared
    """Several tools at once. It is no step itself: each member is one, with a key of its own."""

    members: Sequence[Member]
    args: Any = None

    @property
    def parameters(self) -> Arguments:
        about = [f"{one.name}: {one.tool.description}" for one in self.members if one.tool.description]
        return Arguments(self.args, f"Runs {', '.join(one.name for one in self.members)} at once. {' '.join(about)}")

    async def call(self, args: Mapping[str, Json], key: str) -> Json:
        raise AssertionError("the members of a parallel tool are called, not the tool")


def steps_of(tool: Tool) -> int:
    """How many tool calls a call is."""
    return len(tool.does.members) if isinstance(tool.does, parallel_tool) else 1


class Called:
    """A call at `run.path`, counted among the run's tool calls by whoever makes it; and what became of it."""

    def __init__(self, run: Run, tool: Tool, args: Mapping[str, Json], retry: Retry | None = None) -> None:
        self.run, self.tool, self.args, self.retry = run, tool, args, retry
        self.members: dict[int, str] = {}  # by the identity of their flights
        self.values: dict[str, Json] = {}
        self.told: dict[str, str] = {}  # errors for a model to hear of

    def start(self) -> list[Flight]:
        """Starts it. Each member is a step at a place of its own, and so has a key of its own."""
        does = self.tool.does
        if not isinstance(does, parallel_tool):
            return [self.run.start_tool(self.tool, self.args, self.retry, counted=True)]
        try:
            args = does.parameters.check(self.args)
        except Mismatch as mismatch:
            message = f"{self.tool.name}: the arguments do not fit: {mismatch}"
            raise NodeError("tool", message, code=400, node=self.run.path) from None
        rehearsal.called(self.tool.name, dict(args), str(self.run.invocation.run["id"]), self.run.path)
        flights: list[Flight] = []
        for one in does.members:
            place = self.run.inside(one.name)
            flight = place.start_tool(one.tool, one.args(args), self.retry, counted=True)
            self.members[id(flight)] = one.name
            flights.append(flight)
        return flights

    def landed(self, flight: Flight, value: Json) -> None:
        self.values[self.members.get(id(flight), "")] = value

    def failed(self, flight: Flight, error: NodeError) -> None:
        """With an error that a model is told."""
        self.told[self.members.get(id(flight), "")] = error.message

    def named(self, flight: Flight, error: NodeError) -> NodeError:
        """The error of a member says whose it is."""
        name = self.members.get(id(flight))
        if name is not None and not error.message.startswith(name):
            error.message = f"{name}: {error.message}"
        return error

    @property
    def value(self) -> Json:
        does = self.tool.does
        if not isinstance(does, parallel_tool):
            return self.values[""]
        return {one.name: self.values[one.name] for one in does.members}

    @property
    def error(self) -> str | None:
        """Of the whole call: which members failed and why, and which did what they do all the same."""
        if not self.told or "" in self.told:
            return self.told.get("")
        failed = "; ".join(f"{name}: {message}" for name, message in self.told.items())
        done = ", ".join(self.members[at] for at in self.members if self.members[at] in self.values)
        return f"{failed} (done: {done})" if done else failed


async def call(run: Run, tool: Tool, args: Mapping[str, Json], retry: Retry | None = None) -> Json:
    """Calls a parallel tool in a node. When one member fails, the others are not tried again, and the node fails."""
    invocation = run.invocation
    await invocation.reserve("tool_calls", run.path, steps_of(tool))
    called = Called(run, tool, args, retry)
    flights = called.start()
    pending: dict[Future, Flight] = {flight.future: flight for flight in flights}
    errors: list[NodeError] = []
    try:
        while pending:
            for future in await invocation.wait(*pending):
                flight = pending.pop(future)
                try:
                    called.landed(flight, await flight.take())
                except NodeError as error:
                    errors.append(called.named(flight, error))
                    for rest in pending.values():
                        rest.end(cut=False)
    except Interruption as interruption:
        await abandon(invocation, list(pending.values()), cut=isinstance(interruption, TimedOut))
        raise
    finally:
        for flight in flights:
            invocation.undo.extend(flight.undo)
    if errors:
        raise errors[0]
    return called.value
