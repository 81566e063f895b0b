"""The graph as it is written: names, texts and types read, nothing resolved yet.

`parse` in `spec/graph.py` makes these; checks, lowering and the node kinds read them. Every named thing
knows its path in the file, so that whoever finds it wrong can say where.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Final, Literal

from agentflow import ir
from agentflow.diagnostics import Path
from agentflow.frozen import frozen
from agentflow.source import Source
from agentflow.tools.signature import Signature
from agentflow.types import Json, Object, Type


class Missing(enum.Enum):
    """Where a key was not given, and null would be a value."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING


@dataclass(frozen=True)
class ModelSpec:
    name: str
    path: Path
    model: str
    generate: Mapping[str, Json]
    retry: ir.Retry | None
    base_url: str | None = None
    api_key: str | None = None  # the environment variable that holds it
    price: ir.Price | None = None


@dataclass(frozen=True)
class UndoSpec:
    """`compensate:` of a tool or a node."""

    path: Path
    tool: str
    args: Mapping[str, Json]  # at path + ("with",)
    on: Literal["completed", "attempted"]


@dataclass(frozen=True)
class Body:
    """What a node's or a tool's own kind has read; each kind has its own."""


@dataclass(frozen=True)
class ConfirmSpec:
    """`confirm:` of a tool."""

    path: Path
    when: str | bool
    message: str
    approvers: Json
    timeout: int | None  # ms
    escalate: tuple[tuple[Json, int], ...]  # whom, and for how long
    on_timeout: Literal["reject", "approve", "fail"] | None


@dataclass(frozen=True)
class ToolSpec:
    name: str
    path: Path
    kind: str  # `python`, ...: the key that says what it is
    body: Body
    signature: Signature | None  # None: it could not be read, which has been reported
    description: str | None = None
    effect: Literal["read", "write", "dangerous"] = "write"
    retry: ir.Retry | None = None
    timeout: int | None = None  # ms
    compensate: UndoSpec | None = None
    confirm: ConfirmSpec | None = None


@dataclass(frozen=True)
class AgentSpec:
    name: str
    path: Path
    description: str | None
    instruction: str
    model: str  # a name of `models`, or the model itself
    tools: tuple[str, ...]  # names of tools and of agents, as written
    handoffs: tuple[str, ...]
    returns: Type | None
    input: Type | None
    generate: Mapping[str, Json]
    limits: ir.Limits


@dataclass(frozen=True)
class Unread(Body):
    """Nothing could be made of the node; why has been reported. Its name stands, so that no more goes wrong."""


@dataclass(frozen=True)
class OnErrorSpec:
    """`on_error:`; a plain `fail` is None on the node."""

    kind: Literal["continue", "use", "run"]
    path: Path
    value: Json = None  # of `use`
    node: NodeSpec | None = None  # of `run`


@frozen
class NodeSpec:
    name: str
    path: Path
    kind: str  # the verb
    body: Body
    needs: tuple[str, ...] = ()
    when: str | bool | None = None
    timeout: int | None = None  # ms
    retry: ir.Retry | None = None
    on_error: OnErrorSpec | None = None
    compensate: UndoSpec | None = None
    description: str | None = None


@dataclass(frozen=True)
class BlockSpec:
    """Nodes of one scope."""

    path: Path  # of the mapping that holds `nodes` and `output`
    nodes: Mapping[str, NodeSpec]
    ordered: bool  # `steps`
    output: Json | Missing
    output_path: Path
    until: str | int | bool | None = None  # of a loop: asked when the nodes are done, sees them
    until_path: Path = ()


@dataclass(frozen=True)
class ScheduleSpec:
    """`schedule:`; of `cron` and `every`, one is given."""

    path: Path
    cron: str | None
    timezone: str | None
    every: int | None  # ms
    input: Json


@dataclass(frozen=True)
class SessionSpec:
    """`session:` of an object, counted in messages."""

    keep: int = 50
    summarize_after: int | None = None


@dataclass(frozen=True)
class GraphSpec:
    name: str
    kind: Literal["workflow", "service", "object"]
    description: str | None
    source: Source
    root: FilePath  # of the project
    input: Type
    types: Mapping[str, Type]
    models: Mapping[str, ModelSpec]
    tools: Mapping[str, ToolSpec]  # those of a set as `set.member`
    agents: Mapping[str, AgentSpec]
    body: BlockSpec
    entry: str | None  # the agent that the graph is, where it has no nodes
    after: BlockSpec | None  # `finally`: once the run has ended, however it did
    limits: ir.Limits
    schedule: ScheduleSpec | None = None
    broken: frozenset[str] = field(default_factory=frozenset)  # names that exist but could not be read
    state: Object | None = None  # of an object, as declared; None: it has none
    session: SessionSpec | None = None  # of an object
    on_busy: Literal["queue", "interrupt"] = "queue"
    tool_sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # the names of each set's tools

    def tools_of(self, agent: AgentSpec) -> Iterator[tuple[str, str]]:
        """The tools that an agent holds, each with how it was written: by its own name, or by its set's."""
        for written in agent.tools:
            for name in self.tool_sets.get(written, (written,)):
                if name in self.tools:
                    yield written, name
