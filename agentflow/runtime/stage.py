"""A rehearsal: models, tools and time as the cases of `agentflow test` say, in the service process that runs them.

Calls hand on to which case they belong. Time stands still while anything works: whoever conducts the rehearsal lets the
next timer go off, one at a time and in the order of their times, when all that is left of the case is waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import math
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, cast

import restate
from restate.exceptions import TerminalError
from restate.serde import BytesSerde
from restate.server_context import ServerInvocationContext
from restate.server_types import ReceiveChannel
from restate.vm import VMWrapper

from agentflow import ToolError
from agentflow.durations import milliseconds
from agentflow.runtime import steps, templates
from agentflow.runtime.errors import NodeError, TemplateError
from agentflow.runtime.evaluation import OUTCOMES
from agentflow.runtime.graph import Retry, Tool
from agentflow.runtime.operations import Operation
from agentflow.runtime.rehearsal import CASES, HEADER, LATER, PLACE, REAL, RUN, case_of, context, place, run_of
from agentflow.runtime.replies import Reply, chosen, read_lists
from agentflow.source import Source, read
from agentflow.types import Json

VERBS = ("return", "error", "fail", "raise", "real")

Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Stub:
    """One entry of what a tool does in a case."""

    verb: str
    value: Json
    condition: str | bool = True
    times: int | None = None  # of `raise`: so often, and takes no turn
    delay: float = 0.0  # seconds
    where: str = ""
    state: Json = None  # what it changes in that of an object


@dataclass(eq=False)
class Sleeper:
    """A step that waits for a time, within its closure; or one that works, and breaks off at a time (`works`)."""

    due: float
    invocation: str
    works: bool = False
    woken: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Call:
    tool: str
    args: Json
    node: str
    held: tuple[int, ...] = ()
    turn: int = 0
    tries: int = 0


@dataclass(eq=False)
class Case:
    """One case under way. Its memory is this process's: a case does not outlive it."""

    id: str
    graph: str
    now: float  # seconds since 1970, virtual
    stubs: Mapping[str, Sequence[Stub]] = field(default_factory=dict)
    replies: Mapping[str, Sequence[Reply]] = field(default_factory=dict)  # of those whom the case mentions
    timers: dict[str, tuple[float, str, int]] = field(default_factory=dict)  # by awakeable: due, invocation, number
    fired: set[str] = field(default_factory=set)
    awakeables: dict[str, str] = field(
        default_factory=dict
    )  # whose each is: timers, and whatever else is waited for so
    sleepers: dict[int, Sleeper] = field(default_factory=dict)
    calls: dict[tuple[str, str], Call] = field(default_factory=dict)  # by name and idempotency key
    state: dict[str, dict[str, Json]] = field(default_factory=dict)  # by run, as each would keep it
    numbers: Iterator[int] = field(default_factory=count)

    # ------------------------------------------------------------ time

    def timer(self, ctx: restate.Context, seconds: float) -> restate.RestateDurableFuture[Any]:
        """A durable timer that goes off when the conductor says so."""
        name: str
        future: restate.RestateDurableFuture[Any]
        name, future = ctx.awakeable()
        if name not in self.fired:  # a replay sets it again
            self.timers.setdefault(name, (self.now + seconds, ctx.request().id, next(self.numbers)))
        return future

    @contextlib.contextmanager
    def sleeping(self, due: float, works: bool) -> Iterator[Sleeper]:
        ctx = context()
        number, sleeper = next(self.numbers), Sleeper(due, "" if ctx is None else ctx.request().id, works)
        self.sleepers[number] = sleeper
        try:
            yield sleeper
        finally:
            self.sleepers.pop(number, None)

    async def pause(self, seconds: float, works: bool = False) -> None:
        if seconds > 0:
            with self.sleeping(self.now + seconds, works) as sleeper:
                await sleeper.woken.wait()

    # ------------------------------------------------------------ tools

    def is_real(self, tool: Tool) -> bool:
        """Whether the case lets a tool be itself, whatever it is called with."""
        stubs = self.stubs.get(tool.name)
        if stubs is None:
            return tool.effect == "read" and not isinstance(tool.does, Operation)
        return [stub.verb for stub in stubs] == ["real"]

    async def play(
        self, tool: Tool, args: Mapping[str, Json], key: str, state: dict[str, Json] | None = None
    ) -> object:
        """What the case has the tool do, once; REAL where the tool itself is to be called.

        A function that only reads may be itself; whatever else a case does not mention fails the call for good.
        """
        stubs = self.stubs.get(tool.name, ())
        call = self.called(tool.name, dict(args), key)
        call.tries += 1
        if self.is_real(tool):
            return REAL
        if not stubs:
            raise TerminalError(_unmentioned(tool.name), status_code=501)
        try:
            stub = self._chosen(call, stubs)
            if stub is None:
                told = json.dumps(dict(args), ensure_ascii=False)
                raise NodeError("tool", f"{tool.name}: no entry of the case holds for {told[:200]}")
            if stub.verb == "real":
                return REAL
            scope: dict[str, Json] = {"args": dict(args), "call": call.turn + 1, OUTCOMES: {}}
            value, changes = templates.value(stub.value, scope), templates.value(stub.state, scope)
        except TemplateError as problem:
            raise NodeError("tool", f"what the case says of {tool.name}: {problem}") from None
        await self._delay(stub, tool.timeout)
        if state is not None and isinstance(changes, dict):
            state.update(changes)
        return _act(stub.verb, value)

    def _chosen(self, call: Call, stubs: Sequence[Stub]) -> Stub | None:
        """Successive calls count among those for which the same entries hold; a try again is the same call."""
        if call.tries == 1:
            scope = {"args": call.args, "node": call.node, "place": place(), OUTCOMES: {}}
            call.held = tuple(at for at, stub in enumerate(stubs) if _holds(stub, scope))
            earlier = [one for one in self.calls.values() if one.tool == call.tool and one is not call]
            call.turn = sum(one.held == call.held for one in earlier)
        return chosen([stubs[at] for at in call.held], call.turn, call.tries)

    async def _delay(self, stub: Stub, timeout: str | None) -> None:
        limit = math.inf if timeout is None else milliseconds(timeout) / 1000
        await self.pause(min(stub.delay, limit))
        if stub.delay >= limit:
            raise TimeoutError(f"no answer in {timeout}")

    def called(self, name: str, args: Json, key: str) -> Call:
        if (name, key) not in self.calls:
            self.calls[(name, key)] = Call(name, args, key.partition(":")[2])
        return self.calls[(name, key)]

    # ------------------------------------------------------------ what is told of it

    def told(self) -> dict[str, Any]:
        return {
            "now": self.now,
            "attempts": _attempts(self.id),
            "awakeables": self.awakeables,
            "fired": sorted(self.fired),
            "timers": [[name, *timer] for name, timer in self.timers.items()],
            "sleepers": [
                [number, sleeper.due, sleeper.invocation, sleeper.works] for number, sleeper in self.sleepers.items()
            ],
        }

    def outcome(self) -> dict[str, Any]:
        calls = [{"tool": call.tool, "args": call.args, "node": call.node} for call in self.calls.values()]
        return {"now": self.now, "calls": calls, "state": self.state}


def _holds(stub: Stub, scope: Mapping[str, Any]) -> bool:
    return bool(stub.condition if isinstance(stub.condition, bool) else templates.expression(stub.condition, scope))


def _unmentioned(name: str) -> str:
    if "/" in name:
        return f"{name} is not part of this case: under services, say what it gives, {name}: {{return: ...}}"
    return (
        f"{name} is not part of this case: under tools, say what it gives, {name}: {{return: ...}}, "
        f"or let it act, {name}: {{real: true}}"
    )


def _act(verb: str, value: Json) -> Json:
    if verb == "error":
        raise ToolError(str(value))
    if verb == "raise":
        raise RuntimeError(str(value))
    if verb == "fail":
        about = value if isinstance(value, dict) else {"message": value}
        raise TerminalError(str(about.get("message", "failed")), status_code=cast(int, about.get("code", 500)))
    return value


# ---------------------------------------------------------------- beginning


def begin(orders: Sequence[Mapping[str, Any]]) -> Callable[..., Awaitable[None]]:
    """From now on everything here is a rehearsal of these cases. Returns the application that conducts it."""
    sources: dict[str, Source] = {}
    for order in orders:
        path = str(order["file"])
        if path not in sources:
            source, problems = read(Path(path), str(order["shown"]))
            assert source is not None and not problems, "the file was read before"
            sources[path] = source
        CASES[str(order["id"])] = _case(sources[path], order)
    _hand_on()
    _watch()
    return _control


def _case(source: Source, order: Mapping[str, Any]) -> Case:
    data: Any = source.data
    place: Place = ("cases", str(order["name"]))
    stubs: dict[str, Sequence[Stub]] = {}
    replies: dict[str, Sequence[Reply]] = {}
    for told, at in ((data, ()), (data["cases"][order["name"]], place)):
        for key in ("tools", "services"):
            for name, entries in (told.get(key) or {}).items():
                stubs[name] = _stubs(source, entries, (*at, key, name))
        replies.update(read_lists(source, (*at, "replies"), told.get("replies") or {}))
    return Case(str(order["id"]), str(order["graph"]), float(order["now"]), stubs, replies)


def _stubs(source: Source, entries: Any, place: Place) -> Sequence[Stub]:
    several = isinstance(entries, list)
    found = []
    for at, entry in enumerate(entries if several else [entries]):
        verb = next(verb for verb in VERBS if verb in entry)
        where = (*place, at) if several else place
        found.append(
            Stub(
                verb,
                entry[verb],
                entry.get("if", True),
                entry.get("times"),
                _seconds(entry.get("delay")),
                f"{source.name}:{source.span(where).line}",
                entry.get("state"),
            )
        )
    return found


def _seconds(duration: str | None) -> float:
    return 0.0 if duration is None else milliseconds(duration) / 1000


# ---------------------------------------------------------------- services elsewhere


def stand_ins(named: Mapping[str, Sequence[str]], keyed: Sequence[str]) -> list[Any]:
    """Restate services in the place of those elsewhere that graphs call, with the handlers that they call.

    What a handler gives is as a case says under `services`; of one that the case does not mention the call fails.
    """
    services: list[Any] = [later()]
    for name, handlers in named.items():
        service: Any = restate.VirtualObject(name) if name in keyed else restate.Service(name)
        for handler in handlers:
            _stand_in(service, handler)
        services.append(service)
    return services


def later() -> Any:
    """Holds what is sent with a delay until the time of its case has come."""
    service: Any = restate.Service(LATER)

    @service.handler(name="send", input_serde=BytesSerde())  # type: ignore[untyped-decorator]
    async def send(ctx: restate.Context, body: bytes) -> None:
        order = json.loads(body)
        case = case_of(ctx)
        assert case is not None
        await case.timer(ctx, order["after"] / 1000)
        ctx.generic_send(order["service"], order["handler"], order["body"].encode(), key=order["key"])

    return service


def _stand_in(service: Any, handler: str) -> None:
    @service.handler(name=handler, input_serde=BytesSerde(), output_serde=BytesSerde())  # type: ignore[untyped-decorator]
    async def answer(ctx: restate.Context, body: bytes) -> bytes:
        name, args = f"{service.name}/{handler}", json.loads(body or b"{}")
        given = args if isinstance(args, dict) else {"message": args}
        tool = Tool(name, _elsewhere, retry=Retry(attempts=1))
        stop = steps.Stop()
        key = f"{ctx.request().id}:{name}"
        outcome = await steps.journaled(
            ctx, "answer", lambda: steps.tool_step(tool, given, key, tool.retry, stop), stop
        )
        if "failed" in outcome:
            raise TerminalError(outcome["failed"]["message"], status_code=outcome["failed"]["code"])
        return json.dumps(outcome["value"]).encode()


async def _elsewhere(**args: Any) -> Any:
    """What is never called: a case says what a service elsewhere gives, or the call fails."""
    raise TerminalError("a service elsewhere cannot be called from a test case", status_code=501)


# ---------------------------------------------------------------- what the engine and an attempt know of each other

HEAD = struct.Struct(">HHI")  # of a message: its type, flags, and the length of what follows
COMMANDS, NOTIFICATIONS = range(0x0400, 0x0800), range(0x8000, 0x10000)  # types of messages that are journal entries


@dataclass
class Entries:
    """Counts the journal entries in a stream of messages, whatever it is cut into."""

    kinds: Sequence[range]
    count: int = 0
    rest: bytes = b""

    def feed(self, chunk: bytes) -> None:
        self.rest += chunk
        while len(self.rest) >= HEAD.size:
            kind, _, length = HEAD.unpack_from(self.rest)
            if len(self.rest) < HEAD.size + length:
                return
            self.rest = self.rest[HEAD.size + length :]
            self.count += any(kind in kinds for kinds in self.kinds)


@dataclass
class Attempt:
    """An attempt at an invocation, as it is under way here: what it has heard and said, and whether it only listens.

    Once it listens, and has heard and said as many entries as the engine has in the journal, nothing is between them.
    """

    heard: Entries = field(default_factory=lambda: Entries((COMMANDS, NOTIFICATIONS)))
    said: Entries = field(default_factory=lambda: Entries((COMMANDS,)))
    listens: bool = False

    @staticmethod
    def of(owner: Any) -> Attempt:
        """Of the SDK's object that it belongs to."""
        if not hasattr(owner, "agentflow_attempt"):
            owner.agentflow_attempt = Attempt()
        attempt: Attempt = owner.agentflow_attempt
        return attempt


ATTEMPTS: dict[str, ServerInvocationContext] = {}  # by invocation


def _watch() -> None:
    """Has the SDK tell of its attempts what `Attempt` is to know."""
    notify_input, take_output = VMWrapper.notify_input, VMWrapper.take_output
    enter, finished = ServerInvocationContext.enter, ServerInvocationContext.on_attempt_finished
    receive = ReceiveChannel.__call__

    def hearing(self: VMWrapper, input_buf: bytes) -> None:
        Attempt.of(self).heard.feed(bytes(input_buf))
        notify_input(self, input_buf)

    def saying(self: VMWrapper) -> bytes:
        chunk = take_output(self)
        if chunk:
            Attempt.of(self).said.feed(bytes(chunk))
        return chunk

    async def listening(self: ReceiveChannel) -> Any:
        attempt = Attempt.of(self)
        attempt.listens = True
        try:
            return await receive(self)
        finally:
            attempt.listens = False

    async def entering(self: ServerInvocationContext) -> None:
        ATTEMPTS[self.request().id] = self
        await cast(Any, enter)(self)

    def finishing(self: ServerInvocationContext) -> None:
        if ATTEMPTS.get(self.request().id) is self:
            del ATTEMPTS[self.request().id]
        cast(Any, finished)(self)

    VMWrapper.notify_input = hearing  # type: ignore[method-assign]
    VMWrapper.take_output = saying  # type: ignore[method-assign]
    ReceiveChannel.__call__ = listening  # type: ignore[method-assign]
    ServerInvocationContext.enter = entering  # type: ignore[method-assign]
    ServerInvocationContext.on_attempt_finished = finishing  # type: ignore[method-assign]


def _attempts(case: str) -> dict[str, tuple[int, bool]]:
    """By invocation: how many journal entries its attempt knows, and whether it does nothing but listen."""
    found = {}
    for id, ctx in ATTEMPTS.items():
        if ctx.request().headers.get(HEADER) == case:
            talk, channel = Attempt.of(ctx.vm), cast(Any, ctx.receive)
            listens = Attempt.of(channel).listens and channel._queue.empty()
            found[id] = (talk.heard.count + talk.said.count, listens)
    return found


def _hand_on() -> None:
    """What a case's invocation calls belongs to the case, and whom an awakeable wakes is known."""
    raw = ServerInvocationContext.do_raw_call
    signature = inspect.signature(raw)

    awakeable = ServerInvocationContext.awakeable

    def noted(self: Any, *args: Any, **more: Any) -> Any:
        name, future = awakeable(self, *args, **more)
        if (case := case_of(self)) is not None:
            case.awakeables[name] = self.request().id
        return name, future

    def do_raw_call(self: Any, *args: Any, **more: Any) -> Any:
        call = signature.bind(self, *args, **more)
        told = self.request().headers
        own = {HEADER: told.get(HEADER, ""), RUN: run_of(self), PLACE: told.get(PLACE, "")}
        call.arguments["headers"] = {**own, **(call.arguments.get("headers") or {})}
        return raw(*call.args, **call.kwargs)

    ServerInvocationContext.do_raw_call = do_raw_call  # type: ignore[method-assign]
    ServerInvocationContext.awakeable = noted  # type: ignore[method-assign]


# ---------------------------------------------------------------- conducting


async def _control(scope: Mapping[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    """POST {do: told | advance | outcome, ...}; the answer is JSON."""
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    answer = json.dumps(_conduct(json.loads(body)), default=str).encode()
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


def _conduct(order: Mapping[str, Any]) -> dict[str, Any]:
    if order["do"] == "told":
        return {name: CASES[name].told() for name in order["cases"]}
    case = CASES[order["case"]]
    if order["do"] == "outcome":
        return case.outcome()
    case.now = max(case.now, order["now"])
    for name in order.get("timers", ()):
        case.timers.pop(name, None)
        case.fired.add(name)
    for number in order.get("sleepers", ()):
        if (sleeper := case.sleepers.pop(number, None)) is not None:
            sleeper.woken.set()
    return case.told()
