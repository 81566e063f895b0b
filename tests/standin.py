"""A stand-in for a provider of models on loopback: answers from a script, keeps what it was asked. The answers are
Gemini's; see `dialects` for those of others."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    """One HTTP answer. `dropped` closes the connection instead."""

    body: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    dropped: bool = False


def say(value: object, **extra: Any) -> Answer:
    return parts([{"text": value if isinstance(value, str) else json.dumps(value), **extra}])


def call(*calls: tuple[str, Mapping[str, Any]], **extra: Any) -> Answer:
    return parts([{"functionCall": {"name": name, "args": args}, **extra} for name, args in calls])


def parts(content: Sequence[Mapping[str, Any]], finish: str = "STOP") -> Answer:
    candidate = {"content": {"role": "model", "parts": content}, "finishReason": finish, "index": 0}
    usage = {"promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10}
    return Answer({"candidates": [candidate], "usageMetadata": usage, "modelVersion": "standin"})


def blocked(reason: str) -> Answer:
    return Answer({"candidates": [{"finishReason": reason, "index": 0}]})


def error(status: int, message: str = "said no", *, retry_after: str | None = None, **details: Any) -> Answer:
    body = {"error": {"code": status, "message": message, "status": "ERROR", "details": [details] if details else []}}
    return Answer(body, status, {} if retry_after is None else {"Retry-After": retry_after})


DROPPED = Answer(dropped=True)


@dataclass
class Standin:
    """A running stand-in. The last answer of the script repeats."""

    url: str
    script: list[Answer]
    requests: list[dict[str, Any]] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self) -> Answer:
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]


@contextmanager
def standin(*script: Answer, port: int = 0) -> Iterator[Standin]:
    server = ThreadingHTTPServer(("127.0.0.1", port), _Handler)
    server.daemon_threads = True
    host = Standin(f"http://127.0.0.1:{server.server_address[1]}", list(script))
    server.host = host  # type: ignore[attr-defined]  # how the handler finds it
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        host: Standin = self.server.host  # type: ignore[attr-defined]  # set by `standin`
        request = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        with host.lock:
            host.requests.append(request)
            host.models.append(self.path.rpartition("/")[2].partition(":")[0])
            names = ("x-goog-api-key", "x-api-key", "authorization")
            host.keys.append(next((self.headers[name] for name in names if name in self.headers), None))
            host.paths.append(self.path)
            answer = host.next()
        if answer.dropped:
            self.connection.close()
            return
        body = json.dumps(answer.body).encode()
        self.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""
