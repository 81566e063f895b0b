"""What a tool takes and gives, whatever it is made of."""

from __future__ import annotations

from dataclasses import dataclass

from agentflow.types import Json, Type


@dataclass(frozen=True)
class Parameter:
    name: str
    type: Type  # `T | None` in Python is Nullable here
    required: bool
    description: str | None = None


@dataclass(frozen=True)
class Signature:
    """The parameters that a caller gives; those that the runtime fills in are flags."""

    parameters: tuple[Parameter, ...]
    returns: Type
    description: str | None
    is_async: bool
    takes_key: bool  # `idempotency_key`
    keeps_own_journal: bool  # a `restate.Context`
    schema: Json  # JSON Schema of the arguments
    open: bool = False  # `**kwargs`: further names are allowed
    takes_state: bool = False  # `state`, in an object
    line: int = 0  # of its definition, in its own file

    def parameter(self, name: str) -> Parameter | None:
        return next((parameter for parameter in self.parameters if parameter.name == name), None)
