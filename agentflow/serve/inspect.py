"""What the engine's own tables say of a run: its invocation and those that it called, with attempts and last errors."""

from __future__ import annotations

import json
from dataclasses import dataclass

from agentflow.client import idempotency_key
from agentflow.serve.admin import Admin, Row, text
from agentflow.types import Json

COLUMNS = (
    "id, target, target_service_name, target_service_key, target_handler_name, idempotency_key, invoked_by_id, status, "
    "retry_count, next_retry_at, last_failure, last_failure_related_command_name, created_at, completed_at, "
    "completion_result, completion_failure"
)


@dataclass(frozen=True)
class Invocation:
    id: str
    service: str
    handler: str
    key: str | None
    status: str  # the engine's: running, suspended, backing-off, paused, scheduled, ..., completed
    result: str | None  # success or failure, once completed
    failure: str | None  # one line: of the last attempt, or of the whole
    attempts: int
    step: str | None  # the journal entry that the last attempt failed at
    next_try: str | None
    created: str | None
    ended: str | None


def find(admin: Admin, graph: str, key: str) -> Invocation | None:
    """A workflow's run by its key; a service's by the invocation's id or its idempotency key; the newest."""
    quoted, carried = text(key), text(idempotency_key(key))
    rows = admin.query(
        f"select {COLUMNS} from sys_invocation where target_service_name = {text(graph)} "
        f"and target_handler_name = 'run' "
        f"and (target_service_key = {quoted} or id = {quoted} or idempotency_key = {carried}) "
        f"order by created_at desc limit 1"
    )
    return _invocation(rows[0]) if rows else None


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


def state(admin: Admin, graph: str, key: str) -> dict[str, Json]:
    """What the run keeps in its own state."""
    rows = admin.query(
        f"select key, value_utf8 from state where service_name = {text(graph)} and service_key = {text(key)}"
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
        status=str(row["status"]),
        result=word("completion_result"),
        failure=first_line(failure) if failure else None,
        attempts=attempts if isinstance(attempts, int) else 0,
        step=word("last_failure_related_command_name"),
        next_try=word("next_retry_at"),
        created=word("created_at"),
        ended=word("completed_at"),
    )


def first_line(failure: str) -> str:
    """An error without its traceback, which may hold what is nobody's business."""
    line = failure.strip().splitlines()[0] if failure.strip() else failure
    return line if len(line) <= 300 else line[:297] + "..."
