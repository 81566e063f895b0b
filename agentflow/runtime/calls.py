"""Calls of what is not this graph's own: another graph of the project, a handler elsewhere; each in its own invocation.

A call is one effect of the caller's. A graph that fails or is cancelled undoes what it did itself; of a handler
elsewhere that was cancelled nobody knows what it did. What is sent is left alone.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast, get_args

import restate
from restate.exceptions import TerminalError

from agentflow.client import Unreachable, request
from agentflow.client import path as url_path
from agentflow.durations import milliseconds
from agentflow.runtime import clock, rehearsal, results, saga, steps, tracing
from agentflow.runtime.errors import ErrorKind, NodeError
from agentflow.runtime.flights import Flight, RemoteFlight
from agentflow.runtime.graph import Retry, Undo
from agentflow.runtime.invocation import Future
from agentflow.runtime.schema import Mismatch
from agentflow.runtime.status import ADMIN
from agentflow.runtime.waits import moment
from agentflow.types import Json

if TYPE_CHECKING:
    from agentflow.runtime.flow import Run

_KINDS = get_args(ErrorKind)
AGAIN = (408, 429)  # and what is not the caller's fault: 500 and above


@dataclass(frozen=True)
class Callee(ABC):
    """Something with a handler that can be called by its name."""

    name: str

    @property
    @abstractmethod
    def target(self) -> tuple[str, str]:
        """The service and its handler."""

    @property
    @abstractmethod
    def keyed(self) -> bool:
        """Whether it may have a key. One of a plain service is of no account to the engine."""

    @abstractmethod
    def read(self, answer: bytes) -> Json:
        """What it gave. Raises Mismatch."""


@dataclass(frozen=True)
class CalledGraph(Callee):
    """A graph of the same project. Its kind is the one that it had when its caller was compiled."""

    kind: str = "workflow"

    @property
    def target(self) -> tuple[str, str]:
        return self.name, "message" if self.kind == "object" else "run"

    @property
    def keyed(self) -> bool:
        return self.kind != "service"

    def read(self, answer: bytes) -> Json:
        value: Json = json.loads(answer)
        return value


@dataclass(frozen=True)
class CalledService(Callee):
    """`Name/handler` of any Restate service, object or workflow. `returns` is the type of what it gives."""

    returns: Any = Any
    plain: bool = False  # a service, which has no keys

    @property
    def target(self) -> tuple[str, str]:
        service, _, handler = self.name.partition("/")
        return service, handler

    @property
    def keyed(self) -> bool:
        return not self.plain

    def read(self, answer: bytes) -> Json:
        if not answer.strip():
            return results.fitted(None, self.returns)
        try:
            text = answer.decode()
        except UnicodeDecodeError:
            raise Mismatch(["not UTF-8"]) from None
        return results.fitted(results.parsed(text), self.returns)


class ServiceFlight(RemoteFlight):
    """A call under way."""

    def __init__(
        self, run: Run, future: restate.RestateDurableCallFuture[bytes], callee: Callee, entry: saga.Entry | None
    ) -> None:
        super().__init__(run, future)
        self.callee = callee
        self.entry = entry
        if entry is not None:
            self.undo.append(entry)

    async def take(self) -> Json:
        invocation, path, name = self.run.invocation, self.run.path, self.callee.name
        try:
            answer: bytes = await self.call
        except TerminalError as error:
            await self._learn_the_time()
            failure = _failure(error, name, path)
            if self.entry is not None:
                unknown = failure.kind == "cancelled" and isinstance(self.callee, CalledService)
                saga.fail(self.undo, self.entry, invocation.now, unknown=unknown)
            raise failure from None
        await self._learn_the_time()
        try:
            value = self.callee.read(answer)
        except Mismatch as mismatch:
            if self.entry is not None:
                self.entry.complete(None, invocation.now)
            raise NodeError("output", f"{path}: what {name} gave does not fit: {mismatch}", node=path) from None
        if self.entry is not None:
            self.entry.complete(value, invocation.now)
        return value

    async def _learn_the_time(self) -> None:
        """An answer does not say when it was given, and what is to be undone has its place among the other effects."""
        if self.entry is not None:
            await self.run.invocation.learn_the_time(self.run.path)


class LateCall(Flight):
    """A call of a handler elsewhere that begins once it is known whether it has keys."""

    def __init__(self, run: Run, callee: CalledService, data: Json | None, undo: Undo | None) -> None:
        super().__init__(run, cast("Future", None))
        self._callee, self._data, self._undo = callee, data, undo
        self._call: ServiceFlight | None = None

    async def prepare(self, *, beside: bool) -> None:
        callee = await known(self.run, self._callee)
        self._call = call(self.run, callee, self._data, None, self._undo)
        self.future, self.undo = self._call.future, self._call.undo

    async def take(self) -> Json:
        assert self._call is not None
        return await self._call.take()

    async def cancel(self) -> None:
        if self._call is not None:
            await self._call.cancel()


def _failure(error: TerminalError, name: str, path: str) -> NodeError:
    """The callee's error as the caller's: its kind, its code, its words."""
    told = (error.metadata or {}).get("kind", "")
    code, message = error.status_code, error.message
    if told in _KINDS:
        kind: Any = told
    elif code == 409 and message.lower().startswith(("cancelled", "killed")):
        kind, code = "cancelled", 499
    else:
        kind, message = "tool", f"{name}: {message}"
    return NodeError(kind, message, code=code, node=path)


async def known(run: Run, callee: CalledService) -> CalledService:
    """The handler, once the engine has said whether it has keys: an object called without one would share one key with
    all who do so. Where the engine has never heard of the service, this waits until it has."""
    name = callee.target[0]
    asked = steps.journaled(run.invocation.ctx, f"{run.path}.kind", lambda: _kind(name))
    await run.invocation.wait(asked)
    outcome = await asked
    run.invocation.happened(outcome["at"])
    return replace(callee, plain=outcome["value"] == "Service")


async def _kind(service: str) -> steps.Outcome:
    """What the engine says it is. Where it cannot be asked nothing is called: one that has keys takes a call without
    as one with an empty key, and a plain service none with a key."""
    url = os.environ.get(ADMIN)
    if not url:
        raise steps.StepUnavailable(
            f"nobody can be asked whether {service!r} has keys: set {ADMIN} to the engine's admin address, "
            "or give the node a key if it has"
        )
    try:
        answer = await asyncio.to_thread(request, "GET", url.rstrip("/") + url_path("services", service))
    except Unreachable as error:
        raise steps.StepUnavailable(str(error)) from None
    if answer.status == 404:
        raise steps.StepUnavailable(f"the engine knows no service {service!r} yet")
    found = answer.json() if answer.status == 200 else None
    return steps.success(found.get("ty") if isinstance(found, dict) else None, 1, None)


def call(
    run: Run, callee: Callee, data: Json | None, key: str | None, undo: Undo | None, number: int = 1
) -> ServiceFlight:
    """Starts the call. `data` are its input, None for none; `number` counts the tries under one default key."""
    invocation = run.invocation
    service, handler = callee.target
    key = _key(run, callee, key, number)
    headers = _headers(run)
    future = invocation.ctx.generic_call(service, handler, _body(data), key=key, headers=headers)
    entry = None if undo is None else _entry(run, undo, data)
    invocation.report.calling(run.path, {"service": service, "handler": handler, "key": key})
    _count(run, callee, data)
    return ServiceFlight(run, future, callee, entry)


async def call_again(
    run: Run, callee: Callee, data: Json | None, key: str | None, undo: Undo | None, retry: Retry
) -> Json:
    """Calls, and calls again after a failure that may pass, as `retry` says. Each try is a run of its own; the node is
    undone once, by what is known of its last try."""
    began, tries = run.invocation.now, 0
    done_before = len(run.invocation.undo)
    while True:
        tries += 1
        del run.invocation.undo[done_before:]
        try:
            return await run.land(call(run, callee, data, key, undo, tries))
        except NodeError as error:
            passing = error.kind != "cancelled" and (error.code >= 500 or error.code in AGAIN)
            late = retry.within is not None and (run.invocation.now - began) * 1000 >= milliseconds(retry.within)
            if not passing or late or (retry.attempts is not None and tries >= retry.attempts):
                raise
        pause = clock.sleep(run.invocation.ctx, retry.pause(tries) * 1000)
        await run.invocation.wait(pause)
        ended = steps.journaled(run.invocation.ctx, f"{run.path}.again#{tries}", steps.now)
        await run.invocation.wait(ended)
        run.invocation.happened((await ended)["at"])


def send(
    run: Run,
    callee: Callee,
    data: Json | None,
    key: str | None,
    undo: Undo | None,
    delay: str | None,
    until: str | None,
) -> Json:
    """Sends and goes on; the value says under which key."""
    invocation = run.invocation
    service, handler = callee.target
    key = _key(run, callee, key, 1)
    held: float = 0 if delay is None else milliseconds(delay)
    if until is not None:
        held = math.ceil(max(moment(run, run.expression(until)) - invocation.now, 0) * 1000)
    later = timedelta(milliseconds=held) if held else None
    headers = _headers(run)
    if held and rehearsal.current() is not None:  # the engine's own delay is one of real time
        rehearsal.send_later(invocation.ctx, service, handler, _body(data), key, held, run.path)
    else:
        invocation.ctx.generic_send(service, handler, _body(data), key=key, send_delay=later, headers=headers)
    _count(run, callee, data)
    value: Json = {"key": key}
    if undo is not None:
        entry = _entry(run, undo, data)
        entry.complete(value, invocation.now)
        invocation.undo.append(entry)
    return value


def _headers(run: Run) -> dict[str, str] | None:
    traced = tracing.headers(run.invocation.traceparent(run.path)) or {}
    return {**traced, **rehearsal.headers(run.path)} or None


def _count(run: Run, callee: Callee, data: Json | None) -> None:
    """For a test case, which also asks how often a graph was called; of a try again that is the same call."""
    if isinstance(callee, CalledGraph):
        rehearsal.called(callee.name, data, str(run.invocation.run["id"]), run.path)


def _entry(run: Run, undo: Undo, data: Json | None) -> saga.Entry:
    args: Mapping[str, Json] = data if isinstance(data, dict) else {"with": data}
    return saga.Entry.of(undo, run.path, f"{run.invocation.run['id']}:{run.path}", args, run.scope)


def _body(data: Json | None) -> bytes:
    return b"" if data is None else json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()


def _key(run: Run, callee: Callee, given: str | None, number: int) -> str | None:
    """What the author gave; else one that no other call has: of this very run, and the node's place in it."""
    if not callee.keyed:
        return None
    again = f"#{number}" if number > 1 else ""
    if given is not None:
        key = run.text(given)
        if not key.strip():
            raise NodeError("fail", f"{run.path}: its key is empty", code=400, node=run.path)
        return key + (again if isinstance(callee, CalledGraph) and callee.kind == "workflow" else "")
    of = run.invocation.run
    own, _, started = str(of["id"]).rpartition(".")
    return f"{of.get('key') or own}.{started}/{run.path}{again}"
