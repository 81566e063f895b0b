"""What the `OTEL_*` variables do, and what becomes of spans when a receiver is slow or ill."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from agentflow import otel
from agentflow.runtime import telemetry
from agentflow.runtime.telemetry import Telemetry
from agentflow.runtime.tracing import Span


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "claims"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, False),
    ],
)
def test_nothing_is_sent_unless_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], wanted: bool
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert otel.wanted() is wanted


def test_serve_says_where_traces_go_and_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert otel.told() == []
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://ada:secret@collector:4318")
    assert otel.told() == ["traces go to http://collector:4318"]
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    monkeypatch.setattr(otel, "exporter", lambda name: None)
    assert otel.told() == [
        "traces are asked for, but there is no exporter otlp_proto_grpc: install the package that has it"
    ]


class Kept(SpanExporter):
    def __init__(self, seconds: float = 0, result: SpanExportResult = SpanExportResult.SUCCESS) -> None:
        self.spans: list[ReadableSpan] = []
        self.seconds, self.result = seconds, result

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        time.sleep(self.seconds)
        self.spans += spans
        return self.result

    def shutdown(self) -> None:
        pass


TRACE = "ab" * 16


def span(number: int) -> Span:
    return Span(f"{number:016x}", "cd" * 8, f"span {number}", "tool", 1.0, 2.0, {"agentflow.node": "a"})


def test_spans_have_arrived_when_the_wait_is_over_and_none_comes_twice() -> None:
    kept = Kept(0.05)
    to = Telemetry([kept])

    async def all_at_once() -> None:
        await asyncio.gather(*(to.send(TRACE, [span(number), span(number + 100)]) for number in range(1, 50)))
        await to.send(TRACE, [span(1)])

    asyncio.run(all_at_once())
    ids = [one.context.span_id for one in kept.spans if one.context is not None]
    assert sorted(ids) == sorted([*range(1, 50), *range(101, 150)])
    assert {f"{one.context.trace_id:032x}" for one in kept.spans if one.context} == {TRACE}
    assert {(one.start_time, one.end_time) for one in kept.spans} == {(1_000_000_000, 2_000_000_000)}


def test_a_slow_receiver_holds_nobody_up_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "PATIENCE", 0.1)
    to = Telemetry([Kept(20)])

    async def sending() -> float:
        began = time.monotonic()
        for number in range(20):
            await to.send(TRACE, [span(number + 1)])
        return time.monotonic() - began

    assert asyncio.run(sending()) < 10


def test_a_receiver_that_refuses_is_waited_for_once_it_takes_again() -> None:
    kept = Kept(0, SpanExportResult.FAILURE)
    to = Telemetry([kept])
    asyncio.run(to.send(TRACE, [span(1)]))
    kept.result = SpanExportResult.SUCCESS
    asyncio.run(to.send(TRACE, [span(2)]))
    to.provider.force_flush()
    asyncio.run(to.send(TRACE, [span(3)]))
    assert [one.name for one in kept.spans] == ["span 1", "span 2", "span 3"]


@pytest.mark.parametrize(
    ("sampler", "given", "recorded"),
    [
        ("parentbased_always_on", None, "01"),
        ("parentbased_always_on", "00", "00"),
        ("always_on", "00", "01"),
        ("always_off", "01", "00"),
    ],
)
def test_the_sampler_decides_which_runs_are_recorded(
    monkeypatch: pytest.MonkeyPatch, sampler: str, given: str | None, recorded: str
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    to = Telemetry([Kept()])
    joined = to.joined(None if given is None else f"00-{TRACE}-{'cd' * 8}-{given}")
    assert joined.endswith(f"-{recorded}")
    assert given is None or joined.startswith(f"00-{TRACE}-{'cd' * 8}")
