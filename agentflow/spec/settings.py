"""The parts that several things in a graph share: retries, limits, what a model is asked with, undoing."""

from __future__ import annotations

from collections.abc import Mapping

from agentflow import ir
from agentflow.spec.model import UndoSpec
from agentflow.spec.reader import Reader
from agentflow.types import Json

GENERATE = ("temperature", "top_p", "top_k", "max_output_tokens", "stop", "seed", "thinking_budget")
LATER_LIMITS = ("tool_calls", "tokens", "cost", "fan_out")


def read_retry(reader: Reader, key: str = "retry") -> ir.Retry | None:
    inner = reader.mapping(key, "write {attempts: 5}")
    if inner is None:
        return None
    retry = ir.Retry(
        attempts=inner.integer("attempts", 1, 1_000_000),
        initial=inner.duration("initial"),
        factor=inner.number("factor", 1, 1000),
        max=inner.duration("max"),
        within=inner.duration("within"),
    )
    if retry.initial is not None and retry.max is not None and retry.initial > retry.max:
        inner.error(
            "out-of-range", "the first pause is longer than the longest: initial is above max", inner.at("initial")
        )
    inner.finish()
    return retry


def read_limits(reader: Reader) -> ir.Limits:
    inner = reader.mapping("limits")
    if inner is None:
        return ir.Limits()
    limits = ir.Limits(inner.duration("time"), inner.integer("model_calls", 1), inner.integer("handoffs", 0))
    inner.finish(later=LATER_LIMITS)
    return limits


def read_generate(reader: Reader) -> Mapping[str, Json]:
    """How a model is to generate; the keys are the reader's own."""
    found: dict[str, Json] = {
        "temperature": reader.number("temperature", 0, 2),
        "top_p": reader.number("top_p", 0, 1),
        "top_k": reader.integer("top_k", 1),
        "max_output_tokens": reader.integer("max_output_tokens", 1),
        "stop": _stop(reader),
        "seed": reader.integer("seed"),
        "thinking_budget": reader.integer("thinking_budget", -1),
    }
    return {name: value for name, value in found.items() if value is not None}


def _stop(reader: Reader) -> Json:
    value = reader.take("stop")
    if not reader.has("stop"):
        return None
    words = [value] if isinstance(value, str) else value
    if isinstance(words, list) and words and all(isinstance(word, str) and word for word in words):
        return list(words)
    reader.reading.wrong(reader.at("stop"), "a list of texts", value)
    return None


def read_undo(reader: Reader) -> UndoSpec | None:
    inner = reader.mapping("compensate")
    if inner is None:
        return None
    tool = inner.string("tool", "a tool's name") if inner.require("tool") else None
    args = inner.entries("with", "a mapping of arguments")
    on = inner.choice("on", ("completed", "attempted"), "completed")
    inner.finish()
    if tool is None:
        return None
    return UndoSpec(inner.path, tool, args, "attempted" if on == "attempted" else "completed")
