"""JSON Schema of types: what a model is told that it may pass to a tool, what a graph takes and gives."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import assert_never

from agentflow.tools.signature import Parameter
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


def parameters_schema(parameters: Sequence[Parameter], open: bool) -> Json:
    """The object of all arguments."""
    properties: dict[str, Json] = {}
    for parameter in parameters:
        schema = schema_of(parameter.type)
        if parameter.description:
            schema["description"] = parameter.description
        properties[parameter.name] = schema
    required: Json = [parameter.name for parameter in parameters if parameter.required]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": open}


def schema_of(type: Type) -> dict[str, Json]:
    """Of a type; the graph's own types are references into `$defs`."""
    match type:
        case Primitive():
            return {} if type.name == "any" else {"type": type.name}
        case ListOf():
            return {"type": "array", "items": schema_of(type.of)}
        case Nullable():
            return {"anyOf": [schema_of(type.of), {"type": "null"}]}
        case Enumeration():
            return {"type": "string", "enum": list(type.values)}
        case Object():
            required: Json = [field.name for field in type.fields if not field.optional]
            properties: Json = {field.name: _field(field) for field in type.fields}
            return {"type": "object", "properties": properties, "required": required}
        case Union():
            return {"anyOf": [schema_of(one) for one in type.of]}
        case JsonSchema():
            loaded = json.loads(type.text)
            return loaded if isinstance(loaded, dict) else {}
        case Named():
            return {"$ref": f"#/$defs/{type.name}"}
        case PythonType():
            return {}
        case _:
            assert_never(type)


def definitions(schema: Json, types: Mapping[str, Type]) -> dict[str, Json]:
    """The graph's types that a schema refers to, and those that they refer to."""
    found: dict[str, Json] = {}
    rest = [schema]
    while rest:
        part = rest.pop()
        if isinstance(part, list):
            rest += part
        elif isinstance(part, dict):
            name = str(part.get("$ref", "")).removeprefix("#/$defs/")
            if name in types and name not in found:
                found[name] = schema_of(types[name])
                rest.append(found[name])
            rest += part.values()
    return dict(sorted(found.items()))


def _field(field: Field) -> dict[str, Json]:
    schema = schema_of(field.type)
    if field.description:
        schema["description"] = field.description
    if field.has_default:
        schema["default"] = field.default
    limits = {"minimum": field.minimum, "maximum": field.maximum, "pattern": field.pattern}
    schema |= {name: value for name, value in limits.items() if value is not None}
    if field.max_length is not None:
        schema["maxItems" if schema.get("type") == "array" else "maxLength"] = field.max_length
    return schema
