"""Types at the border to models: their JSON Schema goes out, only what fits comes in.

A `Shape` is a type as a model sees it: what an agent returns. Checking is strict: a boolean is no number, and a
number stays as it was given (5000, not 5000.0).
"""

from __future__ import annotations

import functools
import json
import operator
import re
import types as python_types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import (
    Annotated,
    Any,
    Literal,
    Union,
    cast,
    get_args,
    get_origin,
    is_typeddict,
)

import pydantic
import typing_extensions
from pydantic_core import ErrorDetails

from agentflow.types import Json

_AS_NUMBER = pydantic.WithJsonSchema({"type": "number"})
Number = Annotated[
    Annotated[int, pydantic.Strict()] | Annotated[float, pydantic.Strict(), pydantic.AllowInfNan(False)],
    _AS_NUMBER,
]
"""Any JSON number, kept as it was given."""


class Type(pydantic.BaseModel):
    """The base of a graph's generated object types: strict, and extra fields are refused."""

    model_config = pydantic.ConfigDict(
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        protected_namespaces=(),
        serialize_by_alias=True,
        validate_default=True,  # the fields that a default leaves out get theirs
    )


class Mismatch(ValueError):
    """A value does not fit its type; `problems` says where and what would be right, one line each."""

    permanent = True  # trying again does not help

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Shape:
    """A type, compiled once: `shape_of` keeps them."""

    def __init__(self, hint: Any) -> None:
        self.hint = hint
        self.is_text = hint is str
        adapter = hint if isinstance(hint, pydantic.TypeAdapter) else pydantic.TypeAdapter(adapted(hint))
        self.adapter: pydantic.TypeAdapter[Any] = adapter
        self.json_schema: dict[str, Json] = plain_schema(self.adapter.json_schema())
        self.schema_text = json.dumps(self.json_schema, ensure_ascii=False)

    def check(self, data: Json, *, extra: Literal["ignore"] | None = None) -> Json:
        """The data with defaults filled in, and without the fields that the type does not have, if these are to be
        ignored. Raises Mismatch."""
        try:
            value = self.adapter.validate_json(json.dumps(data, allow_nan=False), strict=True, extra=extra)
        except pydantic.ValidationError as error:
            raise Mismatch(problems(error, data)) from None
        except ValueError:
            raise Mismatch(["at $: not a finite number"]) from None
        return cast(Json, self.adapter.dump_python(value, mode="json", by_alias=True))

    def read(self, answer: str) -> Json:
        """The value in a model's answer: plain text for a string, else JSON, bare, fenced or amid prose."""
        if self.is_text:
            return answer
        first: Mismatch | None = None
        for data in _candidates(answer):
            try:
                return self.check(data)
            except Mismatch as mismatch:
                first = first or mismatch
        raise first or Mismatch(["at $: not JSON"])


@functools.lru_cache(maxsize=1024)
def _cached(hint: Any) -> Shape:
    return Shape(hint)


def shape_of(hint: Any) -> Shape:
    """The shape of a type: a class, `list[T]`, `Literal`, `T | None`, `Any`, or a TypeAdapter. None is text."""
    try:
        return _cached(str if hint is None else hint)
    except TypeError:  # not hashable
        return Shape(hint)


def schema_of(hint: Any) -> dict[str, Json]:
    """The JSON Schema of a type."""
    return shape_of(hint).json_schema


def whole_schema_of(hint: Any) -> dict[str, Json]:
    """The JSON Schema of a type with all that it asks for, also what providers do not read."""
    return shape_of(hint).adapter.json_schema()


def read(hint: Any, body: bytes) -> Json:
    """JSON from outside, which must fit the type. Raises Mismatch, also for what is not JSON; no body is {}."""
    try:
        data = json.loads(body, parse_constant=no_number) if body.strip() else {}
    except (ValueError, RecursionError) as error:
        raise Mismatch([f"not JSON: {error}"]) from None
    return shape_of(hint).check(data)


def bind(
    function: Callable[..., Any],
    args: Mapping[str, Json],
    *,
    idempotency_key: str,
    state: dict[str, Json] | None = None,
) -> dict[str, Any]:
    """The keyword arguments for a call of a tool's function, its key among them if it takes one. Raises Mismatch.

    `state` is given to a function that takes an object's state, which may change it.
    """
    from agentflow.runtime.signature import signature_of  # it builds on this module

    signature = signature_of(function, state is not None)
    arguments = signature.bind(args)
    if signature.takes_state:
        arguments = {**arguments, "state": state}
    return {**arguments, "idempotency_key": idempotency_key} if signature.takes_key else arguments


def _candidates(answer: str) -> Iterator[Json]:
    """What the answer may mean, the likeliest first; the bare text last, for enumerations and optional text."""
    text = answer.strip()
    fenced = re.findall(r"```[a-zA-Z]*[ \t]*\n(.*?)```", text, re.DOTALL)
    opening = re.search(r"[{\[]", text)
    embedded = [text[opening.start() :]] if opening else []
    for index, source in enumerate([text, *reversed(fenced), *embedded]):
        try:
            if index > len(fenced):
                yield json.JSONDecoder(parse_constant=no_number).raw_decode(source)[0]
            else:
                yield json.loads(source, parse_constant=no_number)
        except (ValueError, RecursionError):
            continue
    yield text


def no_number(constant: str) -> Json:
    """For `json.loads`: NaN and the infinities are not JSON."""
    raise ValueError(f"{constant} is not JSON")


def problems(error: pydantic.ValidationError, data: Json) -> list[str]:
    """One line a problem: where it is, as a JSON path, what is wrong and what would be right."""
    details = error.errors(include_url=False, include_context=False)
    places = [_path(detail["loc"], data, detail["type"]) for detail in details]
    numbers = {path for path, detail in zip(places, details, strict=True) if detail["type"].startswith("float_")}
    lines = [
        _line(detail, path)
        for path, detail in zip(places, details, strict=True)
        if path not in numbers or not detail["type"].startswith("int_")  # a number is an integer or a float
    ]
    return list(dict.fromkeys(lines))[:20]


def _line(detail: ErrorDetails, path: str) -> str:
    if detail["type"] == "extra_forbidden":
        return f"at {path}: there is no such field"
    if detail["type"] == "missing":
        return f"at {path}: missing"
    if detail["type"] == "json_schema":
        return f"at {path}{detail['msg'].removeprefix('at $')}"
    message = detail["msg"][:1].lower() + detail["msg"][1:]
    given = json.dumps(detail["input"], ensure_ascii=False, default=str)
    return f"at {path}: {message}, not {given if len(given) <= 80 else given[:77] + '...'}"


def _path(location: tuple[int | str, ...], data: Json, kind: str) -> str:
    """The location without what pydantic adds: tags of unions and names of validators are not in the data."""
    path, here = "$", data
    for position, step in enumerate(location):
        last = position == len(location) - 1
        if isinstance(here, dict) and isinstance(step, str) and (step in here or (last and kind == "missing")):
            path, here = f"{path}.{step}", here.get(step)
        elif isinstance(here, list) and isinstance(step, int) and step < len(here):
            path, here = f"{path}[{step}]", here[step]
    return path


def adapted(hint: Any) -> Any:
    """The hint with numbers kept as given, and with TypedDict classes that pydantic reads on Python 3.11 too."""
    if hint is float:
        return Number
    if is_typeddict(hint):
        return _typed_dict(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is None or origin is Literal or not arguments:
        return hint
    if origin is Annotated:
        if _AS_NUMBER in arguments:
            return hint
        return Annotated[(adapted(arguments[0]), *arguments[1:])]
    inner = tuple(adapted(argument) for argument in arguments)
    if origin in (Union, python_types.UnionType):
        return functools.reduce(operator.or_, inner)
    if origin in (list, dict, set, frozenset, tuple):
        return origin[inner]
    return hint


def _typed_dict(hint: Any) -> Any:
    hints = typing_extensions.get_type_hints(hint, include_extras=True)
    fields = {
        name: adapted(_unmarked(field))
        if _is_required(name, field, hint)
        else typing_extensions.NotRequired[adapted(_unmarked(field))]
        for name, field in hints.items()
    }
    return typing_extensions.TypedDict(hint.__name__, fields)  # type: ignore[operator]  # made from the user's class


_REQUIRED = (typing.Required, typing_extensions.Required)
_NOT_REQUIRED = (typing.NotRequired, typing_extensions.NotRequired)


def _is_required(name: str, hint: Any, owner: Any) -> bool:
    """The class itself misses marks in annotations that are kept as text."""
    origin = get_origin(hint)
    return origin in _REQUIRED or (origin not in _NOT_REQUIRED and name in owner.__required_keys__)


def _unmarked(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) in (*_REQUIRED, *_NOT_REQUIRED) else hint


_DROPPED = {"title", "pattern", "maxLength", "minLength", "uniqueItems", "discriminator", "exclusiveMinimum"}
_NAMED = {"properties", "$defs"}


def plain_schema(schema: Any) -> dict[str, Json]:
    """The part of JSON Schema that every provider reads: what it leaves out is still checked on the way in."""
    return cast("dict[str, Json]", _plain(schema))


def _plain(schema: Any) -> Json:
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return cast(Json, schema)
    plain: dict[str, Json] = {}
    for key, value in schema.items():
        if key in _NAMED:
            plain[key] = {name: _plain(item) for name, item in value.items()}
        elif key == "const":
            plain["enum"] = [value]
        elif key in ("enum", "default", "required"):
            plain[key] = value
        elif key not in _DROPPED:
            plain[key] = _plain(value)
    return plain
