"""The words in which keys are described to editors: each gives the JSON Schema (draft 7) of one value.

`$ref` stands for a definition of `editor.schema`. What stands beside it is ignored by validators; editors show it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agentflow.types import Json

Schema = dict[str, Json]


@dataclass(frozen=True)
class Described:
    """What an editor is told of a mapping: one sentence on the whole, and on each of its keys."""

    about: str
    keys: Mapping[str, Schema]
    required: tuple[str, ...] = ()
    rules: tuple[Schema, ...] = ()  # what holds between the keys


def ref(definition: str, about: str) -> Schema:
    return {"$ref": f"#/definitions/{definition}", "description": about}


def text(about: str) -> Schema:
    """A template that yields text, or a file that holds it."""
    return ref("text", about)


def word(about: str, pattern: str = r"\S") -> Schema:
    """A plain text that is no template."""
    return {"type": "string", "pattern": pattern, "description": about}


def name(about: str) -> Schema:
    return ref("name", about)


def names(about: str, least: int = 0) -> Schema:
    """A list of names, each once."""
    return {"type": "array", "items": word("A name."), "uniqueItems": True, "minItems": least, "description": about}


def duration(about: str) -> Schema:
    return ref("duration", about)


def choice(about: str, *values: str, default: str | None = None) -> Schema:
    found: Schema = {"enum": list(values), "description": about}
    return found if default is None else {**found, "default": default}


def integer(about: str, low: int | None = None, high: int | None = None, default: int | None = None) -> Schema:
    return {**number(about, low, high, default), "type": "integer"}


def number(about: str, low: float | None = None, high: float | None = None, default: float | None = None) -> Schema:
    found: Schema = {"type": "number", "description": about}
    bounds = {"minimum": low, "maximum": high, "default": default}
    return {**found, **{key: bound for key, bound in bounds.items() if bound is not None}}


def boolean(about: str, default: bool = False) -> Schema:
    return {"type": "boolean", "default": default, "description": about}


def value(about: str) -> Schema:
    """Anything, with templates at any depth."""
    return {"description": about}


def values(about: str, least: int = 0) -> Schema:
    """Values by name: the arguments of a call."""
    return {"type": "object", "minProperties": least, "description": about}


def expression(about: str) -> Schema:
    return ref("expression", about)


def type(about: str) -> Schema:
    return ref("type", about)


def object_type(about: str) -> Schema:
    """A type that is an object: `input`, a form."""
    return ref("object_type", about)


def people(about: str) -> Schema:
    return ref("people", about)


def node(about: str) -> Schema:
    return ref("node", about)


def nodes(about: str) -> Schema:
    """Nodes by the names that the author gives them."""
    return ref("nodes", about)


def each(about: str, of: Schema, names: Schema | None = None, least: int = 0) -> Schema:
    """Things of one kind by names of the author's."""
    found: Schema = {"type": "object", "additionalProperties": of, "minProperties": least, "description": about}
    return found if names is None else {**found, "propertyNames": names}


def mapping(described: Described) -> Schema:
    """A mapping with exactly these keys."""
    found: Schema = {
        "type": "object",
        "description": described.about,
        "properties": dict(described.keys),
        "additionalProperties": False,
    }
    if described.required:
        found["required"] = list(described.required)
    if described.rules:
        found["allOf"] = list(described.rules)
    return found


# ---------------------------------------------------------------- what holds between keys


def needs(key: str, *others: str) -> Schema:
    """Where the key is, the others are too."""
    return {"dependencies": {key: list(others)}}


def only_with(key: str, other: str, wanted: Json, default: bool = False) -> Schema:
    """The key has a meaning only where another one has a certain value. `default`: it has it when it is left out."""
    held: Schema = {"properties": {other: {"const": wanted}}}
    return {"dependencies": {key: held if default else {**held, "required": [other]}}}


def not_with(key: str, *others: str) -> Schema:
    """Where the key is, the others are not."""
    return {"dependencies": {key: {"properties": dict.fromkeys(others, False)}}}


TIMED = (needs("timeout", "on_timeout"), needs("on_timeout", "timeout"))
"""Where somebody is waited for: the author says what follows the time-out, and there is one to be followed."""
ESCALATES = needs("escalate", "timeout")
