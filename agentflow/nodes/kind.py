"""What a node kind is: how its keys are read, checked, typed, and lowered.

The rest of the compiler walks `templates` and `children` and knows no kinds.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Generic, Literal, Protocol, TypeVar

from agentflow import ir
from agentflow.diagnostics import Diagnostic, Path
from agentflow.editor.vocabulary import Described
from agentflow.frozen import frozen
from agentflow.spec.model import BlockSpec, Body, GraphSpec, NodeSpec
from agentflow.types import ANY, NULL, Json, Nullable, Type, Union

if TYPE_CHECKING:
    from agentflow.spec.reader import Reader


@frozen
class Template:
    """Something in a node that may refer to names.

    `text` yields text and `value` keeps the type of a lone `{{ }}`; both are templates (a value holds them at
    any depth). `expr` is an expression without braces, or a literal of YAML.
    """

    path: Path
    form: Literal["text", "value", "expr"]
    data: Json
    extra: Mapping[str, Type] = field(default_factory=dict)  # names only in scope here
    expected: Type = ANY  # what the place takes; Nullable (or ANY): null may be handed over whole
    own_when: bool = True  # False: computed also when the node is skipped (`when` itself)
    alone: bool = False  # sees what is in `extra`, and nothing of the graph


@dataclass(frozen=True)
class Guard:
    """What is known inside a child: the subject is one of the values, or (`among` false) none of them."""

    subject: str
    values: tuple[str | int | bool, ...]
    among: bool


@dataclass(frozen=True)
class Child:
    """A node or a block inside a node, with a scope of its own that sees outward."""

    of: NodeSpec | BlockSpec
    label: str
    extra: Mapping[str, Type] = field(default_factory=dict)
    inferred: tuple[str, ...] = ()  # names in scope here whose types the kind infers: `Kind.type_inside`
    guard: Guard | None = None
    runs: Literal["always", "maybe"] = "always"  # maybe: only if its case is chosen, if its node fails


class Nodes(Protocol):
    """Reads the nodes inside a node."""

    def node(self, path: Path, name: str, data: Json) -> NodeSpec: ...

    def block(
        self, reader: Reader, key: str, until: str | int | bool | None = None, until_path: Path = ()
    ) -> BlockSpec:
        """The nodes under a key of a mapping, and its `output`; of a loop also its condition."""


class Context(Protocol):
    """What a kind may ask while it checks and types a node: everything as seen from that node's place."""

    @property
    def graph(self) -> GraphSpec: ...

    def resolve(self, type: Type) -> Type:
        """The type itself, where it is a name of `types`."""

    def name(self, name: str) -> Type | None:
        """The type of a name in scope; None where there is no such name."""

    def value(self, data: Json) -> Type:
        """The type of a value that may hold templates."""

    def expression(self, text: str) -> Type: ...

    def type_of(self, node: NodeSpec) -> Type:
        """The type of what a child node yields, null included where it may be skipped or its failure continued."""

    def type_of_block(self, block: BlockSpec) -> Type: ...

    def element_of(self, type: Type) -> Type:
        """Of the items of a list; ANY where that cannot be said."""

    def misfit(self, actual: Type, expected: Type) -> str | None:
        """Why no value of a type, or not every one, fits what is expected, where that is certain; null fits."""


class Lowering(Protocol):
    """What a kind may ask while it lowers a node."""

    @property
    def graph(self) -> GraphSpec: ...

    def lower_node(self, node: NodeSpec) -> ir.Node: ...

    def lower_block(self, block: BlockSpec) -> ir.Block: ...


B = TypeVar("B", bound=Body)


class Kind(ABC, Generic[B]):
    """One node kind. Stateless; the registry holds one object of each."""

    verb: ClassVar[str]
    keys: ClassVar[tuple[str, ...]] = ()  # beside the verb and the common keys
    retries: ClassVar[bool] = False  # takes `retry`
    depends_on_itself: ClassVar[bool] = False  # the types of inferred names depend on what the node yields
    own_timeout: ClassVar[bool] = False  # `timeout` is part of what the node does, not a limit around it
    model: type[B]
    described: ClassVar[Described]  # for editors: the verb, its keys, and those common ones that it gives a meaning

    def body(self, node: NodeSpec) -> B:
        assert isinstance(node.body, self.model), node.kind
        return node.body

    @abstractmethod
    def parse(self, reader: Reader, nodes: Nodes) -> B | None:
        """Reads the verb and its keys; what is wrong goes to the reader. None: nothing can be made of it."""

    def templates(self, node: NodeSpec, graph: GraphSpec) -> Iterator[Template]:
        """The kind's own; those of the common keys come from `nodes.common.templates`."""
        yield from ()

    def children(self, node: NodeSpec) -> Iterator[Child]:
        """In the order of the file; the node of `on_error` comes from `nodes.common.children`."""
        yield from ()

    def type_inside(self, node: NodeSpec, name: str, context: Context) -> Type:
        """Of a name that a child declares as inferred."""
        raise AssertionError(f"no child of {self.verb} declares {name} as inferred")

    def called_tool(self, node: NodeSpec) -> str | None:
        """The tool that the node itself calls, where that is all it does."""
        return None

    def acts_elsewhere(self, node: NodeSpec, graph: GraphSpec) -> tuple[str, Literal["write", "unknown"], bool] | None:
        """Something elsewhere that the node calls: its name, whether it is known to change something, and whether it
        undoes that by itself where it is cancelled; None: it changes nothing."""
        return None

    def check(self, node: NodeSpec, context: Context) -> Iterator[Diagnostic]:
        """What only this kind knows to be wrong."""
        yield from ()

    @abstractmethod
    def type_of(self, node: NodeSpec, context: Context) -> Type:
        """Of what the node yields when it runs; the common keys (`when`, `on_error`) are not its concern."""

    @abstractmethod
    def lower(self, node: NodeSpec, context: Lowering) -> ir.Op: ...


def union(types: Iterable[Type]) -> Type:
    """One of several types; null in one of them makes the whole nullable, and `any` makes it `any`."""
    flat: list[Type] = []
    nullable = False
    for type in types:
        bare = type.of if isinstance(type, Nullable) else type
        nullable = nullable or bare is not type or bare == NULL
        flat += bare.of if isinstance(bare, Union) else () if bare == NULL else (bare,)
    distinct = tuple(dict.fromkeys(flat))
    if not distinct:
        return NULL
    one = ANY if ANY in distinct else distinct[0] if len(distinct) == 1 else Union(distinct)
    return Nullable(one) if nullable and one != ANY else one


def expression_text(data: str | int | bool) -> str:
    """An expression as text, where it may be a literal of YAML."""
    return data if isinstance(data, str) else json.dumps(data)
