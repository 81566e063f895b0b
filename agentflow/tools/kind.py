"""What a tool kind is: how its keys are read, what it takes and gives, and what becomes of it in the program."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from agentflow.diagnostics import Diagnostic, quoted
from agentflow.editor.vocabulary import Described
from agentflow.spec.model import Body, GraphSpec, ToolSpec
from agentflow.tools.signature import Signature

if TYPE_CHECKING:
    from agentflow import ir
    from agentflow.nodes.kind import Template
    from agentflow.spec.reader import Reader

B = TypeVar("B", bound=Body)


class ToolKind(ABC, Generic[B]):
    """One tool kind: a `SingleToolKind` or a `ToolSetKind`. Stateless; the registry holds one object of each."""

    key: ClassVar[str]  # that says that a tool is of this kind
    keys: ClassVar[tuple[str, ...]] = ()  # beside it and the common keys
    elsewhere: ClassVar[dict[str, str]] = {}  # keys of other kinds, with what is done here instead
    timeout: ClassVar[int | None] = None  # ms for one try, where the author says nothing
    model: type[B]
    described: ClassVar[Described]  # for editors: the key, its companions, and common ones that it gives a meaning

    def body(self, tool: ToolSpec) -> B:
        assert isinstance(tool.body, self.model), tool.kind
        return tool.body

    def completed(self, tool: ToolSpec, tools: Mapping[str, ToolSpec]) -> ToolSpec:
        """The tool, once all others have been read; for what follows from them."""
        return tool

    def called(self, tool: ToolSpec) -> tuple[str, ...]:
        """The names of the graph's tools that a call of it calls in its turn."""
        return ()

    def more_than_one_step(self, tool: ToolSpec) -> tuple[str, str] | None:
        """Why a call is not one durable step, as an undo must be, `keeps its own journal`; and what to do about it."""
        return None

    def ends(self, tool: ToolSpec, graph: GraphSpec) -> bool:
        """Whether a call may fail for good, where its retry has no end."""
        return True

    def templates(self, tool: ToolSpec, graph: GraphSpec) -> Iterator[Template]:
        """The tool's own texts; those of its compensation come from `nodes.common`."""
        yield from ()

    def check(self, tool: ToolSpec, graph: GraphSpec) -> Iterator[Diagnostic]:
        """What only this kind knows to be wrong, once the whole graph has been read."""
        yield from ()

    @abstractmethod
    def lower(self, tool: ToolSpec) -> ir.Does: ...


class SingleToolKind(ToolKind[B]):
    """A kind whose entry is one tool."""

    @abstractmethod
    def read(self, reader: Reader) -> tuple[B, Signature | None] | None:
        """Reads the key and its companions; what is wrong goes to the reader. None: nothing can be made of it."""


@dataclass(frozen=True)
class Member:
    """One tool of a set: `getCustomer` of `crm`."""

    name: str
    body: Body
    signature: Signature
    description: str | None = None


class ToolSetKind(ToolKind[B]):
    """A kind whose entry is several tools: each is a tool of its own, called `set.member`."""

    members: ClassVar[str]  # the key that lists them

    @abstractmethod
    def read_all(self, reader: Reader, name: str) -> list[Member] | None:
        """Reads the key and its companions. None: nothing can be made of it."""

    def names(self, reader: Reader) -> tuple[str, ...]:
        """The members that the author lists, at least one."""
        if not reader.require(self.members, "a tool set says which of its tools there are"):
            return ()
        found = reader.names(self.members)
        if not found and reader.data.get(self.members) == []:
            message = f"{quoted(self.members)} is empty, so that nothing can be called"
            reader.error("empty-block", message, reader.at(self.members), key=True)
        return found
