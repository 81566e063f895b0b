"""Types of tools whose annotations are kept as text, and defaults that leave fields out."""

from __future__ import annotations

from typing import NotRequired, Required, TypedDict

import pydantic
import pytest

from agentflow.runtime.schema import Mismatch, Type, shape_of
from agentflow.runtime.signature import signature_of


class Box(TypedDict):
    w: int
    h: NotRequired[int]


class Loose(TypedDict, total=False):
    a: Required[int]
    b: int


def pack(box: Box, loose: Loose) -> int:
    return box["w"]


def test_marks_count_where_annotations_are_text() -> None:
    signature = signature_of(pack)
    assert signature.bind({"box": {"w": 1}, "loose": {"a": 1}}) == {"box": {"w": 1}, "loose": {"a": 1}}
    with pytest.raises(Mismatch, match=r"\$\.loose\.a: missing"):
        signature.bind({"box": {"w": 1, "h": 2}, "loose": {"b": 1}})


class Pair(Type):
    x: int
    y: int | None = None


class Holder(Type):
    pair: Pair = pydantic.Field(default={"x": 1})  # type: ignore[assignment]  # as it is written in a graph


def test_a_default_gets_the_fields_that_it_leaves_out() -> None:
    assert shape_of(Holder).check({}) == {"pair": {"x": 1, "y": None}}
