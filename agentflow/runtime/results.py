"""What comes from outside, held to the type that the graph expects of it."""

from __future__ import annotations

import json
from typing import Any, cast

import pydantic

from agentflow.runtime.schema import Mismatch, problems, shape_of
from agentflow.types import Json


def loads(text: str) -> Json:
    """JSON without NaN and infinities. Raises ValueError, also for what is nested too deep."""
    try:
        return cast(Json, json.loads(text, parse_constant=_refused))
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _refused(constant: str) -> Json:
    raise ValueError(f"{constant} is not JSON")


def fitted(data: Json, hint: Any) -> Json:
    """The data as the type says it: what the type does not name is left out. Raises Mismatch."""
    adapter = shape_of(hint).adapter
    try:
        value = adapter.validate_json(json.dumps(data, allow_nan=False), strict=True, extra="ignore")
    except pydantic.ValidationError as error:
        raise Mismatch(problems(error, data)) from None
    return cast(Json, adapter.dump_python(value, mode="json", by_alias=True))


def read(text: str, hint: Any) -> Json:
    """What a text says: itself where text is wanted, else JSON that fits. Raises Mismatch."""
    if hint is str:
        return text
    try:
        data = loads(text)
    except ValueError as error:
        raise Mismatch([f"not JSON: {error}"]) from None
    return fitted(data, hint)
