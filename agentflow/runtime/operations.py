"""What a tool can be beside a function of the user's: something that is done once in each try of one durable step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from agentflow.types import Json


class Parameters(Protocol):
    """What a model is told of a tool's arguments, and what they are held to."""

    @property
    def description(self) -> str: ...

    @property
    def json_schema(self) -> dict[str, Json]: ...

    def check(self, args: Mapping[str, Json]) -> dict[str, Json]:
        """The arguments as given, once they are known to fit. Raises Mismatch, which says what would be right."""


class Operation(ABC):
    """One call of something outside: an HTTP request, a command, a tool of a server.

    It may run more than once for one call: `key` says that it is the same. What it raises decides what follows, as for
    a function: ToolError is told to a model, a restate.TerminalError or NodeError ends the node, anything else is tried
    again by the tool's `retry`.
    """

    @property
    @abstractmethod
    def parameters(self) -> Parameters: ...

    @abstractmethod
    async def call(self, args: Mapping[str, Json], key: str) -> Json:
        """One try. `args` are known to fit."""


class Listing(ABC):
    """Where it is known what some operations take: a server that can be asked."""

    @abstractmethod
    async def listed(self) -> Json:
        """What each operation takes and does: `{name: {description, schema}}`. One try of one durable step."""


class Listed(Operation):
    """An operation of which only a server knows what it takes."""

    @property
    @abstractmethod
    def listing(self) -> Listing: ...

    @abstractmethod
    def pinned(self, listed: Json) -> Operation:
        """The operation as it was when the server was asked; None: nobody was."""


class _Nothing:
    description = ""
    json_schema: dict[str, Json] = {}

    def check(self, args: Mapping[str, Json]) -> dict[str, Json]:
        return dict(args)


@dataclass(frozen=True)
class Asking(Operation):
    """Asks a server what its tools take."""

    of: Listing
    parameters = _Nothing()

    async def call(self, args: Mapping[str, Json], key: str) -> Json:
        return await self.of.listed()
