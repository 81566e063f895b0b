"""The clock of a graph with a `schedule`: the object `<graph>.schedule`, under one key, starts its runs.

It waits by sending itself a delayed `tick`, never in a handler, so that it can always be asked. Every tick carries the
generation it belongs to, and one of a former generation does nothing: however often the clock is set anew, by a new
revision or by `serve` as it starts, one chain of ticks goes on. Each firing is a run under a key of its own, the time
of the firing, so that the engine takes it once.

The object has no revision. Its state, under `schedule`, outlives them, and has a version of its own:
`{version, graph, timetable, paused, generation, seen, next, tick, last, triggered}`; `seen` is the moment, in
milliseconds since 1970, up to which firings have been seen to, `tick` the invocation that waits for the next.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import restate
from restate.exceptions import TerminalError
from restate.serde import BytesSerde

from agentflow.durations import milliseconds
from agentflow.runtime import steps
from agentflow.runtime.graph import Graph
from agentflow.timetable import Timetable, key_of

VERSION = 1
KEY = "clock"  # of the one object

State = dict[str, Any]


def schedule(graph: Graph) -> restate.VirtualObject:
    """`ensure`, `pause`, `resume`, `trigger`: each answers with the state. `tick` is private."""
    service = restate.VirtualObject(f"{graph.name}.schedule")
    # Nobody looks at the journals of what has ended here: what came of it are runs, and the state.
    kept = timedelta(0)

    @service.handler(name="ensure", input_serde=BytesSerde(), output_serde=BytesSerde(), journal_retention=kept)
    async def ensure(ctx: restate.ObjectContext, body: bytes) -> bytes:
        """Sees that the clock runs as this revision says. Called as often as one likes."""
        clock = await _Clock.of(graph, ctx, new=True)
        clock.catch_up()
        await clock.arm()
        return clock.told()

    @service.handler(
        name="tick", input_serde=BytesSerde(), output_serde=BytesSerde(), journal_retention=kept, ingress_private=True
    )
    async def tick(ctx: restate.ObjectContext, body: bytes) -> bytes:
        given = json.loads(body)
        clock = await _Clock.of(graph, ctx, generation=given["generation"], due=given["due"])
        if clock.stale:
            return b"null"
        clock.catch_up()
        await clock.arm()
        return clock.told()

    @service.handler(name="pause", input_serde=BytesSerde(), output_serde=BytesSerde(), journal_retention=kept)
    async def pause(ctx: restate.ObjectContext, body: bytes) -> bytes:
        """No firing until `resume`; what would have been in between is not made up for."""
        clock = await _Clock.of(graph, ctx)
        clock.state["paused"] = True
        await clock.arm()
        return clock.told()

    @service.handler(name="resume", input_serde=BytesSerde(), output_serde=BytesSerde(), journal_retention=kept)
    async def resume(ctx: restate.ObjectContext, body: bytes) -> bytes:
        clock = await _Clock.of(graph, ctx)
        if clock.state["paused"]:
            clock.state.update(paused=False, seen=clock.now)
        clock.catch_up()
        await clock.arm()
        return clock.told()

    @service.handler(name="trigger", input_serde=BytesSerde(), output_serde=BytesSerde(), journal_retention=kept)
    async def trigger(ctx: restate.ObjectContext, body: bytes) -> bytes:
        """Starts one run now, also while paused; its key is the time, in milliseconds, and so no firing's."""
        clock = await _Clock.of(graph, ctx)
        clock.fire(clock.moment_of_its_own())
        if clock.new:
            await clock.arm()
        return clock.told()

    return service


class _Clock:
    """One handler's view of the object: the state as it was, the time, and what is done about it."""

    def __init__(self, graph: Graph, ctx: restate.ObjectContext, state: State, now: int) -> None:
        assert graph.schedule is not None
        self.graph = graph
        self.ctx = ctx
        self.state = state
        self.now = now  # milliseconds since 1970
        self.input = graph.schedule.input
        self.timetable = _timetable(graph)
        self.new = False
        self.stale = False
        self.ticked = False  # this is the tick that was waited for: there is none to call off

    @classmethod
    async def of(
        cls, graph: Graph, ctx: restate.ObjectContext, *, new: bool = False, generation: int | None = None, due: int = 0
    ) -> _Clock:
        """The clock as the state has it, or one that starts now where the schedule is not what it was.

        Without a state, only `new` makes one: older revisions are still there when a schedule has been removed.
        """
        state: State | None = await ctx.get("schedule", type_hint=dict)
        if state is None and not new:
            raise TerminalError(f"{graph.name} has no schedule on this server", status_code=404)
        state = state or {"version": VERSION, "generation": 0}
        if state["version"] > VERSION:
            raise TerminalError(f"the state of {graph.name}.schedule is a newer version's", status_code=500)
        # The engine's word that a tick is due goes before this machine's clock, which may be behind.
        now = max(round((await steps.journaled(ctx, "now", steps.now))["at"] * 1000), due)
        clock = cls(graph, ctx, state, now)
        clock.stale = generation is not None and generation != state["generation"]
        clock.ticked = generation is not None
        described = _described(graph)
        if state.get("timetable") != described:
            state.update(graph=graph.name, timetable=described, seen=now, next=None)
            state.setdefault("paused", False)
            clock.new = True
        return clock

    def catch_up(self) -> None:
        """Fires what is due; of several that were missed, the latest alone."""
        if self.state["paused"]:
            return
        latest = self.timetable.latest(self.state["seen"], self.now)
        if latest is not None:
            self.fire(latest)
            self.state["seen"] = latest

    def fire(self, moment: int) -> None:
        """Starts a run under the moment's key; under a key that has been used, the engine starts none."""
        key, given = key_of(moment), json.dumps(self.input, ensure_ascii=False).encode()
        if self.graph.kind == "service":
            self.ctx.generic_send(self.graph.name, "run", given, idempotency_key=key)
        else:
            self.ctx.generic_send(self.graph.name, "run", given, key=key)
        self.state["last"] = key

    def moment_of_its_own(self) -> int:
        """Now, or a millisecond later: never a whole second, as all firings are, nor the same twice."""
        moment: int = max(self.now, self.state.get("triggered", 0) + 1)
        moment += moment % 1000 == 0
        self.state["triggered"] = moment
        return moment

    async def arm(self) -> None:
        """Sets the next tick, in place of the one that was waited for, and keeps the state."""
        state = self.state
        state["generation"] += 1
        if state.get("tick") and not self.ticked:
            self.ctx.cancel_invocation(state["tick"])
        due = None if state["paused"] else self.timetable.after(state["seen"])
        state.update(next=None if due is None else key_of(due), tick=None)
        if due is not None:
            tick = json.dumps({"generation": state["generation"], "due": due}).encode()
            delay = timedelta(milliseconds=max(due - self.now, 0))
            sent = self.ctx.generic_send(
                f"{self.graph.name}.schedule", "tick", tick, key=self.ctx.key(), send_delay=delay
            )
            state["tick"] = await sent.invocation_id()
        self.new = False

    def told(self) -> bytes:
        """The state, written and returned."""
        self.ctx.set("schedule", self.state)
        return json.dumps(self.state, ensure_ascii=False).encode()


def _timetable(graph: Graph) -> Timetable:
    given = graph.schedule
    assert given is not None
    every = None if given.every is None else milliseconds(given.every)
    return Timetable(given.cron, given.timezone, every)


def _described(graph: Graph) -> dict[str, str]:
    given = graph.schedule
    assert given is not None
    return {name: value for name in ("cron", "timezone", "every") if (value := getattr(given, name)) is not None}
