"""What a generated module declares: the graph itself, its models, tools, agents and nodes.

Plain declarations; what is done with them is in `flow`, `steps`, `agents` and `approvals`.
Durations are written as in the language (`30s`, `1h30m`) and kept in milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from agentflow.durations import milliseconds
from agentflow.runtime.operations import Operation
from agentflow.runtime.secrets import Env
from agentflow.types import Json

if TYPE_CHECKING:
    from agentflow.runtime.flights import Flight
    from agentflow.runtime.flow import Run


@dataclass(frozen=True)
class Retry:
    """How often and how far apart something is tried. Without `attempts`, the engine goes on trying."""

    attempts: int | None = None
    initial: str = "500ms"
    factor: float = 2.0
    max: str = "30s"
    within: str | None = None

    def pause(self, tries: int) -> float:
        """Seconds to wait after so many tries."""
        pause = milliseconds(self.initial) * self.factor ** min(tries - 1, 64)
        return min(pause, milliseconds(self.max)) / 1000


MODEL_RETRY = Retry(attempts=5, initial="1s", max="30s")


@dataclass(frozen=True)
class Limits:
    """What a run, or an agent's turn, may spend at most. `tokens` and `cost` are checked before each model call."""

    time: str | None = None
    model_calls: int | None = None
    tool_calls: int | None = None
    tokens: int | None = None
    cost: float | None = None
    handoffs: int | None = None
    fan_out: int | None = None  # of a graph: items of a for_each; of either: tool calls that one answer asks for


@dataclass(frozen=True)
class Schedule:
    """When runs begin by themselves, and with which input: by `cron` in a `timezone`, or `every` so often."""

    cron: str | None = None
    timezone: str | None = None
    every: str | None = None
    input: Json = field(default_factory=dict)


@dataclass(frozen=True)
class Undo:
    """A compensation: calls `tool` with `args`, which see `args`, `result`, `error` and the names in `uses`."""

    tool: Tool
    args: Mapping[str, Json]
    on: Literal["completed", "attempted"] = "completed"
    uses: Sequence[str] = ()


@dataclass(frozen=True)
class Confirm:
    """A person approves a call with the very arguments that it will be made with; texts see `args`."""

    message: str
    approvers: Any
    when: str | bool = True
    timeout: str | None = None
    escalate: Sequence[Any] = ()  # of Escalation
    on_timeout: Literal["reject", "approve", "fail"] | None = None


@dataclass(frozen=True)
class Tool:
    """A function or an operation as a durable step, which may run more than once: its key says that it is the same."""

    name: str
    does: Callable[..., Any] | Operation
    effect: Literal["read", "write", "dangerous"] = "write"
    description: str | None = None
    retry: Retry | None = None
    timeout: str | None = None
    undo: Undo | None = None
    confirm: Confirm | None = None
    takes_state: bool = False  # a function with a `state` parameter, in an object


@dataclass(frozen=True)
class Price:
    """Of a model's tokens, for a million of them, in whatever currency the author counts."""

    input: float
    output: float

    def of(self, input: int, output: int) -> float:
        """Rounded, so that sums do not show how machines add."""
        return round((input * self.input + output * self.output) / 1_000_000, 12)


@dataclass(frozen=True)
class Model:
    name: str
    model: str
    generate: Mapping[str, Json] = field(default_factory=dict)
    retry: Retry = MODEL_RETRY
    base_url: str | None = None
    api_key: Env | None = None
    price: Price | None = None


@dataclass(frozen=True)
class Agent:
    """An ADK agent to be. `tools` may hold other agents, which are then called as tools."""

    name: str
    model: Model
    instruction: str
    description: str | None = None
    tools: Sequence[Tool | Agent] = ()
    handoffs: Sequence[str] = ()
    returns: Any = None  # a type; None: text
    input: Any = None  # the type of its arguments when called as a tool; None: {message: string}
    generate: Mapping[str, Json] = field(default_factory=dict)
    limits: Limits = Limits()


@dataclass(frozen=True)
class Use:
    """`on_error: {use: value}`."""

    value: Json


@dataclass(frozen=True)
class Otherwise:
    """`on_error: {run: node}`: the node sees `error`, and its value takes the place."""

    node: Node


Body = Callable[["Run"], "Coroutine[Any, Any, Json] | Flight | Json"]


@dataclass(frozen=True, eq=False)
class Node:
    """A node of the graph: what it does (`body`) and what is said about it.

    `uses` names what it needs of the scope around it, which is all that travels when it runs in an
    invocation of its own (see `Graph.handlers`).
    """

    name: str
    body: Body
    line: int
    when: str | bool | None = None
    needs: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    timeout: str | None = None
    on_error: Literal["continue"] | Use | Otherwise | None = None
    undo: Undo | None = None
    conversations: tuple[str, ...] = ()  # that agents in it share with others, where it has an invocation of its own


def node(
    name: str,
    *,
    line: int,
    when: str | bool | None = None,
    needs: Sequence[str] = (),
    uses: Sequence[str] = (),
    timeout: str | None = None,
    on_error: Literal["continue"] | Use | Otherwise | None = None,
    undo: Undo | None = None,
    conversations: Sequence[str] = (),
) -> Callable[[Body], Node]:
    """Makes a function the body of the node `name`, which stands at `line` of the graph's file."""

    def declare(body: Body) -> Node:
        return Node(name, body, line, when, tuple(needs), tuple(uses), timeout, on_error, undo, tuple(conversations))

    return declare


@dataclass
class After:
    """What is done once a run has ended; `uses` names what it needs of the run's scope."""

    body: Callable[[Run], Coroutine[Any, Any, Json]]
    uses: tuple[str, ...]
    handler: Callable[..., Any] | None = None


def finally_(graph: Graph, *, uses: Sequence[str]) -> Callable[[Callable[[Run], Coroutine[Any, Any, Json]]], After]:
    """Makes a function what is done once a run of the graph has ended, however it did."""

    def declare(body: Callable[[Run], Coroutine[Any, Any, Json]]) -> After:
        graph.after.append(After(body, tuple(uses)))
        return graph.after[0]

    return declare


@dataclass(frozen=True)
class Event:
    """A message that runs wait for: its name, and the type of what it carries."""

    name: str
    type: Any = Any


@dataclass(frozen=True)
class Session:
    """An object's conversation: a model is given the last `keep` messages, and a summary of those before them.

    Without `summarize_after` there is no summary; with it, so many may pile up before all but the last `keep` are
    summarized, by the model of `agent`.
    """

    keep: int
    agent: str
    summarize_after: int | None = None


@dataclass(frozen=True)
class Graph:
    """One revision of a graph. `input` and `output` are types; without nodes of its own no field is empty."""

    name: str
    kind: Literal["workflow", "service", "object"]
    revision: str
    source: str
    input: Any
    output: Any = None
    description: str | None = None
    emits: bool = False  # whether it has `emit` nodes, so that its runs have streams
    limits: Limits = Limits()
    schedule: Schedule | None = None
    agents: dict[str, Agent] = field(default_factory=dict)
    tools: dict[str, Tool] = field(default_factory=dict)
    events: dict[str, Event] = field(default_factory=dict)
    state: Any = None  # of an object: the type of what it keeps
    session: Session | None = None  # of an object in which an agent speaks
    on_busy: Literal["queue", "interrupt"] = "queue"
    handlers: dict[Node, Callable[..., Any]] = field(default_factory=dict)  # of nodes with invocations of their own
    after: list[After] = field(default_factory=list)  # `finally`, where the graph has it
    exact: set[str] = field(default_factory=set)  # limits that hold exactly side by side; see `budgets`

    def agent(self, agent: Agent) -> Agent:
        """Registers an agent, so that handoffs find it by name."""
        self.agents[agent.name] = agent
        return agent

    def event(self, event: Event) -> Event:
        """Registers a message, so that what is sent to a run can be checked as it comes."""
        self.events[event.name] = event
        return event

    def tool(self, tool: Tool) -> Tool:
        """Registers a tool, so that compensations and notifications find it by name."""
        self.tools[tool.name] = tool
        return tool
