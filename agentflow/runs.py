"""A run as its state and the engine's own tables tell it: nodes, waits, attempts, last errors."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agentflow import events, journals
from agentflow.admin import Admin, Row, text
from agentflow.client import idempotency_key

COLUMNS = (
    "id, target, target_service_name, target_service_key, target_handler_name, idempotency_key, invoked_by_id, status, "
    "retry_count, next_retry_at, last_failure, last_failure_related_command_name, created_at, completed_at, "
    "completion_result, completion_failure"
)


ENTRIES = ("run", "message", "turn")  # the handlers that a run can be; `turn` is private to an object
TROUBLED = ("backing-off", "paused")

TOPIC = "topic:"  # under which a stream keeps the last event of each topic

Status = dict[str, Any]  # run, nodes by path, waiting, spent; times are seconds since 1970


@dataclass(frozen=True)
class Invocation:
    id: str
    service: str
    handler: str
    key: str | None
    workflow: bool
    status: str  # the engine's: running, suspended, backing-off, paused, scheduled, ..., completed
    result: str | None  # success or failure, once completed
    failure: str | None  # one line: of the last attempt, or of the whole
    attempts: int
    step: str | None  # the journal entry that the last attempt failed at
    next_try: str | None
    caller: str | None  # the invocation that called it
    created: str | None
    ended: str | None


def find(admin: Admin, graph: str, key: str) -> Invocation | None:
    """A workflow's run by its key; a service's by the invocation's id or its idempotency key; the newest.

    Of an object it is the turn that runs under the key, else the next in the queue, else the last. An object whose
    messages interrupt takes them in at `message`, and works on them in `turn`.
    """
    quoted, carried = text(key), text(idempotency_key(key))
    rows = admin.query(
        f"select {COLUMNS} from sys_invocation where target_service_name = {text(graph)} "
        f"and target_handler_name in {ENTRIES} "
        f"and (target_service_key = {quoted} or id = {quoted} or idempotency_key = {carried}) "
        f"order by created_at desc limit 1000"
    )
    found = [_invocation(row) for row in rows]
    turns = [one for one in found if one.handler == "turn"]
    return min(turns or found, key=_urgency, default=None)


def messages(admin: Admin, graph: str, key: str) -> list[Invocation]:
    """What an object was told under a key, and when it was reset, in that order."""
    rows = admin.query(
        f"select {COLUMNS} from sys_invocation where target_service_name = {text(graph)} "
        f"and target_service_key = {text(key)} and target_handler_name in ('message', 'reset') order by created_at"
    )
    return [_invocation(row) for row in rows]


def _urgency(run: Invocation) -> int:
    """Of the invocations of one key, which is meant: `min` takes the first, and so the newest, of the most urgent."""
    return 2 if run.status == "completed" else 1 if run.status in ("pending", "inboxed") else 0


def called(admin: Admin, root: Invocation) -> list[Invocation]:
    """Every invocation that the run called, directly or not."""
    found: list[Invocation] = []
    callers = [root.id]
    while callers:
        ids = ", ".join(text(caller) for caller in callers)
        rows = admin.query(f"select {COLUMNS} from sys_invocation where invoked_by_id in ({ids})")
        level = [_invocation(row) for row in rows]
        found += level
        callers = [invocation.id for invocation in level]
    return found


def state(admin: Admin, service: str, key: str, prefix: str = "") -> dict[str, Any]:
    """What is kept under a key: by a run of its own, by a stream; of an object all but its conversation."""
    rows = admin.query(
        f"select key, value_utf8 from state where service_name = {text(service)} and service_key = {text(key)}"
        + (f" and starts_with(key, {text(prefix)})" if prefix else " and not starts_with(key, 'session')")
    )
    return {str(row["key"]): json.loads(str(row["value_utf8"])) for row in rows}


def _invocation(row: Row) -> Invocation:
    def word(name: str) -> str | None:
        value = row.get(name)
        return None if value is None else str(value)

    failure = word("completion_failure") or word("last_failure")
    attempts = row.get("retry_count")
    return Invocation(
        id=str(row["id"]),
        service=str(row["target_service_name"]),
        handler=str(row["target_handler_name"]),
        key=word("target_service_key") or word("idempotency_key"),
        workflow=row.get("target_service_key") is not None,
        status=str(row["status"]),
        result=word("completion_result"),
        failure=first_line(failure) if failure else None,
        attempts=attempts if isinstance(attempts, int) else 0,
        step=word("last_failure_related_command_name"),
        next_try=word("next_retry_at"),
        caller=word("invoked_by_id"),
        created=word("created_at"),
        ended=word("completed_at"),
    )


def first_line(failure: str) -> str:
    """An error without its traceback, which may hold what is nobody's business."""
    line = failure.strip().splitlines()[0] if failure.strip() else failure
    line = line.removeprefix("[500 Internal] ")  # what the engine calls an error that may pass
    return line if len(line) <= 300 else line[:297] + "..."


def status(admin: Admin, graph: str, key: str) -> Status | None:
    """All that is known of a run, also while the service does not answer; None where there is no such run."""
    run = find(admin, graph, key)
    if run is None:
        return None
    told = told_by(state(admin, graph, key))
    about = told["run"]
    about.setdefault("graph", graph)
    about.setdefault("key", run.key)
    about.setdefault("state", _state(run))
    if run.result == "failure":
        about.setdefault("error", {"message": run.failure})
    if not told["nodes"]:  # a service keeps no state
        family = called(admin, run)
        decided = [one for one in family if one.service == f"{graph}.approvals"]  # or open, which `add` tells
        steps = [one.id for one in (run, *family) if one not in decided]
        told["nodes"] = journals.nodes(admin, steps, over=run.status == "completed")
        told["nodes"].update({(gate.key or "").partition("/")[2]: {"state": "succeeded"} for gate in decided})
    add(told, run.id, troubles(admin, run), gates(admin, run))
    last = state(admin, f"{graph}.stream", str(run.key) if run.workflow and run.handler == "run" else run.id, TOPIC)
    add_topics(told, {name.removeprefix(TOPIC): event for name, event in last.items()})
    return told


def is_told(key: str) -> bool:
    """Whether a key of the state is about the run; an object keeps its conversation beside it."""
    return key in ("run", "spent") or key.startswith("node:")


def told_by(state: Mapping[str, Any]) -> Status:
    """What a run has written to its state."""
    found = {
        name.removeprefix("node:"): events.without_log(value)
        for name, value in state.items()
        if name.startswith("node:")
    }
    nodes = dict(sorted(found.items(), key=lambda item: (item[1].get("started", item[1].get("ended", 0)), item[0])))
    told = {
        "run": events.without_log(state.get("run", {})),
        "nodes": nodes,
        "waiting": [],
        "spent": state.get("spent", {}),
    }
    _add_waits(told)
    return told


def add_topics(told: Status, last: Mapping[str, Mapping[str, Any]]) -> None:
    """Puts the last event of each topic that was emitted."""
    if last:
        told["topics"] = {topic: {**event} for topic, event in sorted(last.items())}


def _add_waits(told: Status) -> None:
    """What the run waits for. It is waiting when people are asked, and nothing runs but what holds these questions."""
    nodes = told["nodes"]
    asked = [path for path, node in nodes.items() if node.get("state") == "waiting"]
    told["waiting"] = [{"node": path, **nodes[path]["waits"]} for path in asked]
    holding = {path[:at] for path in asked for at, sign in enumerate(path) if sign == "."}
    busy = any(node.get("state") == "running" and path not in holding for path, node in nodes.items())
    if told["run"].get("state") == "running" and asked and not busy:
        told["run"]["state"] = "waiting"


def gates(admin: Admin, run: Invocation) -> list[dict[str, Any]]:
    """The run's approvals that are open, also of nodes of which the run itself has not heard yet."""
    own = f"{run.id.removeprefix('inv_')}."
    beginning = own if not run.workflow else f"{run.key}/" if run.handler == "run" else f"{run.key}."
    rows = admin.query(
        f"select value_utf8 from state where service_name = {text(f'{run.service}.approvals')} and key = 'gate' "
        f"and starts_with(service_key, {text(beginning)})"
    )
    found = [json.loads(str(row["value_utf8"])) for row in rows]
    found = [gate for gate in found if str(gate["run"]).startswith(own)]  # other keys may begin like its own
    names = ("id", "kind", "node", "message", "approvers", "deadline")
    return [{name: gate.get(name) for name in names} for gate in found if gate.get("state") == "open"]


def troubles(admin: Admin, run: Invocation) -> list[dict[str, Any]]:
    """What the engine tries again, or has paused, of a run and those that it called."""
    return [
        {
            "step": invocation.step,
            "handler": invocation.handler,
            "attempts": invocation.attempts,
            "last_error": invocation.failure,
            "next_try": invocation.next_try,
            "engine": invocation.status,
        }
        for invocation in (run, *called(admin, run))
        if invocation.status in TROUBLED
    ]


def add(
    told: Status, invocation: str, found: Iterable[Mapping[str, Any]], opened: Iterable[Mapping[str, Any]] = ()
) -> None:
    """Puts troubles to the nodes that they belong to: by the step that failed, else by its handler; else to the run."""
    told["run"]["invocation"] = invocation
    for gate in opened:
        node = told["nodes"].setdefault(gate["node"], {})
        asked = {
            "kind": gate.get("kind") or "approval",
            "id": gate["id"],
            "message": gate["message"],
            "until": gate["deadline"],
        }
        node.update(state="waiting", waits={**asked, "approvers": gate["approvers"]})
    _add_waits(told)
    paths = sorted(told["nodes"], key=len, reverse=True)
    for trouble in found:
        step = (trouble["step"] or "").partition("#")[0]
        by_step = [path for path in paths if step == path or step.startswith(f"{path}.")]
        by_handler = [path for path in paths if trouble["handler"] == path.replace(".", "__")]
        places = by_step or by_handler
        place = told["nodes"][places[0]] if places else told["run"]
        place.update({name: value for name, value in trouble.items() if name not in ("step", "handler")})


def _state(run: Invocation) -> str:
    if run.status != "completed":
        return "running"
    if run.result == "success":
        return "succeeded"
    return "cancelled" if (run.failure or "").startswith(("[409]", "[499]")) else "failed"
