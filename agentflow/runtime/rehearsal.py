"""Where a rehearsal takes the place of models, tools and time: `agentflow test` runs its cases so, see `stage`.

Outside of one nothing here does anything. In one, an invocation belongs to the case that a header names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import restate
from restate.exceptions import TerminalError
from restate.extensions import current_context

from agentflow.types import Json

if TYPE_CHECKING:
    from agentflow.runtime.stage import Case

HEADER = "agentflow-case"
REAL = object()  # what a case says of a tool that is to be called itself

CASES: dict[str, Case] = {}  # none outside of a rehearsal


def context() -> restate.Context | None:
    """Of the handler that is at work, also within its steps."""
    try:
        return current_context()
    except LookupError:
        return None


def current() -> Case | None:
    """The case that what runs here belongs to; None where nothing is rehearsed."""
    if not CASES:
        return None
    ctx = context()
    return None if ctx is None else case_of(ctx)


def case_of(ctx: restate.Context) -> Case | None:
    if not CASES:
        return None
    case = CASES.get(ctx.request().headers.get(HEADER, ""))
    if case is None:
        raise TerminalError("this call belongs to no test case", status_code=400)
    return case


def note(name: str, value: Json) -> None:
    """What a run would keep in its state, also where it keeps none: `run`, `spent`, and `node:<path>` for each node."""
    if (case := current()) is not None:
        case.state.setdefault(_graph(), {})[name] = value


def _graph() -> str:
    service = cast(Any, context()).handler.service_tag.name
    return str(service).partition(".")[0]
