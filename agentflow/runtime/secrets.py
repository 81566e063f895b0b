"""Secrets: values of the environment, read when they are used and masked wherever text leaves a step.

A generated module names each as `af.Env("PAY_KEY")`. Its value goes into one request or one process, never into a
template, and whatever names it later (an error, an answer that echoes it) shows `<PAY_KEY>` in its place.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from agentflow.runtime.errors import ToolUnavailable
from agentflow.types import Json

_declared: set[str] = set()
_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
_SHORTEST = 8  # of a variable that is only called like a secret: shorter ones are often plain words
_SHORTEST_DECLARED = 4


@dataclass(frozen=True)
class Env:
    """A variable of the environment. Declaring it is enough to have its value masked, whatever it is called."""

    name: str

    def __post_init__(self) -> None:
        _declared.add(self.name)

    def read(self, what: str) -> str:
        """The value. Raises ToolUnavailable where there is none: it may be there after the next start."""
        value = os.environ.get(self.name, "")
        if not value:
            raise ToolUnavailable(f"{self.name} is not set in the environment ({what})", code=500, unknown=False)
        return value


def resolved(value: str | Env, what: str) -> str:
    return value.read(what) if isinstance(value, Env) else value


def mask(text: str) -> str:
    """`text` without the values of secrets: those that a graph names, and those that are called like one."""
    return _masked(text, _values())


def mask_json(data: Json) -> Json:
    """Data whose texts are masked: of what an answer echoes, the journal keeps nothing secret."""
    return _masked_json(data, _values())


def _masked_json(data: Json, values: list[tuple[str, str]]) -> Json:
    if isinstance(data, str):
        return _masked(data, values)
    if isinstance(data, list):
        return [_masked_json(item, values) for item in data]
    if isinstance(data, dict):
        return {_masked(key, values): _masked_json(value, values) for key, value in data.items()}
    return data


def _masked(text: str, values: list[tuple[str, str]]) -> str:
    for name, value in values:
        text = text.replace(value, f"<{name}>")
    return text


def _values() -> list[tuple[str, str]]:
    """Names and what to look for, the longest first."""
    found = [(name, spelt) for name, value in _named(os.environ) for spelt in _spellings(value)]
    return sorted(found, key=lambda item: -len(item[1]))


def _spellings(value: str) -> set[str]:
    return {value, json.dumps(value)[1:-1], quote(value, safe=""), quote(value)}


def _named(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in environment.items():
        if name in _declared:
            if len(value) >= _SHORTEST_DECLARED:
                yield name, value
            scheme, _, rest = value.partition(" ")  # `Bearer ...`: a server may echo the token alone
            if scheme.isalpha() and len(rest) >= _SHORTEST:
                yield name, rest
        elif len(value) >= _SHORTEST and _SECRET_NAME.search(name):
            yield name, value
