"""The arguments of an operation: of a type that the graph declares, or of any kind, as the server sees fit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from agentflow.runtime.evaluation import OUTCOMES
from agentflow.runtime.schema import Mismatch, Shape, plain_schema, shape_of
from agentflow.types import Json


class Arguments:
    """Of an object type; see `operations.Parameters`. `hint` None: no arguments at all."""

    def __init__(self, hint: Any, description: str) -> None:
        self._hint = hint
        self.description = description

    @cached_property
    def _shape(self) -> Shape:
        return shape_of(self._hint)

    @property
    def json_schema(self) -> dict[str, Json]:
        return {"type": "object", "properties": {}} if self._hint is None else self._shape.json_schema

    @cached_property
    def names(self) -> tuple[str, ...]:
        properties = self.json_schema.get("properties")
        return tuple(properties) if isinstance(properties, dict) else ()

    def check(self, args: Mapping[str, Json]) -> dict[str, Json]:
        """What was given, with the defaults of what was not. Raises Mismatch."""
        if self._hint is None:
            if args:
                raise Mismatch([f"at $.{name}: there is no such field" for name in args])
            return {}
        given = _given(dict(args), self._whole(args))
        assert isinstance(given, dict)
        return given

    def _whole(self, args: Mapping[str, Json]) -> dict[str, Json]:
        try:
            whole = self._shape.check(dict(args))
        except Mismatch:
            given = {name: value for name, value in args.items() if value is not None}
            if len(given) == len(args):
                raise
            return self._whole(given)  # null for an argument that takes none: its default
        assert isinstance(whole, dict)
        return whole

    def scope(self, args: Mapping[str, Json], key: str) -> dict[str, Json]:
        """What the operation's own texts see; what was not given is null."""
        return {"args": {**dict.fromkeys(self.names), **args}, "idempotency_key": key, OUTCOMES: {}}


def _given(given: Json, whole: Json) -> Json:
    """What was given, at any depth, with the defaults of what was not; an optional field without one stays away."""
    if isinstance(given, dict) and isinstance(whole, dict):
        return {
            name: _given(given[name], value) if name in given else value
            for name, value in whole.items()
            if name in given or value is not None
        }
    if isinstance(given, list) and isinstance(whole, list):
        return [_given(one, other) for one, other in zip(given, whole, strict=True)]
    return whole


class ListedArguments:
    """As a server describes them, with a JSON Schema of its own."""

    def __init__(self, schema: dict[str, Json], description: str) -> None:
        self._schema = schema
        self.description = description
        self.json_schema = plain_schema(schema)

    def check(self, args: Mapping[str, Json]) -> dict[str, Json]:
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError
        from referencing.exceptions import Unresolvable

        try:
            Draft202012Validator.check_schema(self._schema)
            errors = list(Draft202012Validator(self._schema).iter_errors(dict(args)))
        except (SchemaError, Unresolvable):  # the server's fault, and it checks them itself
            return dict(args)
        if errors:
            raise Mismatch([f"at {error.json_path}: {error.message}" for error in errors[:20]])
        return dict(args)


class AnyArguments:
    """Of an operation whose arguments are known only to who carries it out."""

    description = ""
    json_schema: dict[str, Json] = {"type": "object", "properties": {}, "additionalProperties": True}

    def check(self, args: Mapping[str, Json]) -> dict[str, Json]:
        return dict(args)
