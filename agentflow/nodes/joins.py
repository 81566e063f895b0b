"""`join` and `on_failure`: how many of what runs side by side it takes, and what becomes of a failure."""

from __future__ import annotations

from typing import Literal

from agentflow.diagnostics import quoted
from agentflow.editor import vocabulary as v
from agentflow.editor.vocabulary import Schema
from agentflow.spec.reader import Reader
from agentflow.types import ANY, NULL, Nullable, Type

Join = Literal["all", "any", "first"] | int
OnFailure = Literal["fail_fast", "collect"]

KEYS = ("join", "on_failure")
_WORDS: tuple[Literal["all", "any", "first"], ...] = ("all", "any", "first")

RULES = (v.only_with("on_failure", "join", "all", default=True),)


def described(of: str) -> dict[str, Schema]:
    """Both keys for editors; `of` is what there are several of."""
    words: Schema = {"enum": list(_WORDS)}
    number: Schema = {"type": "integer", "minimum": 1}
    about = f"How many of the {of} it takes: all, the first to succeed (any), the first to finish, or a number."
    return {
        "join": {"anyOf": [words, number], "default": "all", "description": about},
        "on_failure": v.choice(
            "Whether a failure ends the others, or leaves null in its place.",
            "fail_fast",
            "collect",
            default="fail_fast",
        ),
    }


def read(reader: Reader, branches: int | None) -> tuple[Join, OnFailure]:
    """Both keys. `branches`: how many there are, where the file says so."""
    join = _join(reader, branches)
    on_failure = reader.choice("on_failure", ("fail_fast", "collect"), "fail_fast")
    if join != "all" and reader.has("on_failure"):
        message = '"on_failure" has no meaning unless all branches are waited for'
        reader.error("misplaced-key", message, reader.at("on_failure"), key=True, help="it belongs to join: all")
    return join, "collect" if on_failure == "collect" else "fail_fast"


def _join(reader: Reader, branches: int | None) -> Join:
    value = reader.take("join") if reader.has("join") else "all"
    for word in _WORDS:
        if value == word:
            return word
    most = float("inf") if branches is None else max(branches, 1)
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most:
        return value
    shown = quoted(value) if isinstance(value, str | int | float) else "this"
    of = "branches" if branches is not None else "items"
    message = f'"join" is one of all, any, first, or a number of {of}, and not {shown}'
    help = f"there are {branches} branches" if isinstance(value, int) and branches is not None else None
    reader.error("bad-choice", message, reader.at("join"), help=help)
    return "all"


def may_lack(join: Join, on_failure: OnFailure) -> bool:
    """Whether null may stand in the place of a value: of a loser, of one that failed."""
    return join != "all" or on_failure == "collect"


def nullable(type: Type) -> Type:
    return type if isinstance(type, Nullable) or type in (ANY, NULL) else Nullable(type)
