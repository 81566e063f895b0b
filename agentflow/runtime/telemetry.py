"""Where spans go: OpenTelemetry's SDK, with the exporters, sampler, resource and limits that `OTEL_*` name."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from importlib.metadata import version
from typing import Any

from opentelemetry import context as contexts
from opentelemetry import trace as api
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from agentflow import otel
from agentflow.runtime.secrets import mask
from agentflow.runtime.tracing import Span

log = logging.getLogger("agentflow.traces")

PATIENCE = 2.0  # seconds that an invocation waits for its spans to be taken
LIMIT = 20_000  # spans that wait for an exporter; what comes then is dropped
BATCH = 512
LINGER = 1.0  # seconds that spans nobody waits for may stay

_KINDS = {"run": SpanKind.SERVER, "model": SpanKind.CLIENT}


class Telemetry:
    """Makes the SDK's spans of ours. `send` does not raise, and waits no longer than PATIENCE."""

    def __init__(self, exporters: Sequence[SpanExporter]) -> None:
        self.content = otel.content()
        self._ids = _Ids()
        self._sent: dict[str, None] = {}
        name = {} if otel.named() else {SERVICE_NAME: "agentflow"}
        self.provider = TracerProvider(resource=Resource.create(name), id_generator=self._ids)
        self._outbox = Outbox(exporters)
        self.provider.add_span_processor(self._outbox)
        self._tracer = self.provider.get_tracer("agentflow", version("agentflow"))

    def joined(self, given: str | None) -> str:
        """The place of a new run in its caller's trace, or in one of its own; the flags say if it is recorded."""
        if given is None:
            trace, parent, around = self._ids.generate_trace_id(), 0, contexts.Context()
        else:
            _, named, span, flags = given.split("-")
            trace, parent = int(named, 16), int(span, 16)
            around = _context(trace, parent, int(flags, 16))
        decision = self.provider.sampler.should_sample(around, trace, "run", SpanKind.SERVER).decision
        return f"00-{trace:032x}-{parent:016x}-{'01' if decision is Decision.RECORD_AND_SAMPLE else '00'}"

    async def send(self, trace: str, spans: Sequence[Span]) -> None:
        fresh = [span for span in spans if self._first(span.id)]
        if not fresh:
            return
        try:
            for span in fresh:
                self._make(int(trace, 16), span)
            await self._outbox.taken()
        except Exception:  # of what the operator has configured, a sampler, say: a run does not fail for its spans
            log.exception("spans were lost")

    def _first(self, span: str) -> bool:
        """Whether this process has not sent it before: it has, where the engine did not hear an invocation's answer."""
        first = span not in self._sent
        self._sent[span] = None
        if len(self._sent) > LIMIT:
            del self._sent[next(iter(self._sent))]
        return first

    def _make(self, trace: int, span: Span) -> None:
        parent = int(span.parent, 16)
        with self._ids.told(trace, int(span.id, 16)):
            made = self._tracer.start_span(
                span.name,
                _context(trace, parent, 1) if parent else contexts.Context(),
                _KINDS.get(span.kind, SpanKind.INTERNAL),
                span.attributes,
                start_time=int(span.start * 1e9),
            )
        if span.error is not None:
            made.set_attribute("error.type", span.error)
            said = mask(span.message) if self.content and span.message else None
            made.set_status(Status(StatusCode.ERROR, said))
        made.end(int(span.end * 1e9))

    async def under(self, trace: str, span: str, closure: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """Runs `closure` where the span is the current one."""
        token = contexts.attach(_context(int(trace, 16), int(span, 16), 1))
        try:
            return await closure()
        finally:
            contexts.detach(token)


def _context(trace: int, span: int, flags: int) -> contexts.Context:
    place = SpanContext(trace, span, is_remote=True, trace_flags=TraceFlags(flags))
    return api.set_span_in_context(NonRecordingSpan(place), contexts.Context())


class _Ids(IdGenerator):
    """Random ids, but for spans whose ids follow from their place in a run."""

    def __init__(self) -> None:
        self._random = RandomIdGenerator()
        self._told = threading.local()

    @contextlib.contextmanager
    def told(self, trace: int, span: int) -> Iterator[None]:
        self._told.ids = (trace, span)
        try:
            yield
        finally:
            self._told.ids = None

    def generate_trace_id(self) -> int:
        ids = getattr(self._told, "ids", None)
        return ids[0] if ids else self._random.generate_trace_id()

    def generate_span_id(self) -> int:
        ids = getattr(self._told, "ids", None)
        return ids[1] if ids else self._random.generate_span_id()


class Outbox(SpanProcessor):
    """Hands ended spans over in a thread of its own: all that came together while the last were on their way.

    When an exporter fails, its spans are lost, it says so, and nobody waits again until it has taken some.
    """

    def __init__(self, exporters: Sequence[SpanExporter]) -> None:
        self._exporters = exporters
        self._change = threading.Condition()
        self._spans: list[ReadableSpan] = []
        self._waiting: list[concurrent.futures.Future[None]] = []
        self._stopping = False
        self._dropped = 0
        self._well = True
        self._thread: threading.Thread | None = None

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is None or not span.context.trace_flags.sampled:
            return
        with self._change:
            if len(self._spans) >= LIMIT:
                self._dropped += 1
                return
            self._spans.append(span)
            self._started()

    async def taken(self) -> None:
        """Waits until what has ended by now has been handed over, but not for long."""
        future: concurrent.futures.Future[None] = concurrent.futures.Future()
        with self._change:
            self._waiting.append(future)
            self._started()
            self._change.notify()
        if self._well:
            try:
                await asyncio.wait_for(asyncio.wrap_future(future), PATIENCE)
            except TimeoutError:
                self._well = False
                log.warning("the receiver of traces is slow: runs no longer wait for it")

    def _started(self) -> None:
        if self._thread is None and not self._stopping:
            self._thread = threading.Thread(target=self._work, name="traces", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._stopping, LINGER)
                spans, self._spans = self._spans, []
                waiting, self._waiting = self._waiting, []
                dropped, self._dropped = self._dropped, 0
                over = self._stopping and not spans
            if dropped:
                log.warning("%d spans were dropped: they come faster than they are taken", dropped)
            for at in range(0, len(spans), BATCH):
                self._export(spans[at : at + BATCH])
            for future in waiting:
                with contextlib.suppress(concurrent.futures.InvalidStateError):  # who waited has gone
                    future.set_result(None)
            if over:
                return

    def _export(self, spans: Sequence[ReadableSpan]) -> None:
        for exporter in self._exporters:
            try:
                well = exporter.export(spans) is SpanExportResult.SUCCESS
            except Exception:  # exporters are others' code, and this thread serves all runs
                log.exception("spans were lost")
                well = False
            if well != self._well:
                log.warning("traces are taken again" if well else "traces are not taken: spans were lost")
            self._well = well

    def shutdown(self) -> None:
        with self._change:
            self._stopping = True
            self._change.notify()
            thread = self._thread
        if thread is not None:
            thread.join(1.0)
        for exporter in self._exporters:
            exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        future: concurrent.futures.Future[None] = concurrent.futures.Future()
        with self._change:
            self._waiting.append(future)
            self._started()
            self._change.notify()
        done, _ = concurrent.futures.wait([future], timeout_millis / 1000)
        return bool(done)


@functools.cache
def telemetry() -> Telemetry | None:
    """This process's, made when it is first asked for; None where no exporter can be loaded, which is said once."""
    exporters = []
    for name in otel.exporters():
        found = otel.exporter(name)
        if found is None:
            log.error("%s", otel.lacking(name))
            continue
        try:
            exporters.append(found.load()())
        except Exception:  # it is others' code, and reads the operator's settings: runs go on without it
            log.exception("traces are asked for, but the exporter %s does not start", name)
    if not exporters:
        return None
    made = Telemetry(exporters)
    if isinstance(api.get_tracer_provider(), api.ProxyTracerProvider):
        api.set_tracer_provider(made.provider)  # for the tools' own spans, which hang beneath ours
    return made
