"""A Python function as a tool: what a model is told about it, and its arguments from JSON.

The function's signature and docstring say everything. Three parameters are not the model's: one annotated
`restate.Context` (the function then keeps its own journal), `idempotency_key`, and in an object `state`.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, cast

import pydantic
import typing_extensions

from agentflow.runtime.graph import Tool
from agentflow.runtime.operations import Operation, Parameters
from agentflow.runtime.schema import Mismatch, adapted, plain_schema, problems
from agentflow.types import Json


@dataclass(frozen=True, eq=False)
class Signature:
    """What is known of a tool's function. `context` names its restate.Context parameter, if it has one."""

    description: str
    json_schema: dict[str, Json]
    context: str | None
    takes_key: bool
    takes_state: bool
    optional: frozenset[str]  # parameters with a default
    adapter: pydantic.TypeAdapter[dict[str, Any]]

    @property
    def keeps_own_journal(self) -> bool:
        return self.context is not None

    def check(self, args: Mapping[str, Json]) -> dict[str, Json]:
        """The arguments as given, once they are known to fit. Raises Mismatch, which says what would be right."""
        self.bind(args)
        return dict(args)

    def bind(self, args: Mapping[str, Json]) -> dict[str, Any]:
        """The keyword arguments for the call: dataclasses, enums and models made from JSON. Raises Mismatch."""
        try:
            return self.adapter.validate_python(dict(args))
        except pydantic.ValidationError as error:
            given = {name: value for name, value in args.items() if value is not None or name not in self.optional}
            if len(given) < len(args):  # null for an argument that takes none: its default
                return self.bind(given)
            raise Mismatch(problems(error, dict(args))) from None


def parameters_of(tool: Tool) -> Parameters:
    """What a tool takes, whatever it is."""
    return tool.does.parameters if isinstance(tool.does, Operation) else signature_of(tool.does, tool.takes_state)


def keeps_own_journal(tool: Tool) -> bool:
    """Whether the tool is a function that takes a restate.Context."""
    return not isinstance(tool.does, Operation) and signature_of(tool.does).keeps_own_journal


@lru_cache(maxsize=4096)
def signature_of(function: Callable[..., Any], with_state: bool = False) -> Signature:
    """Reads the function's signature and docstring, once. `with_state`: its parameter `state` is an object's state."""
    hints, text = _hints(function), inspect.getdoc(function) or ""
    told, fields, defaults, context, open_ended = _described(text), {}, {}, None, False
    names = inspect.signature(function).parameters
    ours = ("idempotency_key", "state") if with_state else ("idempotency_key",)
    for name, parameter in names.items():
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL or name in ours:
            continue
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            open_ended = True
            continue
        hint = hints.get(name, Any)
        if _is_context(hint):
            context = name
            continue
        fields[name] = _lax(hint)
        if parameter.default is not inspect.Parameter.empty:
            fields[name] = typing_extensions.NotRequired[fields[name]]
            defaults[name] = parameter.default
    arguments = cast(Any, typing_extensions.TypedDict)("Arguments", fields)
    arguments.__pydantic_config__ = pydantic.ConfigDict(extra="allow" if open_ended else "forbid")
    adapter = pydantic.TypeAdapter(arguments)
    schema = plain_schema(adapter.json_schema())
    _annotate(schema, told, defaults)
    optional = frozenset(defaults)
    return Signature(
        _summary(text),
        schema,
        context,
        "idempotency_key" in names,
        with_state and "state" in names,
        optional,
        adapter,
    )


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception:  # noqa: BLE001 - a name that only a type checker sees: arguments are taken as they come
        return {}


def _is_context(hint: Any) -> bool:
    return inspect.isclass(hint) and any(
        base.__module__.startswith("restate.") and base.__name__.endswith("Context") for base in hint.__mro__
    )


def _lax(hint: Any) -> Any:
    """Arguments are coerced where nothing is lost; a whole number is a float to Python, and stays as it was given."""
    return _FLOAT if hint is float else adapted(hint)


_FLOAT = Annotated[int | float, pydantic.WithJsonSchema({"type": "number"})]


def _annotate(schema: dict[str, Json], told: Mapping[str, str], defaults: Mapping[str, Any]) -> None:
    """Adds what the docstring says of each parameter, and its default."""
    properties = schema.setdefault("properties", {})
    assert isinstance(properties, dict)
    for name, field in properties.items():
        assert isinstance(field, dict)
        if name in told:
            field.setdefault("description", told[name])
        if name in defaults and isinstance(defaults[name], (str, int, float, bool)):
            field.setdefault("default", defaults[name])


_SECTION = re.compile(r"^(Args|Arguments|Parameters|Returns|Raises|Yields|Examples?|Notes?):?\s*$")


def _summary(docstring: str) -> str:
    """The docstring up to its first section."""
    lines = []
    for line in docstring.splitlines():
        if _SECTION.match(line.strip()) or line.strip().startswith(":param"):
            break
        lines.append(line)
    return "\n".join(lines).strip()


def _described(docstring: str) -> dict[str, str]:
    """What the docstring says of each parameter: Google's style, and `:param name: text`."""
    told, inside, last = {}, False, None
    for line in docstring.splitlines():
        text = line.strip()
        if _SECTION.match(text):
            inside, last = text.rstrip(":") in ("Args", "Arguments", "Parameters"), None
        elif match := re.match(r":param\s+(?:[\w\[\]., |]+\s+)?(\w+):\s*(.+)", text):
            told[match[1]] = match[2]
        elif inside and (match := re.match(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?:\s*(.+)", text)):
            last = match[1]
            told[last] = match[2]
        elif inside and last and text:
            told[last] += " " + text
    return told
