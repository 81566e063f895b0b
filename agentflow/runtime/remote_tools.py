"""Tools that wait in invocations of their own: graphs, handlers elsewhere, people.

And `confirm`, which asks before a call is made.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentflow.runtime import calls, rehearsal
from agentflow.runtime.approvals import tool_gate
from agentflow.runtime.arguments import Arguments
from agentflow.runtime.calls import CalledGraph, CalledService
from agentflow.runtime.errors import NodeError
from agentflow.runtime.flights import Flight
from agentflow.runtime.graph import Tool, Undo
from agentflow.runtime.operations import Operation
from agentflow.runtime.schema import Mismatch
from agentflow.types import Json

if TYPE_CHECKING:
    from agentflow.runtime.flow import Run


class Remote(Operation):
    """What is no step of the caller's, but something it waits for: started once, however often it is replayed."""

    async def call(self, args: Mapping[str, Json], key: str) -> Json:
        raise AssertionError("a remote tool is started, not called")

    @abstractmethod
    def start(self, run: Run, tool: Tool, args: Mapping[str, Json], undo: Undo | None) -> Flight:
        """Starts it, with arguments that fit."""


def start(run: Run, tool: Tool, remote: Remote, args: Mapping[str, Json], undo: Undo | None) -> Flight:
    """Raises NodeError with 400 where the arguments do not fit."""
    try:
        checked = remote.parameters.check(args)
    except Mismatch as mismatch:
        message = f"{tool.name}: the arguments do not fit: {mismatch}"
        raise NodeError("tool", message, code=400, node=run.path) from None
    rehearsal.called(tool.name, dict(checked), str(run.invocation.run["id"]), run.path)
    return remote.start(run, tool, checked, undo)


@dataclass(frozen=True, eq=False)
class graph_tool(Remote):  # noqa: N801 - reads as a function where it is declared
    """A graph of the project, in a run of its own."""

    graph: CalledGraph
    args: Any = None

    @property
    def parameters(self) -> Arguments:
        return Arguments(self.args, f"Runs {self.graph.name}.")

    def start(self, run: Run, tool: Tool, args: Mapping[str, Json], undo: Undo | None) -> Flight:
        return calls.call(run, self.graph, dict(args), None, undo)


@dataclass(frozen=True, eq=False)
class service_tool(Remote):  # noqa: N801
    """A handler elsewhere; a call of one that has keys has its own."""

    service: CalledService
    args: Any = None

    @property
    def parameters(self) -> Arguments:
        return Arguments(self.args, f"Calls {self.service.name}.")

    def start(self, run: Run, tool: Tool, args: Mapping[str, Json], undo: Undo | None) -> Flight:
        return calls.LateCall(run, self.service, None if self.args is None else dict(args), undo)


@dataclass(frozen=True, eq=False)
class approval_tool(Remote):  # noqa: N801
    """A person approves or not; the outcome is what it gives, also that it expired."""

    message: str
    args: Any = None
    to: Any = ()
    timeout: str | None = None
    on_timeout: str | None = None

    @property
    def parameters(self) -> Arguments:
        return Arguments(self.args, "Asks a person for approval.")

    def start(self, run: Run, tool: Tool, args: Mapping[str, Json], undo: Undo | None) -> Flight:
        stages = [{"to": self.to, "timeout": self.timeout}]
        return tool_gate(run, "approval", self.message, args, stages, self.on_timeout)


@dataclass(frozen=True, eq=False)
class ask_tool(Remote):  # noqa: N801
    """A person fills in a form, which is what it gives."""

    message: str
    args: Any = None
    to: Any = ()
    form: Any = None
    timeout: str | None = None
    on_timeout: str | None = None

    @property
    def parameters(self) -> Arguments:
        return Arguments(self.args, "Asks a person.")

    def start(self, run: Run, tool: Tool, args: Mapping[str, Json], undo: Undo | None) -> Flight:
        stages = [{"to": self.to, "timeout": self.timeout}]
        return tool_gate(run, "ask", self.message, args, stages, self.on_timeout, self.form)


def confirmation(run: Run, tool: Tool, args: Mapping[str, Json]) -> Flight | None:
    """Opens the gate of a call that is to be confirmed; None where nobody need be asked."""
    confirm = tool.confirm
    if confirm is None or not run.block_with(args=dict(args)).expression(confirm.when):
        return None
    place = run.inside("confirm")
    stages: Sequence[Mapping[str, Any]] = [
        {"to": confirm.approvers, "timeout": confirm.timeout},
        *({"to": step.to, "timeout": step.timeout} for step in confirm.escalate),
    ]
    return tool_gate(place, "approval", confirm.message, args, stages, confirm.on_timeout)


def refusal(tool: Tool, decision: Mapping[str, Json]) -> str:
    """Why a call was not made, in words for a model and for people."""
    if decision["outcome"] == "expired":
        return f"{tool.name} was not called: nobody approved it in time"
    why = f": {decision['comment']}" if decision["comment"] else ""
    return f"{tool.name} was not called: rejected by {decision['by']}{why}"
