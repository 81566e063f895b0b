"""A receiver of OpenTelemetry's traces: takes OTLP over HTTP on loopback, as a collector does, and keeps the spans."""

from __future__ import annotations

import gzip
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass(frozen=True)
class Span:
    """Ids are hexadecimal, `parent` empty for the first of a trace; times are seconds since 1970."""

    id: str
    parent: str
    trace: str
    name: str
    kind: int
    start: float
    end: float
    failed: bool
    said: str  # the status's description
    attributes: dict[str, Any] = field(hash=False)
    service: str
    scope: str


class Receiver:
    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._lock = threading.Lock()
        self.raw = b""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # noqa: N802 - the library's name
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                receiver.take(self.path, body)
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, path: str, body: bytes) -> None:
        assert path == "/v1/traces", path
        request = ExportTraceServiceRequest.FromString(body)
        with self._lock:
            self.raw += body
            for resource in request.resource_spans:
                about = {one.key: _value(one.value) for one in resource.resource.attributes}
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        self._spans.append(
                            Span(
                                span.span_id.hex(),
                                span.parent_span_id.hex(),
                                span.trace_id.hex(),
                                span.name,
                                span.kind,
                                span.start_time_unix_nano / 1e9,
                                span.end_time_unix_nano / 1e9,
                                span.status.code == 2,
                                span.status.message,
                                {one.key: _value(one.value) for one in span.attributes},
                                str(about.get("service.name")),
                                scope.scope.name,
                            )
                        )

    def forget(self) -> None:
        with self._lock:
            self._spans, self.raw = [], b""

    def spans(self, trace: str) -> list[Span]:
        """Those of a trace, as they came."""
        with self._lock:
            return [span for span in self._spans if span.trace == trace]

    def twice(self, trace: str) -> list[str]:
        """The names of spans that came more than once."""
        found = Counter((span.id, span.name) for span in self.spans(trace))
        return [name for (_, name), times in found.items() if times > 1]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    return getattr(value, kind)


def tree(spans: list[Span], root: str = "") -> list[Any]:
    """The names of spans as they hang: `[name, [...]]`, in the order of their names."""
    known = {span.id: span for span in spans}

    def below(parent: str) -> list[Any]:
        children = sorted((span for span in known.values() if span.parent == parent), key=lambda span: span.name)
        return [[span.name, inner] if (inner := below(span.id)) else span.name for span in children]

    return below(root)
