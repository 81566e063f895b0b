"""The scheduler: runs nodes in their order, several at once where the graph allows it.

`Invocation` is what one handler of the engine knows; `Run` is a place in the graph within it (a path
and a scope) and is what the generated functions are given. Everything waits through
`Invocation.wait`, in one coroutine: the SDK's context bears one waiter, and what waiting itself
raises is a cancel, while what a future raises is its step's own failure.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import restate
from restate.exceptions import TerminalError

from agentflow.runtime import saga, steps, templates
from agentflow.runtime.answers import usage
from agentflow.runtime.errors import Cancelled, Interruption, NodeError, TemplateError, TimedOut
from agentflow.runtime.graph import Agent, Graph, Node, Otherwise, Retry, Tool, Undo, Use, milliseconds
from agentflow.runtime.report import Report
from agentflow.runtime.signature import signature_of
from agentflow.types import Json

if TYPE_CHECKING:
    from agentflow.runtime.agents import ToolCall
    from agentflow.runtime.replies import Replies

Future = restate.RestateDurableFuture[Any]
Scope = dict[str, Any]  # names to values; OUTCOMES to how each node that has no value of its own ended

OUTCOMES = "__outcomes__"
_T = TypeVar("_T")


@dataclass(eq=False)
class Alarm:
    """A durable timer in force, and whose it is."""

    future: Future
    path: str
    duration: str
    due: float = 0.0  # seconds since 1970


@dataclass
class Spent:
    """What a run has used, counted from the journal, so that a replay counts nothing twice."""

    model_calls: int = 0
    tool_calls: int = 0
    handoffs: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def add(self, other: Mapping[str, int]) -> None:
        for name, amount in other.items():
            setattr(self, name, getattr(self, name) + amount)

    def minus(self, other: Mapping[str, int]) -> dict[str, int]:
        return {name: amount - other[name] for name, amount in vars(self).items()}


@dataclass(eq=False)
class Invocation:
    """One handler's share of a run: the engine's context and what has been learnt from its journal."""

    ctx: restate.Context
    graph: Graph
    run: dict[str, Json]  # what templates see as `run`: id, key, graph, started
    report: Report
    now: float  # seconds since 1970 of the latest thing known to have happened
    undo: list[saga.Entry] = field(default_factory=list)
    spent: Spent = field(default_factory=Spent)
    alarms: list[Alarm] = field(default_factory=list)
    replies: Replies | None = None
    cancelled: bool = False

    async def wait(self, *futures: Future) -> list[Future]:
        """Waits until at least one is done, and returns those that are.

        Raises Cancelled, or TimedOut when an alarm in force goes off first.
        """
        if self.cancelled:  # noted while something had to be finished first
            raise Cancelled
        alarms = [alarm.future for alarm in self.alarms]
        try:
            done, _ = await restate.wait_completed(*futures, *alarms)
        except TerminalError:
            self.note_cancel()
            raise Cancelled from None
        ready = [future for future in futures if future in done]
        if not ready:
            rung = next(alarm for alarm in self.alarms if alarm.future in done)
            self.happened(rung.due)
            raise TimedOut(rung)
        return ready

    async def outlast(self, *futures: Future) -> list[Future]:
        """Waits like `wait`, through cancels and alarms: for effects whose outcome must be known."""
        while True:
            try:
                done, _ = await restate.wait_completed(*futures)
            except TerminalError:
                self.note_cancel()
            else:
                return done

    def alarm(self, path: str, duration: str) -> Alarm:
        """Sets a durable timer, which every wait heeds until it is removed from `alarms`."""
        length = milliseconds(duration) / 1000
        alarm = Alarm(self.ctx.sleep(timedelta(seconds=length)), path, duration, self.now + length)
        self.alarms.append(alarm)
        return alarm

    def note_cancel(self) -> None:
        self.cancelled = True

    def happened(self, at: float) -> None:
        self.now = max(self.now, at)


class Flight:
    """Something under way in this invocation: a future, and how its result is taken in.

    `undo` fills with what it did; whoever started it decides what becomes of that.
    """

    def __init__(self, run: Run, future: Future) -> None:
        self.run = run
        self.future = future
        self.undo: list[saga.Entry] = []
        self.waits: dict[str, Json] | None = None  # what for, when it is a person

    async def take(self) -> Json:
        """The value, of a future that is done. Raises NodeError."""
        raise NotImplementedError

    def end(self, *, cut: bool) -> None:
        """No result is wanted any more; `cut` also breaks off what is being tried."""

    async def cancel(self) -> None:
        """Cancels what runs elsewhere."""


class StepFlight(Flight):
    def __init__(self, run: Run, future: Future, entry: saga.Entry | None, stop: steps.Stop, effect: str) -> None:
        super().__init__(run, future)
        self.entry = entry
        self.stop = stop
        self.effect = effect
        if entry is not None:
            self.undo.append(entry)

    async def take(self) -> Json:
        outcome: steps.Outcome = await self.future
        self.run.invocation.happened(outcome["at"])
        self.run.invocation.report.tried(self.run.path, outcome)
        if self.entry is not None:
            saga.settle(self.undo, self.entry, outcome)
        if "failed" in outcome:
            failed = outcome["failed"]
            raise NodeError(
                failed["kind"],
                failed["message"],
                code=failed["code"],
                node=self.run.path,
                unknown=failed["unknown"],
                told=failed["told"],
            )
        value: Json = outcome["value"]
        return value

    def end(self, *, cut: bool) -> None:
        self.stop.ended.set()
        if cut or self.effect == "read":
            self.stop.cut.set()


class CallFlight(Flight):
    """A node in an invocation of its own."""

    def __init__(self, run: Run, future: restate.RestateDurableCallFuture[Any]) -> None:
        super().__init__(run, future)
        self.call = future
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
        self.outcome = result.get("outcome")
        value: Json = result["value"]
        return value

    def _merge(self, result: dict[str, Any]) -> None:
        invocation = self.run.invocation
        self.undo.extend(saga.Entry(**entry) for entry in result.get("undo", ()))
        invocation.spent.add(result.get("spent", {}))
        invocation.happened(result.get("now", 0))
        for path, state in result.get("nodes", {}).items():
            if path != self.run.path:
                invocation.report.put(path, state)
        self.state = result.get("nodes", {}).get(self.run.path)

    async def cancel(self) -> None:
        try:
            await self.call.cancel_invocation()
        except TerminalError:  # a cancel of our own, which reaches the callee too
            self.run.invocation.note_cancel()


@dataclass
class Run:
    """A place in the graph: what the generated functions work with."""

    invocation: Invocation
    path: str  # the address of the node in hand; "" at the graph's top
    scope: Scope

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

    def tool(self, tool: Tool, args: Mapping[str, Json], *, retry: Retry | None = None) -> Flight:
        """Calls a tool: one durable step."""
        values = self.value(dict(args))
        assert isinstance(values, dict)
        return self.start_tool(tool, values, retry)

    def start_tool(
        self, tool: Tool, args: Mapping[str, Json], retry: Retry | None = None, undo: Undo | None = None
    ) -> StepFlight:
        invocation = self.invocation
        invocation.spent.tool_calls += 1
        key = f"{invocation.run['id']}:{self.path}"
        undo = undo or tool.undo
        entry = None if undo is None else saga.Entry.of(undo, self.path, key, args, self.scope)
        stop = steps.Stop()
        step = steps.journaled(
            invocation.ctx, self.path, lambda: steps.tool_step(tool, args, key, retry or tool.retry, stop)
        )
        return StepFlight(self, step, entry, stop, tool.effect)

    async def journaling_tool(self, tool: Tool, args: Mapping[str, Json]) -> Json:
        """Calls a tool that takes a restate.Context and so keeps its own journal."""
        from agentflow.runtime.own_journal import call_with_context

        values = self.value(dict(args))
        assert isinstance(values, dict)
        return await call_with_context(self, tool, values)

    async def agent(self, agent: Agent, prompt: str, *, returns: Any = None, retry: Retry | None = None) -> Json:
        """An agent works on a prompt until it answers. `returns` is the answer's type, in place of the agent's own."""
        from agentflow.runtime.agents import turn  # ADK takes a second to import: only when an agent works

        if retry is not None:
            agent = replace(agent, model=replace(agent.model, retry=retry))
        returns = agent.returns if returns is None else returns
        alarm = self._alarm(self.path, agent.limits.time)
        try:
            return await turn(self, agent, self.text(prompt), returns=returns)
        except TimedOut as timed_out:
            if timed_out.alarm is not alarm:
                raise
            limit = f"{agent.name} took longer than {agent.limits.time} (limits.time)"
            raise NodeError("limit", limit, code=504, node=self.path) from None
        finally:
            if alarm is not None:
                self.invocation.alarms.remove(alarm)

    def approval(self, message: str, **options: Any) -> Flight:
        """Asks people; see `approvals.ask`, whose options these are."""
        from agentflow.runtime.approvals import ask

        return ask(self, message, **options)

    def values(self, *names: str) -> Json:
        """The values of several nodes as an object: what a scope without an `output` gives."""
        return {name: self.scope[name] for name in names}

    def no_case(self, subject: Json) -> Json:
        raise NodeError("fail", f"{self.path}: no case for {json.dumps(subject, ensure_ascii=False)}", node=self.path)

    def fail(self, message: str, *, code: int = 500) -> Json:
        raise NodeError("fail", self.text(message), code=code, node=self.path)

    # ------------------------------------------------------------ order

    def inside(self, name: str, *, own_scope: bool = True) -> Run:
        path = f"{self.path}.{name}" if self.path else name
        scope = {**self.scope, OUTCOMES: dict(self.scope[OUTCOMES])} if own_scope else self.scope
        return Run(self.invocation, path, scope)

    def block(self) -> Run:
        """A scope of its own at the same place: what is set in it is not seen outside."""
        return Run(self.invocation, self.path, {**self.scope, OUTCOMES: dict(self.scope[OUTCOMES])})

    async def one(self, node: Node) -> Json:
        """Runs a node here and now. Its value, or null where it was skipped, joins the scope."""
        place = self.inside(node.name)
        if self._skipped(node, place):
            return None
        invocation = self.invocation
        invocation.report.started(place.path, invocation.now)
        mark = len(invocation.undo)
        alarm = self._alarm(place.path, node.timeout)
        try:
            value = await place._perform(node)
        except TimedOut as timed_out:
            if timed_out.alarm is not alarm:
                invocation.report.ended(place.path, "cancelled", invocation.now)
                raise
            error = NodeError("timeout", f"{place.path} took longer than {node.timeout}", code=504, node=place.path)
        except NodeError as raised:
            error = raised
        except Interruption:
            invocation.report.ended(place.path, "cancelled", invocation.now)
            raise
        else:
            self._done(node, place, value)
            return value
        finally:
            if alarm is not None:
                invocation.alarms.remove(alarm)
        invocation.report.ended(place.path, "failed", invocation.now, error.as_json())
        if node.on_error is None:
            raise error
        done, invocation.undo[mark:] = invocation.undo[mark:], []
        await saga.undo(invocation, done, error.as_json())
        return await self._instead(node, place, error)

    async def _instead(self, node: Node, place: Run, error: NodeError) -> Json:
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

    def block_with(self, **names: Json) -> Run:
        run = self.block()
        run.scope.update(names)
        return run

    async def _perform(self, node: Node) -> Json:
        """The node's body, to its end. What it did joins the invocation's undo list."""
        body = node.body(self.block())
        if isinstance(body, Flight):
            return await self._land(body)
        if isinstance(body, Coroutine):
            value: Json = await body
            return value
        return body

    async def _land(self, flight: Flight) -> Json:
        try:
            if flight.waits is not None:
                self.invocation.report.waiting(flight.run.path, flight.waits)
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

    def _skipped(self, node: Node, place: Run) -> bool:
        if node.when is None or place.expression(node.when):
            return False
        self.scope[node.name] = None
        self.scope[OUTCOMES][node.name] = "skipped"
        self.invocation.report.ended(place.path, "skipped", self.invocation.now)
        return True

    def _done(self, node: Node, place: Run, value: Json) -> None:
        invocation = self.invocation
        self.scope[node.name] = value
        if node.undo is not None:
            key = f"{invocation.run['id']}:{place.path}"
            entry = saga.Entry.of(node.undo, place.path, key, {}, {**self.scope, "result": value})
            entry.complete(value, invocation.now)
            invocation.undo.append(entry)
        invocation.report.ended(place.path, "succeeded", invocation.now)

    def _alarm(self, path: str, duration: str | None) -> Alarm | None:
        if duration is None:
            return None
        return self.invocation.alarm(path, duration)

    def _begin(self, node: Node, place: Run) -> Flight | Json:
        """Starts a node without waiting for it: a step, a gate, a call; or its value where that is known at once."""
        self.invocation.report.started(place.path, self.invocation.now)
        handler = self.invocation.graph.handlers.get(node)
        if handler is None:
            body = node.body(place.block())
            assert not isinstance(body, Coroutine), f"{node.name} needs an invocation of its own"
            return body
        invocation = self.invocation
        call = {
            "run": invocation.run,
            "path": self.path,
            "scope": {name: self.scope[name] for name in node.uses if name in self.scope},
            "outcomes": {name: how for name, how in self.scope[OUTCOMES].items() if name in node.uses},
            "spent": vars(invocation.spent),
            "now": invocation.now,
        }
        future = invocation.ctx.service_call(handler, arg=json.dumps(call, separators=(",", ":")).encode())
        return CallFlight(place, future)

    async def together(self, *nodes: Node) -> None:
        """Runs nodes side by side, each from the moment when what it needs is done. In file order."""
        invocation = self.invocation
        unfinished = {node.name for node in nodes}
        waiting = list(nodes)
        flying: dict[Future, tuple[Node, Run, Flight]] = {}
        try:
            while True:
                progress = True
                while progress:
                    progress = False
                    for node in list(waiting):
                        if unfinished.intersection(node.needs):
                            continue
                        waiting.remove(node)
                        place = self.inside(node.name)
                        if not self._skipped(node, place):
                            try:
                                begun = self._begin(node, place)
                            except NodeError as error:
                                await self._failed_aside(node, place, error)
                            else:
                                if isinstance(begun, Flight):
                                    if begun.waits is not None:
                                        invocation.report.waiting(place.path, begun.waits)
                                    flying[begun.future] = (node, place, begun)
                                    continue
                                self._done(node, place, begun)
                        unfinished.discard(node.name)
                        progress = True
                if not flying:
                    return
                for future in await invocation.wait(*flying):
                    node, place, flight = flying.pop(future)
                    try:
                        value = await flight.take()
                    except NodeError as error:
                        invocation.undo.extend(flight.undo)
                        await self._failed_aside(node, place, error)
                    else:
                        invocation.undo.extend(flight.undo)
                        self._landed(node, place, flight, value)
                    unfinished.discard(node.name)
        except (NodeError, Interruption) as end:
            flights = [flight for _, _, flight in flying.values()]
            await abandon(invocation, flights, cut=isinstance(end, TimedOut))
            for _, place, flight in flying.values():
                invocation.undo.extend(flight.undo)
                invocation.report.ended(place.path, "cancelled", invocation.now)
            raise

    async def _failed_aside(self, node: Node, place: Run, error: NodeError) -> None:
        """A node of a region failed: for good, unless `on_error` has something to put in its place."""
        self.invocation.report.ended(place.path, "failed", self.invocation.now, error.as_json())
        if node.on_error is None or node in self.invocation.graph.handlers:
            raise error  # in an invocation of its own, `on_error` has had its turn there
        await self._instead(node, place, error)

    def _landed(self, node: Node, place: Run, flight: Flight, value: Json) -> None:
        """A flight of this scope gave the node's value."""
        if isinstance(flight, CallFlight) and flight.outcome is not None:
            self.scope[node.name] = value
            self.scope[OUTCOMES][node.name] = flight.outcome
            if flight.state is not None:
                self.invocation.report.put(place.path, flight.state)
        else:
            self._done(node, place, value)

    async def parallel(
        self,
        *branches: Node,
        join: Literal["all", "any", "first"] | int = "all",
        on_failure: Literal["fail_fast", "collect"] = "fail_fast",
    ) -> Json:
        """Runs branches side by side, each in a scope of its own, and joins them; losers are cancelled and undone."""
        from agentflow.runtime.joins import race

        return await race(self, branches, join, on_failure)

    # ------------------------------------------------------------ what an agent's turn asks for (agents.Durable)

    @property
    def replies(self) -> Replies | None:
        return self.invocation.replies

    async def model_call(
        self, address: str, call: Callable[[int], Awaitable[dict[str, Any]]], retry: Retry
    ) -> dict[str, Any]:
        """One durable call of a model, tried as `retry` says. Counts against `limits.model_calls`."""
        invocation = self.invocation
        limit = invocation.graph.limits.model_calls
        if limit is not None and invocation.spent.model_calls >= limit:
            raise NodeError("limit", f"the run has made its {limit} model calls (limits.model_calls)", node=self.path)
        invocation.spent.model_calls += 1
        stop = steps.Stop()
        future = steps.journaled(invocation.ctx, f"{self.path}.{address}", lambda: steps.model_step(call, retry, stop))
        try:
            await invocation.wait(future)
        except Interruption:
            stop.ended.set()
            stop.cut.set()
            raise
        outcome = await future
        invocation.happened(outcome["at"])
        invocation.report.tried(self.path, outcome)
        if "failed" in outcome:
            failed = outcome["failed"]
            raise NodeError(failed["kind"], failed["message"], code=failed["code"], node=self.path)
        answer: dict[str, Any] = outcome["value"]
        used = usage(answer)
        invocation.spent.input_tokens += used.input
        invocation.spent.output_tokens += used.output
        return answer

    async def tool_batch(self, calls: Sequence[ToolCall]) -> list[ToolOutcome]:
        """Runs the tool calls of one model turn at the same time, started in order, waited for by one coroutine.

        A ToolError is an outcome, for the model to hear of; any other failure is raised once all are known.
        """
        invocation = self.invocation
        if len(calls) == 1 and signature_of(calls[0].tool.function).keeps_own_journal:
            return [await self._journaling_call(calls[0])]
        flights = [self.inside(call.address, own_scope=False).start_tool(call.tool, call.args) for call in calls]
        pending: dict[Future, int] = {flight.future: at for at, flight in enumerate(flights)}
        outcomes: list[ToolOutcome | None] = [None] * len(flights)
        errors: list[NodeError] = []
        try:
            while pending:
                for future in await invocation.wait(*pending):
                    at = pending.pop(future)
                    try:
                        outcomes[at] = ToolOutcome(value=await flights[at].take())
                    except NodeError as error:
                        if error.told:
                            outcomes[at] = ToolOutcome(error=error.message)
                        else:
                            errors.append(error)
                            for rest in pending.values():
                                flights[rest].end(cut=False)
        except Interruption as interruption:
            left = [flights[at] for at in pending.values()]
            await abandon(invocation, left, cut=isinstance(interruption, TimedOut))
            raise
        finally:
            for flight in flights:
                invocation.undo.extend(flight.undo)
        if errors:
            raise errors[0]
        return [outcome for outcome in outcomes if outcome is not None]

    async def _journaling_call(self, call: ToolCall) -> ToolOutcome:
        from agentflow.runtime.own_journal import call_with_context

        try:
            value = await call_with_context(self.inside(call.address, own_scope=False), call.tool, call.args)
        except NodeError as error:
            if error.told:
                return ToolOutcome(error=error.message)
            raise
        return ToolOutcome(value=value)

    def count_handoff(self, limit: int | None) -> None:
        """Counts a handoff. Raises the terminal error of the limit, the agent's or the graph's."""
        spent = self.invocation.spent
        bound = self.invocation.graph.limits.handoffs if limit is None else limit
        if bound is not None and spent.handoffs >= bound:
            raise NodeError("limit", f"the run has made its {bound} handoffs (limits.handoffs)", node=self.path)
        spent.handoffs += 1


@dataclass(frozen=True)
class ToolOutcome:
    """What a tool gave, or the error that the model is told."""

    value: Json = None
    error: str | None = None


async def abandon(invocation: Invocation, flights: Sequence[Flight], *, cut: bool) -> None:
    """Ends what flies and waits until its outcome is known; what it did is left in each flight's `undo`."""
    for flight in flights:
        flight.end(cut=cut)
    if not invocation.cancelled:  # the engine has told the callees of a cancelled invocation already
        for flight in flights:
            await flight.cancel()
    pending = {flight.future: flight for flight in flights}
    while pending:
        for future in await invocation.outlast(*pending):
            try:
                await pending.pop(future).take()
            except NodeError:
                continue  # its failure was our doing, or no longer matters: something else ended the node
