"""Where a rehearsal takes the place of models, tools and time: `agentflow test` runs its cases so, see `stage`.

Outside of one nothing here does anything. In one, an invocation belongs to the case that a header names.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import restate
from restate.exceptions import TerminalError
from restate.extensions import current_context

from agentflow.types import Json

if TYPE_CHECKING:
    from agentflow.runtime.stage import Case

HEADER = "agentflow-case"
RUN = "agentflow-run"  # of whom an invocation of a graph's own works for
PLACE = "agentflow-place"  # of the run, among those that a case is: by which nodes it was called
REAL = object()  # what a case says of a tool that is to be called itself

LATER = "rehearsal.later"  # a service of a rehearsal's own

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
        case.state.setdefault(run_of(cast(restate.Context, context())), {})[name] = value


def called(name: str, args: Json, run: str, path: str) -> None:
    """A call that is started rather than made in a step: of a tool that waits elsewhere, or of a graph."""
    if (case := current()) is not None:
        case.called(name, args, f"{run}:{path}")


def place() -> str:
    """Of the run that is at work: the node by which its caller called it, after its caller's; empty of the first."""
    ctx = context() if CASES else None
    return "" if ctx is None else ctx.request().headers.get(PLACE, "")


def headers(path: str) -> dict[str, str]:
    """What a run that is called, or sent, at a node is told of its place."""
    return {PLACE: f"{place()}/{path}".lstrip("/")} if CASES else {}


def send_later(
    ctx: restate.Context, service: str, handler: str, body: bytes, key: str | None, milliseconds: float, path: str
) -> None:
    """Sends after a time that is the case's; see `stage.later`."""
    order = {"service": service, "handler": handler, "body": body.decode(), "key": key, "after": milliseconds}
    ctx.generic_send(LATER, "send", json.dumps(order).encode(), headers=headers(path))


def run_of(ctx: restate.Context) -> str:
    """The run, or the object, that an invocation works for: `graph/key`, or `graph/invocation` where it has no key."""
    about: Any = ctx
    service = str(about.handler.service_tag.name)
    if "." in service:  # of the run's own, which called it
        return ctx.request().headers.get(RUN, service)
    return f"{service}/{about.key() or ctx.request().id}"
