"""Types at the border: what a function's signature says, what fits, and what is said of what does not."""

from __future__ import annotations

import enum
import json
import typing
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pydantic
import pytest
import restate
import typing_extensions

from agentflow.runtime.schema import Mismatch, Number, Type, bind, read, schema_of, shape_of
from agentflow.runtime.signature import signature_of


class Risk(enum.Enum):
    LOW = "low"
    HIGH = "high"


@dataclass
class Address:
    street: str
    number: int = 1


class Part(typing.TypedDict):
    name: str
    size: typing_extensions.NotRequired[float]


class Customer(pydantic.BaseModel):
    name: str
    address: Address | None = None


class Finding(Type):
    ok: bool
    score: Annotated[Number, pydantic.Field(ge=0, le=100)]
    risk: Literal["low", "high"] = "low"
    tags: list[str] = pydantic.Field(default_factory=list)


def everything(
    ctx: restate.Context,
    name: str,
    risk: Risk,
    address: Address,
    parts: list[Part],
    customer: Customer,
    idempotency_key: str,
    state: dict[str, Any],
    kind: Literal["a", "b"] = "a",
    amount: float = 1.5,
    note: str | None = None,
    extra: dict[str, Any] | None = None,
) -> None:
    """Does everything
    in two lines.

    Args:
        name: whose it is,
            at length
        risk (Risk): how bad

    Returns:
        name: not a parameter
    """


FULL: dict[str, Any] = {
    "name": "x",
    "risk": "low",
    "address": {"street": "a"},
    "parts": [{"name": "p", "size": 2}],
    "customer": {"name": "c", "address": {"street": "b", "number": 2}},
}


def test_the_signature_is_the_schema() -> None:
    signature = signature_of(everything, with_state=True)
    schema: Any = signature.json_schema
    assert signature.context == "ctx" and signature.keeps_own_journal
    assert signature.takes_key and signature.takes_state
    assert signature.description == "Does everything\nin two lines."
    assert list(schema["properties"]) == [
        "name", "risk", "address", "parts", "customer", "kind", "amount", "note", "extra",
    ]  # fmt: skip
    assert schema["required"] == ["name", "risk", "address", "parts", "customer"]
    assert schema["properties"]["name"] == {"type": "string", "description": "whose it is, at length"}
    assert schema["properties"]["kind"]["enum"] == ["a", "b"]
    assert schema["properties"]["amount"] == {"type": "number", "default": 1.5}
    assert schema["additionalProperties"] is False


def test_arguments_become_objects() -> None:
    arguments = signature_of(everything, with_state=True).bind(FULL)
    assert arguments["risk"] is Risk.LOW
    assert arguments["address"] == Address("a", 1)
    assert arguments["customer"].address == Address("b", 2)
    assert arguments["parts"] == [{"name": "p", "size": 2}]
    assert "kind" not in arguments, "the function's own default counts"
    assert signature_of(everything, with_state=True).check(FULL) == FULL


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"risk": "middle"}, "at $.risk: input should be 'low' or 'high', not \"middle\""),
        ({"address": {}}, "at $.address.street: missing"),
        ({"parts": [{"name": 1}]}, "at $.parts[0].name"),
        ({"nmae": 1}, "at $.nmae: there is no such field"),
        ({"idempotency_key": "mine"}, "at $.idempotency_key: there is no such field"),
        ({"customer": {"name": "a", "address": {"street": 5}}}, "at $.customer.address.street"),
    ],
)
def test_wrong_arguments_say_where_and_what(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(Mismatch) as raised:
        signature_of(everything, with_state=True).check({**FULL, **change})
    assert problem in str(raised.value)


def test_arguments_are_coerced_where_nothing_is_lost() -> None:
    def tool(count: int, price: float) -> None: ...

    assert signature_of(tool).bind({"count": 3.0, "price": 2}) == {"count": 3, "price": 2.0}
    assert signature_of(tool).bind({"count": "3", "price": 2})["count"] == 3
    assert repr(signature_of(tool).bind({"count": 3, "price": 2})["price"]) == "2"
    assert repr(signature_of(tool).bind({"count": 3, "price": 2.0})["price"]) == "2.0"
    with pytest.raises(Mismatch) as raised:
        signature_of(tool).bind({"count": 3, "price": "much"})
    assert len(raised.value.problems) == 1
    with pytest.raises(Mismatch):
        signature_of(tool).bind({"count": 3.5, "price": 2})


def test_a_tool_without_annotations_takes_anything() -> None:
    def tool(a, b=None, *rest, **more):  # type: ignore[no-untyped-def]  # on purpose
        ...

    assert signature_of(tool).bind({"a": [1], "c": {}}) == {"a": [1], "c": {}}


def test_the_key_goes_to_those_that_take_it() -> None:
    def keyed(a: int, idempotency_key: str) -> None: ...

    def plain(a: int) -> None: ...

    assert bind(keyed, {"a": 1}, idempotency_key="k") == {"a": 1, "idempotency_key": "k"}
    assert bind(plain, {"a": 1}, idempotency_key="k") == {"a": 1}


@pytest.mark.parametrize("number", [5000, 5000.5, 5000.0, 0, -1, 12345678901234567890])
@pytest.mark.parametrize("hint", [float, Number, list[float], dict[str, float], float | None])
def test_numbers_stay_as_given(hint: Any, number: float) -> None:
    data: Any = [number] if hint == list[float] else {"a": number} if hint == dict[str, float] else number
    assert json.dumps(shape_of(hint).check(data)) == json.dumps(data)


@pytest.mark.parametrize(
    ("hint", "data"),
    [
        (float, True), (int, True), (int, 1.5), (int, 1.0), (str, 1), (bool, 1), (bool, "true"), (int, "1"),
        (float, "1"), (list[int], {}), (Finding, []), (Literal["a"], "b"), (float, float("nan")), (Number, None),
    ],
)  # fmt: skip
def test_checking_is_strict(hint: Any, data: Any) -> None:
    with pytest.raises(Mismatch):
        shape_of(hint).check(data)


def test_defaults_are_filled_in_and_extra_fields_refused() -> None:
    assert shape_of(Finding).check({"ok": True, "score": 5}) == {"ok": True, "score": 5, "risk": "low", "tags": []}
    with pytest.raises(Mismatch) as raised:
        shape_of(list[Finding]).check([{"ok": 1, "score": 101, "more": 1, "tags": ["a", 2]}])
    assert raised.value.problems == [
        "at $[0].ok: input should be a valid boolean, not 1",
        "at $[0].score: input should be less than or equal to 100, not 101",
        "at $[0].tags[1]: input should be a valid string, not 2",
        "at $[0].more: there is no such field",
    ]


def test_users_own_pydantic_models_keep_their_rules() -> None:
    assert shape_of(Customer).check({"name": "a", "else": 1}) == {"name": "a", "address": None}


def test_the_schema_keeps_to_what_providers_read() -> None:
    text = json.dumps(schema_of(list[Finding]))
    assert "const" not in text and "title" not in text
    assert schema_of(float) == {"type": "number"}


def test_bodies_are_read() -> None:
    assert read(Finding, b'{"ok": true, "score": 1}')
    for body in (b"{", b"NaN", b"[" * 100_000, b"\xff"):
        with pytest.raises(Mismatch):
            read(Any, body)
