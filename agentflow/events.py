"""The events of a run: what each looks like, and how those that the run keeps in its state are read.

Every event has `seq`, from 0 and without gaps, `type`, and `at`, in seconds since 1970. A `run` event has the run's
`state`, and its `error`; a `node` event `node` (the path), its `state`, and what it `waits` for or its `error`; an
`emit` event `node`, `topic` and `data`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agentflow.types import Json

Event = dict[str, Any]

ENDS = frozenset({"succeeded", "failed", "rejected", "cancelled"})  # of a run


def is_end(event: Mapping[str, Any]) -> bool:
    """Whether the run has ended with this event: no other follows."""
    return event.get("type") == "run" and event.get("state") in ENDS


def of_state(state: Mapping[str, Any]) -> list[Event]:
    """The events of a run that keeps them in its state: the `log` of the run and of each node.

    An entry of a log is `[seq, state, at]`, and has a fourth part where there is more to say. The state may be
    read while it is written: what comes after a number that is not there yet is left for the next time.
    """
    found: list[Event] = []
    for name, about in state.items():
        if name == "run" or name.startswith("node:"):
            found += _logged(name, about)
    found.sort(key=lambda event: int(event["seq"]))
    return found[: sum(1 for _ in _gapless(found))]


def _logged(name: str, about: Mapping[str, Any]) -> Iterable[Event]:
    log: Sequence[Sequence[Any]] = about.get("log", ())
    of = {"type": "run"} if name == "run" else {"type": "node", "node": name.removeprefix("node:")}
    for number, entry in enumerate(log, 1):
        event: Event = {"seq": entry[0], **of, "state": entry[1], "at": entry[2]}
        if len(entry) > 3:
            event.update(entry[3])
        if number == len(log) and "error" in about and entry[1] == about["state"]:
            event["error"] = about["error"]
        yield event


def _gapless(events: Iterable[Event]) -> Iterable[Event]:
    for number, event in enumerate(events):
        if event["seq"] != number:
            return
        yield event


def without_log(about: Mapping[str, Any]) -> dict[str, Any]:
    """What `status` shows of a run or a node."""
    return {name: value for name, value in about.items() if name != "log"}


def question(start: int, wait: float, run: str | None = None) -> dict[str, Json]:
    """What the reader of a stream asks for: the events from `start`, after at most so many seconds, of that turn."""
    return {"from": start, "wait": f"{int(wait * 1000)}ms", **({} if run is None else {"run": run})}


def answer(events: Sequence[Event], start: int, ended: bool) -> dict[str, Any]:
    """What the reader of a stream is given: the events from `start`, and with which number to go on."""
    return {"events": list(events), "next": start + len(events), "ended": ended}
