"""ADK traces what it does while it does it, which a replay repeats: it is silenced. Our spans tell the same, once."""

from __future__ import annotations

import sys

from google.adk.telemetry import tracing
from opentelemetry.trace import NoOpTracer


def silence() -> None:
    """Takes the tracer from every part of ADK that has it, or will ask for it; whatever provider others have set."""
    silent, loud = NoOpTracer(), tracing.tracer
    for name, module in list(sys.modules.items()):
        if name.startswith("google.adk") and vars(module).get("tracer") is loud:
            vars(module)["tracer"] = silent
