"""HTTP to a running server: the engine's ingress for runs, with the standard library only, so that commands start fast.

No proxy is ever used: the server is the user's own, on loopback unless they say otherwise.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from agentflow.types import Json

DEFAULT_INGRESS = "http://127.0.0.1:8080"
DEFAULT_ADMIN = "http://127.0.0.1:9070"


class Unreachable(Exception):
    """Nobody answers at that address, or the connection broke off; the text names the address."""


class Refused(Exception):
    """The server answered with an error; `status` is its HTTP code, `metadata` what the run's error carries."""

    def __init__(self, status: int, message: str, metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.metadata = metadata or {}


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes

    def json(self) -> Json:
        data: Json = json.loads(self.body) if self.body else None
        return data

    def checked(self) -> Json:
        """The body, or `Refused` with the message that the server gave."""
        if 200 <= self.status < 300:
            return self.json()
        raise self.refusal()

    def refusal(self) -> Refused:
        try:
            data = self.json()
        except ValueError:
            data = None
        if not isinstance(data, dict) or not isinstance(data.get("message"), str):
            text = self.body.decode("utf-8", "replace").strip()
            return Refused(self.status, text or f"the server answered {self.status}")
        code, metadata = data.get("code"), data.get("metadata")
        pairs = {key: str(value) for key, value in metadata.items()} if isinstance(metadata, dict) else {}
        return Refused(code if isinstance(code, int) else self.status, str(data["message"]), pairs)


def request(
    method: str,
    url: str,
    body: Json | bytes = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = 10.0,
) -> Answer:
    """One request; a body that is not bytes is sent as JSON. `timeout` in seconds, None waits for ever."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Refused(0, f"{url} is not an http address")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    sent = {"accept": "application/json", **(headers or {})}
    if body is not None:
        sent.setdefault("content-type", "application/json")
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    try:
        connection = kind(parts.hostname, parts.port, timeout=timeout)
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has answered before it read it all
                connection.request(method, target or "/", data, sent)
            response = connection.getresponse()
            return Answer(response.status, response.read())
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unreachable(f"no server at {parts.scheme}://{parts.netloc} ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__


def path(*segments: str) -> str:
    """An URL path whose segments may hold anything, a slash included."""
    return "/" + "/".join(quote(segment, safe="") for segment in segments)


def idempotency_key(key: str) -> str:
    """A key as a header can carry it."""
    return key if key.isascii() and key.isprintable() else quote(key)


def ingress_url(given: str | None) -> str:
    return (given or os.environ.get("AGENTFLOW_INGRESS") or DEFAULT_INGRESS).rstrip("/")


def admin_url(given: str | None) -> str:
    return (given or os.environ.get("AGENTFLOW_ADMIN") or DEFAULT_ADMIN).rstrip("/")


@dataclass(frozen=True)
class Started:
    invocation: str
    key: str
    before: bool  # this key was used before: the invocation is the first run's


@dataclass(frozen=True)
class Ingress:
    """The engine's public side: start a run, wait for it, ask a handler."""

    url: str

    def start(self, graph: str, key: str, data: Json | bytes) -> Started:
        """Start a run of a workflow under `key`, or of a service with `key` as its idempotency key.

        To an object it is a message under the key.
        """
        answer = request("POST", self.url + path(graph, key, "run", "send"), data)
        if answer.status == 404 and b"handler" in answer.body:  # an object has none that is called run
            answer = request("POST", self.url + path(graph, key, "message", "send"), data)
        if answer.status == 400 and b"bad path" in answer.body:  # the engine's answer for a service without keys
            headers = {"idempotency-key": idempotency_key(key)}
            answer = request("POST", self.url + path(graph, "run", "send"), data, headers)
        if answer.status == 413:
            raise Refused(413, f"the input is too large: {answer.refusal().message}")
        accepted = answer.checked()
        if not isinstance(accepted, dict):
            raise Refused(answer.status, "the server's answer is not an engine's")
        invocation, status = accepted.get("invocationId"), accepted.get("status")
        return Started(str(invocation), key, status == "PreviouslyAccepted")

    def result(self, invocation: str, timeout: float | None = None) -> Answer:
        """Wait for the run's end; the answer is its output, or its error."""
        return request("GET", self.url + path("restate", "invocation", invocation, "attach"), timeout=timeout)

    def ask(self, service: str, key: str, handler: str, data: Json = None, timeout: float = 10.0) -> Json:
        """Call a handler of a workflow or object, without a body where `data` is None. Raises `Refused`."""
        return request("POST", self.url + path(service, key, handler), data, timeout=timeout).checked()

    def tell(self, service: str, key: str, handler: str, data: Json = None) -> None:
        """Call a handler, and do not wait for its answer: it will be called, whatever happens meanwhile."""
        request("POST", self.url + path(service, key, handler, "send"), data).checked()
