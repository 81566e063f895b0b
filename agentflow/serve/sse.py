"""`GET /events/<graph>/<key>`: a run's events for browsers, as server-sent events.

Each event has its number as id, so that a browser that was cut off goes on where it was (`Last-Event-ID`; `?from=N`
begins elsewhere). The stream ends with the run, and a browser that connects again after that is told to stop.
Of a service's run, the key is the invocation's id. Of an object it is the turn that runs, or the last; the ids say
which, `RUN:NUMBER`, so that a browser that was cut off goes on with the same one.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote

import httpx2

from agentflow import events
from agentflow.admin import Admin
from agentflow.client import DEFAULT_INGRESS, Refused, Unreachable, path

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

PREFIX = "events"
_Asked = tuple[int, str | None]  # the number of the first event, and the turn that is meant
HEARTBEAT = 15  # seconds after which a stream without events says that it is still there
ORIGINS = "AGENTFLOW_ORIGINS"  # of pages elsewhere that may read, separated by spaces
_LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Streams:
    """An ASGI application. `local`: it listens on loopback, and no page of another host may read through a browser."""

    def __init__(self, local: bool) -> None:
        self._local = local
        self._origins = os.environ.get(ORIGINS, "").split()
        self._reader: _Reader | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        answer = _Answer(send, self._cross_origin(headers))
        segments = scope.get("raw_path", scope["path"].encode()).split(b"?")[0].decode("latin-1").split("/")
        if self._local and _host(scope, headers) not in _LOCAL:
            await answer.refuse(403, "events are for this machine: serve --host opens them to others")
        elif scope["method"] != "GET":
            await answer.refuse(405, "events are read with GET")
        elif len(segments) != 4 or not segments[3]:
            await answer.refuse(404, "the address is /events/GRAPH/KEY")
        elif (asked := _start(scope, headers)) is None:
            await answer.refuse(400, "from, and Last-Event-ID, are the number of an event")
        else:
            if self._reader is None:
                self._reader = _Reader(await asyncio.to_thread(_ingress))
            graph, key = (unquote(segment) for segment in segments[2:])
            telling = asyncio.create_task(_tell(self._reader, graph, key, asked, "last-event-id" in headers, answer))
            gone = asyncio.create_task(_gone(receive))
            try:
                await asyncio.wait({telling, gone}, return_when=asyncio.FIRST_COMPLETED)
                if telling.done():
                    telling.result()
            finally:
                telling.cancel()
                gone.cancel()

    def _cross_origin(self, headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
        if not self._origins:
            return []
        origin = headers.get("origin", "")
        allowed = [(b"access-control-allow-origin", origin.encode())] if origin in self._origins else []
        return [(b"vary", b"origin"), *allowed]


async def _tell(reader: _Reader, graph: str, key: str, asked: _Asked, again: bool, answer: _Answer) -> None:
    start, run = asked
    try:
        told = await reader.read(graph, key, start, 0, run)
    except Refused as refused:
        await answer.refuse(refused.status, refused.message)
        return
    except Unreachable as error:
        await answer.refuse(503, str(error))
        return
    if again and told["ended"] and not told["events"]:
        await answer.nothing_more()
        return
    await answer.begin()
    while True:
        run = told.get("run")
        await answer.tell(told["events"], run)
        if told["ended"]:
            await answer.end()
            return
        start = told["next"]
        try:
            told = await reader.read(graph, key, start, HEARTBEAT, run)
        except Refused:  # it is no longer there: the browser will hear so when it asks again
            await answer.end()
            return
        except Unreachable:  # the engine is being started again
            await asyncio.sleep(1)
            told = {"events": [], "next": start, "ended": False, "run": run}


async def _gone(receive: Receive) -> None:
    """Until the browser is."""
    while (await receive())["type"] != "http.disconnect":
        pass


class _Answer:
    def __init__(self, send: Send, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self._send = send
        self._headers = list(headers)

    async def _start(self, status: int, *headers: tuple[bytes, bytes]) -> None:
        sent = [*self._headers, *headers]
        await self._send({"type": "http.response.start", "status": status, "headers": sent})

    async def _body(self, text: str, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": text.encode(), "more_body": more})

    async def refuse(self, status: int, message: str) -> None:
        await self._start(status, (b"content-type", b"application/json"))
        await self._body(json.dumps({"code": status, "message": message}), more=False)

    async def nothing_more(self) -> None:
        """What makes a browser stop asking."""
        await self._start(204)
        await self._body("", more=False)

    async def begin(self) -> None:
        await self._start(
            200,
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
        )
        await self._body("retry: 1000\n\n", more=True)

    async def tell(self, events: Iterable[Mapping[str, Any]], run: str | None) -> None:
        of = "" if run is None else f"{run}:"
        lines = [
            f"id: {of}{event['seq']}\nevent: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n"
            for event in events
        ]
        await self._body("".join(lines) or ":\n\n", more=True)

    async def end(self) -> None:
        await self._body("", more=False)


class _Reader:
    """Asks the engine's ingress for the events of runs."""

    def __init__(self, ingress: str) -> None:
        self._ingress = ingress
        limits = httpx2.Limits(max_connections=None)
        self._client = httpx2.AsyncClient(timeout=HEARTBEAT + 30, limits=limits, trust_env=False)

    async def read(self, graph: str, key: str, start: int, wait: int, run: str | None) -> dict[str, Any]:
        """Raises Refused and Unreachable."""
        try:
            return await self._ask(graph, key, start, wait, run)
        except Refused as refused:
            if refused.status != 400 or "bad path" not in refused.message:  # the engine's answer for a service
                raise
        return await self._ask(f"{graph}.stream", key, start, wait, run)

    async def _ask(self, service: str, key: str, start: int, wait: int, run: str | None) -> dict[str, Any]:
        try:
            asked = events.question(start, wait, run)
            answer = await self._client.post(self._ingress + path(service, key, "events"), json=asked)
            told: dict[str, Any] = answer.json()
        except (httpx2.HTTPError, ValueError) as error:
            raise Unreachable(f"no answer from {self._ingress} ({error})") from None
        if answer.status_code >= 500:
            raise Unreachable(str(told.get("message")))
        if answer.status_code != 200:
            raise Refused(answer.status_code, str(told.get("message")))
        return told


def _ingress() -> str:
    given = os.environ.get("AGENTFLOW_INGRESS")
    if given:
        return given.rstrip("/")
    try:
        return Admin(os.environ["AGENTFLOW_ADMIN"]).ingress() or DEFAULT_INGRESS
    except (KeyError, Refused, Unreachable):
        return DEFAULT_INGRESS


def _start(scope: Scope, headers: Mapping[str, str]) -> _Asked | None:
    """The first event to tell; None where what is said is none."""
    last, asked = headers.get("last-event-id"), parse_qs(scope["query_string"].decode("latin-1")).get("from", ["0"])[0]
    run, _, text = (asked if last is None else last).rpartition(":")
    if not (text.isascii() and text.isdecimal() and len(text) <= 15):
        return None
    return int(text) + (last is not None), run or None


def _host(scope: Scope, headers: Mapping[str, str]) -> str:
    """The host that the browser was sent to, without its port."""
    host = headers.get("host") or headers.get(":authority", "")
    return host[: host.index("]") + 1] if host.startswith("[") and "]" in host else host.rpartition(":")[0] or host


def is_local(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
