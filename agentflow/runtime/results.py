"""What comes from outside, held to the type that the graph expects of it."""

from __future__ import annotations

import json
from typing import Any, cast

from agentflow.runtime.schema import Mismatch, no_number, shape_of
from agentflow.types import Json


def loads(text: str | bytes) -> Json:
    """JSON without NaN and infinities. Raises ValueError, also for what is nested too deep."""
    try:
        return cast(Json, json.loads(text, parse_constant=no_number))
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def parsed(text: str) -> Json:
    """The same. Raises Mismatch."""
    try:
        return loads(text)
    except ValueError as error:
        raise Mismatch([f"not JSON: {error}"]) from None


def fitted(data: Json, hint: Any) -> Json:
    """The data as the type says it: what the type does not name is left out. Raises Mismatch."""
    return shape_of(hint).check(data, extra="ignore")


def read(text: str, hint: Any) -> Json:
    """What a text says: itself where text is wanted, else JSON that fits. Raises Mismatch."""
    return text if hint is str else fitted(parsed(text), hint)
