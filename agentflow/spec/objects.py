"""What a graph of the kind object declares beside its nodes: its state and its session."""

from __future__ import annotations

from agentflow.diagnostics import quoted
from agentflow.spec.model import SessionSpec
from agentflow.spec.reader import Reader
from agentflow.spec.types import read_field
from agentflow.types import Object

MOST = 1000  # messages that a model is given


def read_state(reader: Reader) -> Object:
    """`state: {name: type}`: each a field as in `input`, with its default."""
    entries = reader.entries("state", "a mapping of names to types")
    return Object(
        tuple(read_field(reader.reading, reader.at("state", name), name, data) for name, data in entries.items())
    )


def read_session(reader: Reader) -> SessionSpec:
    """`session: {keep, summarize_after}`, in messages."""
    inner = reader.mapping("session", "write {keep: 50}")
    if inner is None:
        return SessionSpec()
    keep = inner.integer("keep", 1, MOST)
    keep = SessionSpec.keep if keep is None else keep
    after = inner.integer("summarize_after", 1, MOST)
    if after is not None and after <= keep:
        message = f"{quoted('summarize_after')} is above what is kept, and not {after}: {quoted('keep')} is {keep}"
        inner.error("out-of-range", message, inner.at("summarize_after"))
    inner.finish()
    return SessionSpec(keep, after)
