"""What owns a run, in its entry handler: it holds the time limit, keeps the run's state, undoes what was done when the
run ends badly, and says in its error what was undone and what could not be."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

import restate
from restate.exceptions import TerminalError

from agentflow.runtime import budgets, following, messages, rehearsal, saga, steps, streams, tracing
from agentflow.runtime.after import run_after
from agentflow.runtime.errors import Cancelled, NodeError, TimedOut
from agentflow.runtime.evaluation import OUTCOMES
from agentflow.runtime.flow import Run
from agentflow.runtime.graph import Graph
from agentflow.runtime.invocation import Future, Invocation
from agentflow.runtime.memory import Memory
from agentflow.runtime.replies import replies_for
from agentflow.runtime.report import Report
from agentflow.runtime.times import rfc3339
from agentflow.types import Json

Flow = Callable[[Run], Awaitable[Json]]


class Owner:
    """The entry handler's part: state, undoing, the final answer."""

    def __init__(
        self,
        graph: Graph,
        ctx: restate.Context,
        stateful: restate.ObjectContext | None,
        memory: Memory | None = None,
        cancelled: bool = False,
    ) -> None:
        self.graph = graph
        self.ctx = ctx
        self.stateful = stateful
        self.memory = memory  # of an object
        self.cancelled = cancelled  # before it began
        self.facts: dict[str, Json] = {}  # what the run's state always says
        self.spent: dict[str, Any] = {}  # as last written
        self.joined: str | None = None  # the run's place in a trace

    async def open(self) -> None:
        """Lets the run's messages know that it has begun, before anybody else can see it."""
        if self.stateful is not None and self.graph.events:
            await messages.call(self.ctx, self.graph.name, self.stateful.key(), "open")

    def never_began(self) -> TerminalError:
        """The run was cancelled while it began: says so, also to who asks for its state."""
        if self.stateful is not None:
            about = {"graph": self.graph.name, "key": self.stateful.key(), "state": "cancelled", "compensation": "none"}
            self.stateful.set("run", {**about, "log": [[0, "cancelled", None]]})
        self.close()
        return TerminalError("cancelled before it began", status_code=499, metadata={"kind": "cancelled"})

    def close(self) -> None:
        """Nobody takes the run's messages any more."""
        if self.stateful is not None and self.graph.events:
            messages.send(self.ctx, self.graph.name, self.stateful.key(), "close")

    async def work(self, flow: Flow, given: Json, started: float) -> bytes:
        key = self.stateful.key() if self.stateful is not None else None
        run: dict[str, Json] = {
            "id": f"{self.ctx.request().id.removeprefix('inv_')}.{int(started * 1000):x}",
            "graph": self.graph.name,
            "started": rfc3339(started),
            **({} if key is None else {"key": key}),
        }
        invocation = Invocation(self.ctx, self.graph, run, Report(), started, replies=replies_for(self.graph))
        trace = tracing.trace(self.joined, str(run["id"]), owns=True)
        outbox = streams.outbox(self.ctx, self.graph, run)
        invocation.report = Report(
            lambda path, state: self._put_node(invocation, path, state), outbox=outbox, trace=trace
        )
        invocation.joined = self.joined
        invocation.cancelled = self.cancelled
        scope: dict[str, Any] = {"input": given, "run": run, OUTCOMES: {}}
        if self.memory is not None:
            await self.memory.recall(invocation)
            await self._forget_nodes(self.memory.last_run, invocation)
            if invocation.kept is not None:
                scope["state"] = invocation.kept.mapping()
        self.facts |= {**run, "revision": self.graph.revision, "state": "running", "compensation": "none"}
        self._tell(invocation, "running", started, {"started": started})
        if self.graph.limits.time is not None:
            invocation.alarm("", self.graph.limits.time)
        root = Run(invocation, "", scope)
        try:
            if self.memory is not None:
                await self.memory.prepare(invocation, scope)
            output = await flow(root)
            result = steps.encoded(output)
            if invocation.cancelled:
                raise Cancelled
        except NodeError as failure:
            raise await self._end(root, failure, started) from None
        except TimedOut:
            error = NodeError("limit", f"the run took longer than {self.graph.limits.time} (limits.time)", code=504)
            raise await self._end(root, error, started) from None
        except Cancelled:
            error = NodeError("cancelled", "the run was cancelled", code=499)
            raise await self._end(root, error, started) from None
        if self.memory is not None:
            self.memory.keep()
        after = await run_after(root, "succeeded", None)
        self._put("spent", vars(invocation.spent))
        self._tell(invocation, "succeeded", invocation.now, self._ended(invocation, started, after))
        self.close()
        budgets.forget(self.ctx, self.graph, str(invocation.run["id"]))
        await self._trace(invocation, started, "succeeded")
        return result

    async def _end(self, root: Run, error: NodeError, started: float) -> TerminalError:
        """Undoes what was done, writes the final state, and makes the error that says so."""
        invocation = root.invocation
        state = {"cancelled": "cancelled", "rejected": "rejected", "expired": "rejected"}.get(error.kind, "failed")
        ended = steps.journaled(self.ctx, "end", steps.now)
        await invocation.outlast(ended)
        invocation.happened((await ended)["at"])
        about: dict[str, Any] = {"started": started, "error": error.as_json()}
        if effects := saga.effects(invocation.undo):
            self._tell(invocation, "compensating", invocation.now, about)
            await saga.undo(invocation, effects, error.as_json())
        undone, not_undone = invocation.undone, invocation.not_undone
        rolled_back = _told(undone, not_undone)
        if self.memory is not None:
            self.memory.keep(error, rolled_back)
        after = await run_after(root, state, error)
        self._put("spent", vars(invocation.spent))
        self._tell(invocation, state, invocation.now, {**about, **self._ended(invocation, started, after)})
        self.close()
        budgets.forget(self.ctx, self.graph, str(invocation.run["id"]))
        await self._trace(invocation, started, state, error)
        message = f"{error.message}. {rolled_back}" if rolled_back else error.message
        return TerminalError(
            message,
            status_code=error.code,
            metadata={
                "kind": error.kind,
                "node": error.node or "",
                "state": state,
                "undone": json.dumps(undone),
                "not_undone": json.dumps(not_undone),
            },
        )

    def _tell(self, invocation: Invocation, state: str, at: float, about: dict[str, Any]) -> None:
        """The run has come to a new state: it is kept for `status`, and told to who follows the run."""
        log = invocation.report.run(state, at, about.get("error") if "ended" in about else None)
        self._put("run", {**self.facts, **about, "state": state, **log})
        if "ended" in about:
            invocation.report.flush()

    async def _trace(self, invocation: Invocation, started: float, state: str, error: NodeError | None = None) -> None:
        """Hands over the run's spans, when all that is left is to answer."""
        trace = invocation.report.trace
        if trace is None:
            return
        about = {f"agentflow.run.{name}": str(invocation.run[name]) for name in ("id", "key") if name in invocation.run}
        spent = {f"agentflow.spent.{name}": value for name, value in vars(invocation.spent).items() if value}
        about.update({"agentflow.revision": self.graph.revision, "agentflow.state": state, **spent})
        trace.run(self.graph.name, started, invocation.now, about, error)
        await trace.finish()

    def _ended(self, invocation: Invocation, started: float, after: Json) -> dict[str, Any]:
        """What is told of a run at its end. In an object the next turn needs to know of which nodes there is state."""
        about = {"started": started, **_rolled_back(invocation), "ended": invocation.now}
        if after is not None:  # the error of what followed the run
            about["finally"] = after
        if self.memory is not None:
            about["nodes"] = list(invocation.report.nodes)
        return about

    async def _forget_nodes(self, last: Mapping[str, Any], invocation: Invocation) -> None:
        """Clears what is there of the nodes of the turn before."""
        assert self.stateful is not None
        names = [f"node:{path}" for path in last.get("nodes", ())]
        if last and "nodes" not in last:  # it was killed
            keys = cast(Future, self.stateful.state_keys())
            await invocation.outlast(keys)
            names = [name for name in await keys if name.startswith("node:")]
        for name in names:
            self.stateful.clear(name)

    def _put(self, name: str, value: Json) -> None:
        rehearsal.note(name, value)
        if self.stateful is not None:
            self.stateful.set(name, value)
            following.ring(self.graph.name, self.stateful.key())

    def _put_node(self, invocation: Invocation, path: str, state: dict[str, Any]) -> None:
        self._put(f"node:{path}", state)
        if vars(invocation.spent) != self.spent:
            self.spent = dict(vars(invocation.spent))
            self._put("spent", self.spent)


def _told(undone: Sequence[Mapping[str, Any]], not_undone: Sequence[Mapping[str, Any]]) -> str:
    """What was undone, and what was not, as a sentence; empty where there was nothing."""
    told = []
    if undone:
        told.append("Undone: " + ", ".join(f"{entry['node']} ({entry['tool']})" for entry in undone))
    if not_undone:
        told.append(
            "NOT undone: "
            + "; ".join(
                f"{entry['node']} ({entry['tool']}, key {entry['key']}): {entry['error']}" for entry in not_undone
            )
        )
    return ". ".join(told)


def _rolled_back(invocation: Invocation) -> dict[str, Any]:
    """What was undone, at the run's end or before: of a race's losers, of a failure that was caught."""
    undone, not_undone = invocation.undone, invocation.not_undone
    state = "failed" if not_undone else "done" if undone else "none"
    return {"compensation": state, "undone": undone, "not_undone": not_undone}
