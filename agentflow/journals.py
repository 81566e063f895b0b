"""The nodes of a run as the engine's journals tell them, where the run keeps no state of its own: a service's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from agentflow.admin import Admin, Row, text

NodeState = dict[str, Any]  # state, started, ended (seconds since 1970), attempts, last_error, error

_OURS = ("start", "end")  # steps of the run itself


def nodes(admin: Admin, invocations: Iterable[str], *, over: bool) -> dict[str, NodeState]:
    """Each node that has begun a durable step, by its path. `over`: the run has ended."""
    ids = ", ".join(text(invocation) for invocation in invocations)
    rows = admin.query(
        f"select id, index, name, entry_json, appended_at from sys_journal where id in ({ids}) "
        "and entry_type in ('Command: Run', 'Notification: Run', 'Command: Sleep', 'Notification: Sleep') "
        "order by appended_at"
    )
    found: dict[str, NodeState] = {}
    steps: dict[tuple[str, int], NodeState] = {}
    for row in rows:
        entry = json.loads(str(row["entry_json"]))
        if "Sleep" in entry.get("Command", {}) or "Sleep" in entry.get("Notification", {}).get("Completion", {}):
            _timer(row, entry, found, steps)
        elif "Command" in entry:
            path = node_of(str(row["name"]))
            if path is not None:
                node = found.setdefault(path, {"started": _seconds(row)})
                node["state"] = "running"
                steps[(str(row["id"]), entry["Command"]["Run"]["completion_id"])] = node
        else:
            completion = entry["Notification"]["Completion"]["Run"]
            finished = steps.get((str(row["id"]), completion["completion_id"]))
            if finished is not None:
                _finish(finished, completion["result"], _seconds(row))
    if over:
        for node in found.values():
            if node["state"] == "waiting":  # somebody else was faster
                node.pop("waits")
                node["state"] = "cancelled"
    latest = max(found.values(), key=lambda node: float(node["started"]), default=None)
    if latest is not None and not over and latest["state"] == "succeeded":
        latest["state"] = "running"  # between two of its steps, as far as a journal shows
    return found


def _timer(
    row: Row, entry: dict[str, Any], found: dict[str, NodeState], steps: dict[tuple[str, int], NodeState]
) -> None:
    """A `wait` has begun, or is over. Other timers have no name, and tell of no node."""
    if "Command" not in entry:
        waited = steps.get((str(row["id"]), entry["Notification"]["Completion"]["Sleep"]["completion_id"]))
        if waited is not None:
            waited.pop("waits", None)
            waited.update(state="succeeded", ended=_seconds(row))
        return
    sleep = entry["Command"]["Sleep"]
    if not row.get("name"):
        return
    until = datetime.fromtimestamp(sleep["wake_up_time"] / 1000, UTC).isoformat(timespec="milliseconds")
    waits = {"kind": "wait", "until": until.replace("+00:00", "Z")}
    node = found.setdefault(str(row["name"]), {"started": _seconds(row)})
    node.update(state="waiting", waits=waits)
    steps[(str(row["id"]), sleep["completion_id"])] = node


def node_of(step: str) -> str | None:
    """The node that a step belongs to: `booking` of `booking.model#1`; None for what undoes, and for the run's own."""
    if step in _OURS or step.startswith("undo "):
        return None
    return re.sub(r"\.[A-Za-z0-9_]+#\d.*$", "", step).removesuffix(".ended")


def _finish(node: NodeState, result: dict[str, Any], at: float) -> None:
    node.update(state="succeeded", ended=at)
    success = result.get("Success")
    outcome: dict[str, Any] = {"failed": {"message": "failed"}} if success is None else json.loads(bytes(success))
    if int(outcome.get("tries", 1)) > 1:
        node["attempts"] = outcome["tries"]
    if "last_error" in outcome:
        node["last_error"] = outcome["last_error"]
    failed = outcome.get("failed")
    if failed is not None and not failed.get("told"):
        node.update(state="failed", error={"message": failed["message"]})


def _seconds(row: Row) -> float:
    return datetime.fromisoformat(str(row["appended_at"])).timestamp()
