"""Whether data fits a type, and if not, why: for what is written in the file itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import assert_never

from agentflow.diagnostics import quoted
from agentflow.types import (
    Enumeration,
    Field,
    Json,
    JsonSchema,
    ListOf,
    Named,
    Nullable,
    Object,
    Primitive,
    PythonType,
    Type,
    Union,
)

_EXPECTED = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}


def misfit(data: Json, type: Type, types: Mapping[str, Type] | None = None, where: str = "") -> str | None:
    """Why data does not fit a type; None if it does, or cannot be said here.

    Strings that hold templates fit everything that is not known better: what they yield is not seen here.
    """
    if isinstance(data, str) and ("{{" in data or "{%" in data):
        return None
    match type:
        case Primitive():
            return None if _is_primitive(data, type) else _expected(_EXPECTED[type.name], data, where)
        case Nullable():
            return None if data is None else misfit(data, type.of, types, where)
        case Enumeration():
            if isinstance(data, str) and data in type.values:
                return None
            return _expected("one of " + ", ".join(type.values), data, where)
        case ListOf():
            if not isinstance(data, list):
                return _expected("a list", data, where)
            reasons = (misfit(item, type.of, types, f"{where}[{index}]") for index, item in enumerate(data))
            return next((reason for reason in reasons if reason), None)
        case Object():
            return _object_misfit(data, type, types, where)
        case Named():
            return misfit(data, types[type.name], types, where) if types and type.name in types else None
        case Union():
            reasons_of = [misfit(data, one, types, where) for one in type.of]
            return reasons_of[0] if reasons_of and all(reasons_of) else None
        case JsonSchema() | PythonType():
            return None
        case _:
            assert_never(type)


def _is_primitive(data: Json, type: Primitive) -> bool:
    match type.name:
        case "any":
            return True
        case "null":
            return data is None
        case "boolean":
            return isinstance(data, bool)
        case "string":
            return isinstance(data, str)
        case "integer":
            return isinstance(data, int) and not isinstance(data, bool)
        case "number":
            return isinstance(data, int | float) and not isinstance(data, bool)
        case _:
            assert_never(type.name)


def _object_misfit(data: Json, type: Object, types: Mapping[str, Type] | None, where: str) -> str | None:
    if not isinstance(data, dict):
        return _expected("a mapping", data, where)
    for field in type.fields:
        place = f"{where}.{field.name}".lstrip(".")
        if field.name not in data:
            if not field.optional:
                return f"it lacks {quoted(place)}"
        elif reason := misfit(data[field.name], field.type, types, place) or out_of_bounds(
            data[field.name], field, place
        ):
            return reason
    extra = next((key for key in data if type.field(key) is None), None)
    return f"there is no field {quoted(f'{where}.{extra}'.lstrip('.'))}" if extra is not None else None


def out_of_bounds(data: Json, field: Field, where: str) -> str | None:
    if isinstance(data, int | float):
        if field.minimum is not None and data < field.minimum:
            return f"{where} must be at least {field.minimum}, and is {data}"
        if field.maximum is not None and data > field.maximum:
            return f"{where} must be at most {field.maximum}, and is {data}"
    if isinstance(data, str) and field.pattern is not None and not re.search(field.pattern, data):
        return f"{where} must match {quoted(field.pattern)}, and is {quoted(data)}"
    if isinstance(data, str | list) and field.max_length is not None and len(data) > field.max_length:
        return f"{where} must be no longer than {field.max_length}, and is {len(data)} long"
    return None


def _expected(expected: str, data: Json, where: str) -> str:
    given = "null" if data is None else "true" if data is True else "false" if data is False else None
    if given is None:
        given = quoted(data) if isinstance(data, str) else "a mapping" if isinstance(data, dict) else None
    given = given or ("a list" if isinstance(data, list) else str(data))
    place = f"{where} must be " if where else "it must be "
    return f"{place}{expected}, and is {given}"
