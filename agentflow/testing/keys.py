"""Frees keys: where cases name the keys of runs themselves, none finds what another has left under the same one."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from agentflow.admin import Admin, Row, text


def free(admin: Admin, family: Sequence[Row], graphs: Collection[str]) -> None:
    """Ends and forgets what invocations of these graphs did, of all of a case's, and what they keep."""
    ours = [row for row in family if str(row["target_service_name"]).partition(".")[0] in graphs]
    for row in ours:
        if row["status"] != "completed":
            admin.kill(str(row["id"]))
    while _alive(admin, ours):
        time.sleep(0.02)
    for row in ours:
        admin.purge(str(row["id"]))
    keyed = [row for row in ours if row.get("target_service_key") is not None]
    for service, key in {(str(row["target_service_name"]), str(row["target_service_key"])) for row in keyed}:
        if admin.query(f"select key from state where service_name = {text(service)} and service_key = {text(key)}"):
            admin.write_state(service, key, {})


def _alive(admin: Admin, rows: Sequence[Row]) -> bool:
    ids = ", ".join(text(str(row["id"])) for row in rows)
    return bool(rows) and bool(
        admin.query(f"select id from sys_invocation where id in ({ids}) and status <> 'completed'")
    )
