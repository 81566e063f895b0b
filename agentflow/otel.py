"""What the operator's `OTEL_*` variables say, read without importing OpenTelemetry."""

from __future__ import annotations

import os
from importlib.metadata import EntryPoint, entry_points
from urllib.parse import urlsplit

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


def _flag(name: str) -> str:
    return os.environ.get(name, "").strip().lower()


def wanted() -> bool:
    """Whether traces are asked for: by an exporter's name, or by an OTLP endpoint."""
    if _flag("OTEL_SDK_DISABLED") == "true":
        return False
    exporters = _flag("OTEL_TRACES_EXPORTER")
    return exporters != "none" if exporters else any(os.environ.get(name) for name in _ENDPOINTS)


def exporters() -> list[str]:
    """The exporters' names as packages declare them: `otlp` is the one for the protocol that is asked for."""
    names = [name.strip() for name in (_flag("OTEL_TRACES_EXPORTER") or "otlp").split(",")]
    return [_otlp() if name == "otlp" else name for name in names if name and name != "none"]


def _otlp() -> str:
    protocol = _flag("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or _flag("OTEL_EXPORTER_OTLP_PROTOCOL")
    return "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"


def exporter(name: str) -> EntryPoint | None:
    """The exporter of that name, where a package that has it is installed."""
    return next(iter(entry_points(group="opentelemetry_traces_exporter", name=name)), None)


def lacking(name: str) -> str:
    """What to say where there is none."""
    more = "pip install 'agentflow[otel]'" if name == "otlp_proto_http" else "install the package that has it"
    return f"traces are asked for, but there is no exporter {name}: {more}"


def told() -> list[str]:
    """Lines for who starts a server: where traces go, and what is missing for it."""
    if not wanted():
        return []
    lines = []
    for name in exporters():
        if exporter(name) is None:
            lines.append(lacking(name))
        elif name.startswith("otlp_"):
            place = next((os.environ[one] for one in _ENDPOINTS if os.environ.get(one)), "http://localhost:4318")
            parts = urlsplit(place)
            lines.append(f"traces go to {parts._replace(netloc=parts.netloc.rpartition('@')[2]).geturl()}")
        else:
            lines.append(f"traces go to the exporter {name}")
    return lines


def content() -> bool:
    """Whether what people, models and tools say may be told, beside that they said it."""
    return _flag(_CONTENT) in ("true", "1", "span_only", "span_and_event")


def named() -> bool:
    """Whether the operator has given the service a name."""
    return bool(os.environ.get("OTEL_SERVICE_NAME")) or "service.name=" in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
