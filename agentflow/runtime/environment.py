"""What the operator's `OTEL_*` variables say, read without importing OpenTelemetry."""

from __future__ import annotations

import os

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


def content() -> bool:
    """Whether what people, models and tools say may be told, beside that they said it."""
    return _flag(_CONTENT) in ("true", "1", "span_only", "span_and_event")


def named() -> bool:
    """Whether the operator has given the service a name."""
    return bool(os.environ.get("OTEL_SERVICE_NAME")) or "service.name=" in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
