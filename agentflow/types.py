"""The types of the graph language, as values: what `input`, `returns`, `form` and `types` are parsed into.

Frozen, so that they may be compared and shared. `Named` refers to an entry of the graph's `types`;
everything else stands for itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None

PrimitiveName = Literal["string", "integer", "number", "boolean", "any", "null"]


@dataclass(frozen=True)
class Primitive:
    name: PrimitiveName


@dataclass(frozen=True)
class ListOf:
    of: Type


@dataclass(frozen=True)
class Nullable:
    """`T | null`: the value may be null, or absent where it is a field."""

    of: Type


@dataclass(frozen=True)
class Enumeration:
    values: tuple[str, ...]


@dataclass(frozen=True)
class Named:
    name: str


@dataclass(frozen=True)
class Field:
    name: str
    type: Type
    optional: bool = False
    description: str | None = None
    default: Json = None
    has_default: bool = False
    minimum: float | int | None = None
    maximum: float | int | None = None
    pattern: str | None = None
    max_length: int | None = None


@dataclass(frozen=True)
class Object:
    fields: tuple[Field, ...]

    def field(self, name: str) -> Field | None:
        for field in self.fields:  # asked for every path in every template
            if field.name == name:
                return field
        return None


@dataclass(frozen=True)
class Union:
    """One of several: only inferred (a `switch` whose cases differ), never written."""

    of: tuple[Type, ...]


@dataclass(frozen=True)
class JsonSchema:
    """A whole JSON Schema, as its canonical JSON text."""

    text: str


@dataclass(frozen=True)
class PythonType:
    """A pydantic model of the user's, as `package.module:Name`."""

    reference: str


Type = Primitive | ListOf | Nullable | Enumeration | Named | Object | Union | JsonSchema | PythonType

STRING = Primitive("string")
INTEGER = Primitive("integer")
NUMBER = Primitive("number")
BOOLEAN = Primitive("boolean")
ANY = Primitive("any")
NULL = Primitive("null")
