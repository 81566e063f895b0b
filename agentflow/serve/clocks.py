"""Sets the clocks of the graphs that are served, and stops those of graphs that are not, or no longer have one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agentflow.admin import Admin, text
from agentflow.client import Ingress
from agentflow.serve.revisions import Revision

KEY = "clock"  # of the object; see agentflow.runtime.schedules


def settle(admin: Admin, ingress: Ingress, served: Iterable[Revision], kept: Mapping[str, Revision]) -> list[str]:
    """What was done, one line for each clock that begins or ends. To be done before older revisions are forgotten.

    `kept`: all revisions of this data directory. A graph that is not served now keeps its clock's state, and goes on
    from it when it is served again; one whose schedule was removed loses it.
    """
    said = []
    graphs = {revision.graph: revision for revision in served}
    known = {revision.graph for revision in (*kept.values(), *graphs.values()) if _clock(revision) in revision.services}
    for graph in sorted(known):
        revision, name = graphs.get(graph), f"{graph}.schedule"
        if revision is not None and name in revision.services:
            ingress.tell(name, KEY, "ensure")
            said.append(f"{graph} starts by its schedule; see: agentflow schedule list")
        elif stop(admin, name, forget=revision is not None):
            said.append(f"the schedule of {graph} is stopped")
    return said


def _clock(revision: Revision) -> str:
    return f"{revision.graph}.schedule"


def stop(admin: Admin, service: str, *, forget: bool) -> bool:
    """Ends the ticks that wait; whether there was anything to end. They are ours, and hold nothing that is undone."""
    waiting = admin.query(
        f"select id from sys_invocation where target_service_name = {text(service)} and status <> 'completed'"
    )
    for row in waiting:
        admin.kill(str(row["id"]))
    states = admin.query(f"select key from state where service_name = {text(service)} limit 1") if forget else []
    if states:
        admin.write_state(service, KEY, {})
    return bool(waiting or states)
