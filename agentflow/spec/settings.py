"""The parts that several things in a graph share: retries, limits, what a model is asked with, undoing."""

from __future__ import annotations

import re
from collections.abc import Mapping

from agentflow import ir
from agentflow.spec.model import UndoSpec
from agentflow.spec.reader import Reader
from agentflow.types import Json

GENERATE = ("temperature", "top_p", "top_k", "max_output_tokens", "stop", "seed", "thinking_budget")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


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
    limits = ir.Limits(
        time=inner.duration("time"),
        model_calls=inner.integer("model_calls", 1),
        tool_calls=inner.integer("tool_calls", 0),
        tokens=inner.integer("tokens", 1),
        cost=inner.number("cost", 0),
        handoffs=inner.integer("handoffs", 0),
        fan_out=inner.integer("fan_out", 1),
    )
    inner.finish()
    return limits


def read_price(reader: Reader) -> ir.Price | None:
    inner = reader.mapping("price", "write {input: 0.3, output: 2.5}, per million tokens")
    if inner is None:
        return None
    prices = [inner.number(name, 0) if inner.require(name) else None for name in ("input", "output")]
    inner.finish(known=("input", "output"))
    given = [price for price in prices if price is not None]
    return ir.Price(*given) if len(given) == len(prices) else None


def read_secret(reader: Reader, key: str) -> str | None:
    """The environment variable of `{env: NAME}`, which is all that a file may say of a secret."""
    value = reader.take(key)
    if not reader.has(key):
        return None
    if isinstance(value, dict) and set(value) == {"env"}:
        name = value["env"]
        if isinstance(name, str) and _VARIABLE.match(name):
            return name
        reader.reading.wrong(reader.at(key, "env"), "the name of an environment variable", name)
        return None
    help = "a secret stays out of the file: put it into an environment variable and name that"
    reader.reading.wrong(reader.at(key), "{env: NAME}", value, help=help)
    return None


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
