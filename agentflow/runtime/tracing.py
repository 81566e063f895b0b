"""What an invocation tells of its run to OpenTelemetry: a span for the run, each node, model call, tool and wait.

A span is made from the journal when what it tells of has ended: its times are the journal's, and its id follows from
the run and the place. So a replay makes the same spans again, and they are only handed over where the invocation ends,
or where it begins to wait for a person or the clock: there, the engine's own journal says whether an earlier attempt
has been, for the command that begins the wait is in it. Whether a run is traced is decided once, in its first step, and
kept in the journal with the trace's id.

Nothing here imports OpenTelemetry; that is `telemetry`, and only where the operator has configured it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

from restate.server_context import restate_context_is_replaying

from agentflow import otel
from agentflow.runtime import clock, genai, rehearsal
from agentflow.runtime.genai import Value
from agentflow.runtime.secrets import mask
from agentflow.types import Json

if TYPE_CHECKING:
    from agentflow.runtime.answers import Asked
    from agentflow.runtime.errors import NodeError
    from agentflow.runtime.graph import Agent, Model, Tool
    from agentflow.runtime.telemetry import Telemetry

Kind = Literal["run", "node", "agent", "model", "tool", "undo", "wait"]

TRACEPARENT = "traceparent"
_HEADER = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True)
class Span:
    """A span that is complete. Times are seconds since 1970; `error` is its kind, or None."""

    id: str
    parent: str
    name: str
    kind: Kind
    start: float
    end: float
    attributes: Mapping[str, Value]
    error: str | None = None
    message: str | None = None  # what the error says: only told where contents are asked for


def configured() -> Telemetry | None:
    """Where spans go to, or None where the operator has not asked for any."""
    if not otel.wanted():
        return None
    from agentflow.runtime.telemetry import telemetry

    return telemetry()


async def begin(given: str | None) -> dict[str, Json]:
    """The first step of a run: when it began and, where it is traced, its place in a trace, as a traceparent.

    `given` is the caller's. The flags say whether the run is to be recorded, which the operator's sampler decides.
    """
    at = clock.time()
    to = configured() if rehearsal.current() is None else None  # tests tell nobody
    return {"at": at} if to is None else {"at": at, "trace": to.joined(given)}


def caller(headers: Mapping[str, str]) -> str | None:
    """The caller's traceparent, if it is one."""
    given = headers.get(TRACEPARENT, "")
    return given if _HEADER.fullmatch(given) else None


def headers(traceparent: str | None) -> dict[str, str] | None:
    """What a call carries, so that who is called joins the trace."""
    return None if traceparent is None else {TRACEPARENT: traceparent}


def trace(traceparent: str | None, run: str, *, owns: bool = False) -> Trace | None:
    """What collects an invocation's spans; None where the run is not recorded, or here is nowhere to send them.

    `owns`: the invocation is the run's own, and `traceparent` the place of the run; else that of the invocation.
    """
    if traceparent is None or not int(traceparent[-2:], 16) & 1:
        return None
    to = configured()
    return None if to is None else Trace(to, traceparent, run, owns)


@dataclass
class _Open:
    """A node that has begun."""

    at: float
    attributes: dict[str, Value] = field(default_factory=dict)
    agents: list[_Speaking] = field(default_factory=list)  # the one that works now is the last
    spoke: int = 0  # how often an agent has begun
    waits: Mapping[str, Any] | None = None
    waits_since: float = 0
    waited: int = 0  # how often it has


@dataclass
class _Speaking:
    """An agent that has the conversation."""

    id: str
    parent: str
    name: str
    at: float


class Trace:
    """The spans of one invocation."""

    def __init__(self, to: Telemetry, traceparent: str, run: str, owns: bool) -> None:
        _, self.id, self._above, _ = traceparent.split("-")
        self._run = run
        self.base = self.span_id("run", "") if owns else self._above
        self.content = to.content  # what people, models and tools say is asked for
        self._to = to
        self._open: dict[str, _Open] = {}
        self._over: set[str] = set()
        self._made: list[Span] = []
        self._due = False  # at the next wait, what has been made is to be handed over
        self._new = not restate_context_is_replaying.get()  # no attempt has come to the wait that is next

    # ------------------------------------------------------------ places

    def span_id(self, kind: Kind, path: str) -> str:
        return sha256(f"{self._run}\n{kind}\n{path}".encode()).hexdigest()[:16]

    def around(self, path: str) -> str:
        """The span of whoever works at `path`: the node's agent, the node, or the nearest around it that is known."""
        while path:
            if path in self._open:
                agents = self._open[path].agents
                return agents[-1].id if agents else self.span_id("node", path)
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.base

    def parent(self, path: str) -> str:
        """The span around the node at `path`."""
        return self.around(path[: max(path.rfind("."), path.rfind("["), 0)])

    def traceparent(self, span: str) -> str:
        """What tells another invocation, or another service, under which span it works."""
        return f"00-{self.id}-{span}-01"

    # ------------------------------------------------------------ nodes

    def started(self, path: str, at: float) -> None:
        self._open[path] = _Open(at)

    def note(self, path: str, **attributes: Value) -> None:
        """Says more of a node that has begun; `_` in a name stands for a dot."""
        if path in self._open:
            more = {f"agentflow.{name.replace('_', '.')}": value for name, value in attributes.items()}
            self._open[path].attributes.update(more)

    def waiting(self, path: str, waits: Mapping[str, Any], at: float) -> None:
        """The node has begun to wait for long: what is known by now is handed over before it does."""
        begun = self._open.get(path)
        if begun is not None:
            begun.waits, begun.waits_since = waits, at
            begun.waited += 1
            self._due = True

    def going_on(self, path: str, at: float, error: str | None = None, message: str | None = None) -> None:
        """The node waits no more."""
        begun = self._open.get(path)
        if begun is None or begun.waits is None:
            return
        told = ("kind", "id", "until", "name") + (("message",) if self.content else ())
        about: dict[str, Value] = {
            f"agentflow.wait.{name}": mask(str(begun.waits[name])) for name in told if begun.waits.get(name) is not None
        }
        about["agentflow.node"] = path
        place = path if begun.waited == 1 else f"{path} {begun.waited}"
        parent = self.around(path)
        self._add("wait", place, f"wait {_bare(path)}", begun.waits_since, at, about, error, message, parent)
        begun.waits = None

    def ended(self, path: str, state: str, at: float, error: Mapping[str, Any] | None) -> None:
        begun = self._open.get(path)
        if begun is None or path in self._over:
            return
        self._over.add(path)
        kind = None if state == "succeeded" else str(error["kind"]) if error else state
        failed: dict[str, Value] = {"agentflow.error.code": int(error["code"])} if error else {}
        message = str(error["message"]) if error else None
        about: dict[str, Value] = {"agentflow.node": path, "agentflow.state": state, **failed, **begun.attributes}
        self.going_on(path, at, kind, message)
        parent = self.parent(path)
        self._add("node", path, f"node {_bare(path)}", begun.at, at, about, kind, message, parent)

    # ------------------------------------------------------------ agents

    def speaks(self, path: str, agent: Agent, at: float) -> None:
        """An agent has the conversation of the node at `path`, by a handoff or as another's tool."""
        if (begun := self._open.get(path)) is not None:
            begun.spoke += 1
            span = self.span_id("agent", f"{path} {begun.spoke}")
            begun.agents.append(_Speaking(span, self.around(path), agent.name, at))

    def spoken(self, path: str, at: float, error: str | None = None) -> None:
        """It has it no more."""
        if (begun := self._open.get(path)) is None:
            return
        agent = begun.agents.pop()
        about: dict[str, Value] = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": agent.name,
            "agentflow.node": path,
        }
        name = f"invoke_agent {agent.name}"
        self._made.append(Span(agent.id, agent.parent, name, "agent", agent.at, at, about, error))

    # ------------------------------------------------------------ steps

    def model(self, path: str, model: Model, asked: Asked, outcome: _Outcome) -> None:
        """A model call that has landed."""
        about = genai.chat(model, asked, outcome.get("value"), content=self.content)
        self._step("model", path, f"chat {model.model}", about, outcome)

    def tool(
        self, path: str, tool: Tool, args: Mapping[str, Json] | None, outcome: _Outcome, *, undo: bool = False
    ) -> None:
        """A tool that has landed, or an undo, of the node at `path`. Without `args`: they are nobody's."""
        about: dict[str, Value] = {
            **genai.execute_tool(tool.name, args if self.content else None, outcome),
            "agentflow.tool.effect": tool.effect,
            **({"gen_ai.tool.call.id": path[path.rfind(".") + 1 :]} if "#" in path else {}),
            **({"agentflow.undo": True} if undo else {}),
        }
        self._step("undo" if undo else "tool", path, f"execute_tool {tool.name}", about, outcome)

    def _step(self, kind: Kind, path: str, name: str, about: dict[str, Value], outcome: _Outcome) -> None:
        error = outcome.get("failed")
        about["agentflow.node"] = _node(path)
        if outcome["tries"] > 1:
            about["agentflow.tries"] = outcome["tries"]
        if error is not None:
            about["agentflow.error.code"] = int(error["code"])
        failed = None if error is None else str(error["kind"])
        message = None if error is None else str(error["message"])
        start = min(outcome.get("began", outcome["at"]), outcome["at"])
        parent = self.parent(path) if kind == "undo" else None
        self._add(kind, path, name, start, outcome["at"], about, failed, message, parent)

    def within(self, kind: Kind, path: str, closure: Callable[[], Awaitable[_Outcome]]) -> _Closure:
        """`closure` as it runs under its span: what instrumented libraries do in it hangs there."""
        return partial(self._to.under, self.id, self.span_id(kind, path), closure)

    # ------------------------------------------------------------ the run, and handing over

    def run(self, name: str, start: float, at: float, about: Mapping[str, Value], error: NodeError | None) -> None:
        """The run itself, of which this invocation is the owner. It hangs beneath its caller."""
        attributes: dict[str, Value] = {
            "gen_ai.operation.name": "invoke_workflow",
            "gen_ai.workflow.name": name,
            **about,
            **({} if error is None else {"agentflow.error.code": error.code}),
        }
        kind, message = (None, None) if error is None else (error.kind, error.message)
        self._made.append(
            Span(self.base, self._above, f"invoke_workflow {name}", "run", start, at, attributes, kind, message)
        )

    def _add(
        self,
        kind: Kind,
        path: str,
        name: str,
        start: float,
        end: float,
        attributes: Mapping[str, Value],
        error: str | None = None,
        message: str | None = None,
        parent: str | None = None,
    ) -> None:
        above = self.around(path) if parent is None else parent
        span = Span(self.span_id(kind, path), above, name, kind, start, max(start, end), attributes, error, message)
        self._made.append(span)

    async def pause(self) -> None:
        """Before each wait of the invocation. Whoever came to it before has handed over, before the engine knew."""
        if self._due:
            made, self._made, self._due = self._made, [], False
            if self._new:
                await self._to.send(self.id, made)

    def goes_on(self) -> None:
        """After each wait. As long as it replays, commands of what follows are in the journal, so it was reached."""
        self._new = not restate_context_is_replaying.get()

    async def finish(self) -> None:
        """The invocation ends with its next word: hands over what no attempt has."""
        made, self._made = self._made, []
        await self._to.send(self.id, made)


_Outcome = dict[str, Any]
_Closure = Callable[[], Awaitable[dict[str, Any]]]


def cut_off(began: float, at: float) -> _Outcome:
    """Stands for the outcome of what was broken off: nobody waited for it."""
    return {"failed": {"kind": "cancelled", "code": 499, "message": "cut off"}, "began": began, "at": at, "tries": 1}


def _bare(path: str) -> str:
    """A path without indices: one name for all rounds and items."""
    return re.sub(r"\[[\d-]+\]", "", path)


def _node(path: str) -> str:
    """The node that a step belongs to."""
    return path.partition("#")[0].rpartition(".")[0] if "#" in path else path
