"""What a graph must hold to before anything runs: the rules over the whole of it."""

from __future__ import annotations

from collections.abc import Iterator

from agentflow.diagnostics import Diagnostic
from agentflow.spec.model import GraphSpec


def check(graph: GraphSpec) -> Iterator[Diagnostic]:
    """Everything that is wrong with a graph that can be read."""
    yield from ()
