"""A whole JSON Schema as a type: `{schema: {...}}` in the language."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema


@dataclass(frozen=True)
class JsonSchema:
    """An annotation: `Annotated[Any, JsonSchema('{"type": "object"}')]` is what fits that schema."""

    text: str

    @cached_property
    def _validator(self) -> Any:
        from jsonschema import Draft202012Validator
        from referencing import Registry

        return Draft202012Validator(json.loads(self.text), registry=Registry())  # which fetches nothing

    def _check(self, value: Any) -> Any:
        error = next(self._validator.iter_errors(value), None)
        if error is not None:
            raise PydanticCustomError("json_schema", "{reason}", {"reason": f"at {error.json_path}: {error.message}"})
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, core_schema.any_schema())

    def __get_pydantic_json_schema__(self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> Any:
        return json.loads(self.text)
