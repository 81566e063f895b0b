"""A run as the generated functions see it: values, what a node can do, and order.

A `Run` is a place in the graph, a path and a scope, within the invocation that works on it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from agentflow.durations import milliseconds
from agentflow.runtime import calls, clock, joins, lists, remote_tools, saga, steps, streams, templates, together
from agentflow.runtime.calls import CalledService, Callee
from agentflow.runtime.conversations import joined
from agentflow.runtime.errors import Interruption, NodeError, TemplateError, TimedOut
from agentflow.runtime.evaluation import OUTCOMES
from agentflow.runtime.flights import CallFlight, Flight, LateFlight, StepFlight, abandon
from agentflow.runtime.graph import Agent, Event, Node, Otherwise, Retry, Tool, Undo, Use
from agentflow.runtime.invocation import Future, Invocation
from agentflow.runtime.lists import Part
from agentflow.runtime.own_journal import call_with_context
from agentflow.runtime.region import Region
from agentflow.runtime.remote_tools import Remote
from agentflow.runtime.signature import keeps_own_journal
from agentflow.runtime.times import rfc3339
from agentflow.runtime.waits import wait
from agentflow.types import Json

Scope = dict[str, Any]  # names to values; OUTCOMES to how each node that has no value of its own ended
_T = TypeVar("_T")


@dataclass
class Run:
    """A place in the graph: what the generated functions work with."""

    invocation: Invocation
    path: str  # the address of the node in hand; "" at the graph's top
    scope: Scope
    node: Node | None = None  # whose body is at work
    part: Part | None = None  # of the items of a list, where the body is to see to these only

    # ------------------------------------------------------------ values

    def text(self, template: str) -> str:
        return self._evaluated(templates.text, template)

    def value(self, data: Json) -> Json:
        return self._evaluated(templates.value, data)

    def expression(self, text: str | bool) -> Json:
        return text if isinstance(text, bool) else self._evaluated(templates.expression, text)

    def _evaluated(self, evaluate: Callable[[Any, Scope], _T], template: object) -> _T:
        try:
            return evaluate(template, self.scope)
        except TemplateError as error:
            raise NodeError("fail", str(error), node=self.path) from None

    # ------------------------------------------------------------ what a node can do

    def tool(
        self, tool: Tool, args: Mapping[str, Json], *, retry: Retry | None = None, undo: Undo | None = None
    ) -> Flight:
        """Calls a tool: one durable step. `undo` is the node's own compensation."""
        return self.start_tool(tool, self._object(args), retry, undo)

    def _object(self, templates: Mapping[str, Json]) -> dict[str, Json]:
        values = self.value(dict(templates))
        assert isinstance(values, dict)
        return values

    def start_tool(
        self,
        tool: Tool,
        args: Mapping[str, Json],
        retry: Retry | None = None,
        undo: Undo | None = None,
        *,
        counted: bool = False,
    ) -> Flight:
        """`counted`: among the run's tool calls, by whoever starts it."""
        invocation = self.invocation
        if isinstance(tool.does, Remote):
            if not counted:
                invocation.count("tool_calls", self.path)
            return remote_tools.start(self, tool, tool.does, args, undo or tool.undo)
        late = not counted and "tool_calls" in invocation.graph.exact
        if not counted and not late:
            invocation.count("tool_calls", self.path)
        key = f"{invocation.run['id']}:{self.path}"
        undo = undo or tool.undo
        entry = None if undo is None else saga.Entry.of(undo, self.path, key, args, self.scope)
        stop, trace = invocation.stop(), invocation.report.trace

        async def call() -> steps.Outcome:
            return await steps.tool_step(tool, args, key, retry or tool.retry, stop, invocation.kept)

        closure = call if trace is None else trace.within("tool", self.path, call)

        def start() -> Future:
            return steps.journaled(invocation.ctx, self.path, closure, stop)

        if late:
            return LateFlight(self, start, entry, stop, tool, args)
        return StepFlight(self, start(), entry, stop, tool, args)

    async def confirmed_tool(
        self, tool: Tool, args: Mapping[str, Json], *, retry: Retry | None = None, undo: Undo | None = None
    ) -> Json:
        """Calls a tool once a person has approved the call with these arguments; refused, it is like an approval."""
        values = self._object(args)
        gate = remote_tools.confirmation(self, tool, values)
        if gate is not None:
            decision: Any = await self.land(gate)
            if not decision["approved"]:
                kind: Any = "expired" if decision["outcome"] == "expired" else "rejected"
                raise NodeError(kind, remote_tools.refusal(tool, decision), code=422, node=self.path)
        if isinstance(tool.does, together.parallel_tool):
            return await together.call(self, tool, values, retry)
        if keeps_own_journal(tool):
            return await call_with_context(self, tool, values, retry, undo)
        return await self.land(self.start_tool(tool, values, retry, undo))

    async def tools(self, tool: Tool, args: Mapping[str, Json], *, retry: Retry | None = None) -> Json:
        """Calls a tool that is several: one durable step of each, at once. `retry` is the node's, for each."""
        return await together.call(self, tool, self._object(args), retry)

    async def journaling_tool(
        self, tool: Tool, args: Mapping[str, Json], *, retry: Retry | None = None, undo: Undo | None = None
    ) -> Json:
        """Calls a tool that takes a restate.Context and so keeps its own journal."""
        return await call_with_context(self, tool, self._object(args), retry, undo)

    async def agent(
        self,
        agent: Agent,
        prompt: str,
        *,
        returns: Any = None,
        retry: Retry | None = None,
        conversation: str | None = None,
    ) -> Json:
        """An agent works on a prompt until it answers. `returns` is the answer's type, in place of the agent's own.

        What was said before under the name `conversation` is known to it, and what it says is added to that.
        """
        from agentflow.runtime.agent_steps import AgentSteps
        from agentflow.runtime.agents import turn  # ADK takes a second to import: only when an agent works

        returns = agent.returns if returns is None else returns
        shared = None if conversation is None else self.invocation.conversation(conversation)
        try:
            with joined(shared):
                return await turn(
                    AgentSteps(self), agent, self.text(prompt), returns=returns, retry=retry, conversation=shared
                )
        except TemplateError as problem:  # of an instruction
            raise NodeError("fail", str(problem), node=self.path) from None
        except NodeError as error:
            error.node = error.node or self.path
            raise

    def approval(self, message: str, **options: Any) -> Flight:
        """Asks people; see `approvals.ask`, whose options these are."""
        from agentflow.runtime.approvals import ask

        return ask(self, message, **options)

    def wait(self, duration: str | None = None, *, until: str | None = None) -> Flight:
        """A timer: for a duration, or until the time that an expression gives. Its value is when it ended."""
        return wait(self, duration, until)

    def emit(self, topic: str, data: Json) -> Json:
        """Tells whoever follows the run; the value is what was told."""
        value = self.value(data)
        if len(text := json.dumps(value)) > streams.MOST_TOLD:
            message = f"{self.path}: {len(text)} bytes are too many for an event: at most {streams.MOST_TOLD}"
            raise NodeError("output", message, node=self.path)
        self.invocation.report.emitted(self.path, topic, value, self.invocation.now)
        return value

    def ask(self, message: str, **options: Any) -> Flight:
        """Asks people to fill in a form; see `approvals.question`, whose options these are."""
        from agentflow.runtime.approvals import question

        return question(self, message, **options)

    def event(
        self, event: Event, *, timeout: str | None = None, on_timeout: Literal["fail", "continue"] = "fail"
    ) -> Flight:
        """Takes the oldest message of a name that was sent to the run, or waits for one."""
        from agentflow.runtime.events import receive

        return receive(self, event, timeout, on_timeout)

    async def known(self, callee: CalledService) -> CalledService:
        """A handler elsewhere that is called without a key, once it is known whether it has keys."""
        return await calls.known(self, callee)

    def call_out(
        self, callee: Callee, data: Json | None = None, *, key: str | None = None, undo: Undo | None = None
    ) -> Flight:
        """Calls a graph, or a handler elsewhere, in an invocation of its own. `undo` is the node's own compensation."""
        return calls.call(self, callee, None if data is None else self.value(data), key, undo)

    async def call_again(
        self,
        callee: Callee,
        data: Json | None = None,
        *,
        key: str | None = None,
        undo: Undo | None = None,
        retry: Retry,
    ) -> Json:
        """Calls likewise, and again where it failed, as `retry` says."""
        return await calls.call_again(self, callee, None if data is None else self.value(data), key, undo, retry)

    def send(
        self,
        callee: Callee,
        data: Json | None = None,
        *,
        key: str | None = None,
        undo: Undo | None = None,
        delay: str | None = None,
        until: str | None = None,
    ) -> Json:
        """Starts a graph, or calls a handler elsewhere, and goes on. The value says under which key."""
        return calls.send(self, callee, None if data is None else self.value(data), key, undo, delay, until)

    def values(self, *names: str) -> Json:
        """The values of several nodes as an object: what a scope without an `output` gives."""
        return {name: self.scope[name] for name in names}

    def no_case(self, subject: Json) -> Json:
        raise NodeError("fail", f"{self.path}: no case for {json.dumps(subject, ensure_ascii=False)}", node=self.path)

    def set_state(self, values: Mapping[str, Json]) -> Json:
        """Writes the object's state; what was written is the value."""
        written = self._object(values)
        assert self.invocation.kept is not None
        self.invocation.kept.write(written, self.path)
        return written

    def fail(self, message: str, *, code: int = 500) -> Json:
        raise NodeError("fail", self.text(message), code=code, node=self.path)

    # ------------------------------------------------------------ order

    def at(self, path: str) -> Run:
        """Another place, with a scope of its own, which begins as this one: what is set in it is not seen outside."""
        return Run(self.invocation, path, {**self.scope, OUTCOMES: dict(self.scope[OUTCOMES])})

    def inside(self, name: str) -> Run:
        return self.at(f"{self.path}.{name}" if self.path else name)

    def block(self) -> Run:
        """A scope of its own at the same place."""
        return self.at(self.path)

    async def one(self, node: Node, place: Run | None = None) -> Json:
        """Runs a node here and now. Its value, or null where it was skipped, joins the scope."""
        place = place or self.inside(node.name)
        try:
            if self.skips(node, place):
                return None
        except NodeError as raised:
            return await self.undecided(node, place, raised)
        invocation = self.invocation
        invocation.report.started(place.path, invocation.now)
        mark = len(invocation.undo)
        alarm = None if node.timeout is None else invocation.alarm(place.path, node.timeout)
        try:
            value = await place._perform(node)
        except TimedOut as timed_out:
            if timed_out.alarm is not alarm:
                self.attempted(node, place)
                invocation.report.ended(place.path, "cancelled", invocation.now)
                raise
            error = NodeError("timeout", f"{place.path} took longer than {node.timeout}", code=504, node=place.path)
        except NodeError as raised:
            error = raised
        except Interruption:
            self.attempted(node, place)
            invocation.report.ended(place.path, "cancelled", invocation.now)
            raise
        else:
            self.done(node, place, value)
            return value
        finally:
            if alarm is not None:
                invocation.alarms.remove(alarm)
        invocation.report.ended(place.path, "failed", invocation.now, error.as_json())
        self.attempted(node, place)
        return await self._caught(node, place, error, mark)

    async def _caught(self, node: Node, place: Run, error: NodeError, mark: int) -> Json:
        """`on_error` catches the failure, once what was done since `mark` has been undone; or it is raised."""
        if node.on_error is None:
            raise error
        undo = self.invocation.undo
        done, undo[mark:] = undo[mark:], []
        await saga.undo(self.invocation, done, error.as_json())
        return await self.instead(node, place, error)

    async def undecided(self, node: Node, place: Run, error: NodeError) -> Json:
        """A node's `when` could not be evaluated: the node has failed before it began."""
        self.invocation.report.ended(place.path, "failed", self.invocation.now, error.as_json())
        if node.on_error is None:
            raise error
        return await self.instead(node, place, error)

    async def instead(self, node: Node, place: Run, error: NodeError) -> Json:
        """What `on_error` puts in the place of a failed node."""
        value: Json = None
        self.scope[OUTCOMES][node.name] = "failed"
        if isinstance(node.on_error, Use):
            value = self.block_with(error=error.as_json()).value(node.on_error.value)
        elif isinstance(node.on_error, Otherwise):
            inner = place.block_with(error=error.as_json())
            value = await inner.one(node.on_error.node)
        self.scope[node.name] = value
        return value

    def working(self, node: Node) -> Run:
        """What the body of a node is given."""
        run = self.block()
        run.node = node
        return run

    def block_with(self, **names: Json) -> Run:
        run = self.block()
        run.scope.update(names)
        return run

    async def _perform(self, node: Node) -> Json:
        """The node's body, to its end. What it did joins the invocation's undo list."""
        body = node.body(self.working(node))
        if isinstance(body, Flight):
            return await self.land(body)
        if isinstance(body, Coroutine):
            value: Json = await body
            return value
        return body

    async def land(self, flight: Flight) -> Json:
        await flight.prepare(beside=False)
        try:
            if flight.waits is not None:
                self.invocation.report.waiting(flight.run.path, flight.waits, self.invocation.now)
            await self.invocation.wait(flight.future)
            return await flight.take()
        except Interruption as interruption:
            await abandon(self.invocation, [flight], cut=isinstance(interruption, TimedOut))
            raise
        finally:
            self.invocation.undo.extend(flight.undo)

    async def branch(self, node: Node) -> Json:
        """Runs a node in a scope of its own: one case of a switch."""
        return await self.block().one(node)

    def skips(self, node: Node, place: Run) -> bool:
        if node.when is None or place.expression(node.when):
            return False
        self.scope[node.name] = None
        self.scope[OUTCOMES][node.name] = "skipped"
        self.invocation.report.ended(place.path, "skipped", self.invocation.now)
        return True

    def done(self, node: Node, place: Run, value: Json) -> None:
        invocation = self.invocation
        if node.undo is not None:  # before the name is in scope: a branch may have that of a node outside
            self.invocation.undo.append(self._entry(node.undo, place, value))
        self.scope[node.name] = value
        invocation.report.ended(place.path, "succeeded", invocation.now)

    def attempted(self, node: Node, place: Run) -> None:
        """The node did not complete; a compensation that counts attempts is due all the same."""
        self.invocation.undo.extend(self.tried(node, place))

    def tried(self, node: Node, place: Run) -> list[saga.Entry]:
        """What is to be undone of a node that began here and did not complete, beside what its steps did."""
        if node.undo is None or node.undo.on != "attempted":
            return []
        return [self._entry(node.undo, place, None)]

    def _entry(self, undo: Undo, place: Run, result: Json) -> saga.Entry:
        key = f"{self.invocation.run['id']}:{place.path}"
        entry = saga.Entry.of(undo, place.path, key, {}, self.scope)
        entry.complete(result, self.invocation.now)
        return entry

    def begin(self, node: Node, place: Run) -> Flight | Json:
        """Starts a node without waiting for it: a step, a gate, a call; or its value where that is known at once."""
        handler = self.invocation.graph.handlers.get(node)
        self.invocation.report.started(place.path, self.invocation.now, elsewhere=handler is not None)
        if handler is None:
            body = node.body(place.working(node))
            assert not isinstance(body, Coroutine), f"{node.name} needs an invocation of its own"
            if isinstance(body, Flight) and body.waits is not None:
                self.invocation.report.waiting(place.path, body.waits, self.invocation.now)
            return body
        return self.call(node, place.path)

    def call(self, node: Node, path: str, **more: Json) -> CallFlight:
        """Starts a node in an invocation of its own, at a path."""
        invocation = self.invocation
        call: dict[str, Any] = {
            "run": invocation.run,
            "path": path,
            "scope": {name: self.scope[name] for name in node.uses if name in self.scope},
            "outcomes": {name: how for name, how in self.scope[OUTCOMES].items() if name in node.uses},
            "spent": vars(invocation.spent),
            "now": invocation.now,
            **more,
        }
        if (limit := invocation.limit()) is not None:
            call["limit"] = limit
        if (traceparent := invocation.traceparent(path)) is not None:
            call["trace"] = traceparent
        handler = invocation.graph.handlers[node]
        if invocation.kept is not None:
            call["state"] = invocation.kept.values
        if node.conversations:
            call["heard"] = {name: invocation.conversation(name).as_json() for name in node.conversations}
        future = invocation.ctx.service_call(handler, arg=json.dumps(call, separators=(",", ":")).encode())
        return CallFlight(self.at(path), future)

    def landed(self, node: Node, place: Run, flight: Flight, value: Json) -> None:
        """A flight of this scope gave the node's value. In an invocation of its own, the node has seen to the rest."""
        if not isinstance(flight, CallFlight):
            self.done(node, place, value)
            return
        self.scope[node.name] = value
        if flight.outcome is not None:
            self.scope[OUTCOMES][node.name] = flight.outcome
        if flight.state is not None:
            self.invocation.report.landed(place.path, flight.state)
        else:
            self.invocation.report.ended(place.path, "succeeded", self.invocation.now)

    async def failed_aside(self, node: Node, place: Run, error: NodeError, undo: Sequence[saga.Entry] = ()) -> None:
        """A node that ran beside others failed: for good, unless `on_error` has something to put in its place."""
        invocation = self.invocation
        invocation.report.ended(place.path, "failed", invocation.now, error.as_json())
        mark = len(invocation.undo)
        invocation.undo.extend(undo)
        if node in invocation.graph.handlers:
            raise error  # in an invocation of its own, `on_error` has had its turn there
        self.attempted(node, place)
        await self._caught(node, place, error, mark)

    async def together(self, *nodes: Node) -> None:
        """Runs nodes side by side, each from the moment when what it needs is done. In file order."""
        await Region(self, nodes).finish()

    async def parallel(
        self,
        *branches: Node,
        join: Literal["all", "any", "first"] | int = "all",
        on_failure: Literal["fail_fast", "collect"] = "fail_fast",
    ) -> Json:
        """Runs branches side by side, each in a scope of its own, and joins them; losers are cancelled and undone."""
        return await joins.parallel(self, branches, join, on_failure)

    async def for_each(
        self,
        over: Json,
        do: Node,
        *,
        item: str = "item",
        max_parallel: int = 10,
        join: Literal["all", "any", "first"] | int = "all",
        on_failure: Literal["fail_fast", "collect"] = "fail_fast",
    ) -> Json:
        """Runs a node for every item of a list, `max_parallel` at a time. `over`: an expression, or the list."""
        if self.part is None:
            over = self.expression(over) if isinstance(over, str) else self.value(over)
        return await lists.for_each(self, over, do, item, max_parallel, join, on_failure)

    async def loop(
        self,
        body: Callable[[Run], Coroutine[Any, Any, Json]],
        *,
        until: str | bool,
        max: int,
        start: Json = None,
        every: str | None = None,
        on_max: Literal["fail", "continue"] = "fail",
    ) -> Json:
        """Runs rounds until `until` holds, which sees the round's nodes; the value is the last round's."""
        previous = self.value(start)
        for index in range(1, max + 1):
            here = self.at(f"{self.path}[{index}]")
            here.scope.update(index=index, previous=previous)
            value = await body(here)
            if here.expression(until):
                return value
            if every is not None and index < max:
                await self.pause(every)
            previous = value
        if on_max == "continue":
            return previous
        message = f"{self.path}: {max} {'round' if max == 1 else 'rounds'}, and it is not done (max)"
        raise NodeError("limit", message, node=self.path)

    async def pause(self, duration: str) -> None:
        """Waits for a while, durably."""
        invocation, length = self.invocation, milliseconds(duration)
        until = invocation.now + length / 1000
        timer = clock.sleep(invocation.ctx, length)
        invocation.report.waiting(self.path, {"kind": "pause", "until": rfc3339(until)}, invocation.now)
        await invocation.wait(timer)
        invocation.happened(until)
        invocation.report.going_on(self.path, invocation.now)
