"""Agrees with the engine on revisions: which are needed still, where each is, which is the newest, which can go."""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from agentflow.admin import Admin, Deployment, text
from agentflow.client import Refused
from agentflow.serve.errors import ServeError
from agentflow.serve.revisions import MANIFEST, Revision, Store

HOME = "agentflow-home"  # which data directory a deployment belongs to: an engine may be shared
REVISION = "agentflow-revision"
INTERFACE = "agentflow-interface"  # as JSON, see `manifest.interface`


def home_id(data_dir: Path) -> str:
    """The data directory's own name to the engine, made once; it moves with the directory."""
    file = data_dir / "id"
    if not file.exists():
        file.write_text(secrets.token_hex(8), encoding="utf-8")
    return file.read_text(encoding="utf-8").strip()


def _said(revision: Revision) -> dict[str, str]:
    """What `agentflow diff --deployed` compares with."""
    manifest = Path(revision.module).parent / MANIFEST
    described = json.loads(manifest.read_text(encoding="utf-8")) if manifest.exists() else {}
    return {INTERFACE: json.dumps(described["interface"])} if "interface" in described else {}


class Registry:
    def __init__(self, admin: Admin, store: Store, home: str) -> None:
        self._admin = admin
        self._store = store
        self._home = home

    def ours(self) -> dict[str, list[Deployment]]:
        """Our deployments by revision."""
        found: dict[str, list[Deployment]] = {}
        for deployment in self._admin.deployments():
            if deployment.metadata.get(HOME) == self._home:
                found.setdefault(deployment.metadata[REVISION], []).append(deployment)
        return found

    def needed(self, kept: Mapping[str, Revision], served: Collection[str] = ()) -> set[str]:
        """The revisions, of those registered, that still have runs to finish, or streams that nobody else keeps.

        `served` are the revisions that are there anyway.
        """
        running = self._admin.query(
            "select distinct pinned_deployment_id, target_service_name from sys_invocation where status <> 'completed'"
        )
        pinned = {row.get("pinned_deployment_id") for row in running}
        called = {row["target_service_name"] for row in running if not row.get("pinned_deployment_id")}
        offered = {service for name in served if name in kept for service in kept[name].services}
        needed: set[str] = set()
        for name, deployments in self.ours().items():
            revision = kept.get(name)
            private = {service for service in revision.services if name in service} if revision else set()
            alone = {f"{revision.graph}.stream"} & set(revision.services) - offered if revision else set()
            if pinned & {deployment.id for deployment in deployments} or called & (private | alone):
                needed.add(name)
        return needed

    def move(self, revisions: Iterable[Revision], base: str) -> None:
        """Bring the addresses of deployments up to date: the port may have changed since."""
        ours = self.ours()
        for revision in revisions:
            for deployment in ours.get(revision.hash, []):
                uri = base + urlsplit(deployment.uri).path
                if deployment.uri.rstrip("/") != uri.rstrip("/"):
                    self._admin.move(deployment.id, uri)

    def publish(self, revision: Revision, base: str) -> bool:
        """Make `revision` the one that new runs begin on; False where it is already.

        A revision that was the newest once, and is again, is registered under another address: the engine
        leaves a deployment that it knows where it was in the order.
        """
        registered = self.ours().get(revision.hash, [])
        if self._admin.latest(revision.graph) in {deployment.id for deployment in registered}:
            return False
        taken = {urlsplit(deployment.uri).path.rstrip("/") for deployment in registered}
        plain = f"/rev/{revision.hash}"
        paths = (plain if number == 1 else f"{plain}.{number}" for number in range(1, len(taken) + 2))
        uri = base + next(path for path in paths if path not in taken)
        metadata = {HOME: self._home, REVISION: revision.hash, "agentflow-graph": revision.graph, **_said(revision)}
        try:
            self._admin.register(uri, metadata)
        except Refused as refused:
            if not self._changes_kind(revision, refused):
                raise ServeError(f"the engine refuses {revision.graph}: {refused.message}") from None
            self._admin.register(uri, metadata, breaking=True)
        return True

    def _changes_kind(self, revision: Revision, refused: Refused) -> bool:
        """Whether the graph only became another kind, with no run of the old kind left to break."""
        if refused.status not in (400, 409) or self._admin.latest(revision.graph) is None:
            return False
        runs = self._admin.query(
            f"select count(*) as n from sys_invocation where status <> 'completed' "
            f"and target_service_name = {text(revision.graph)}"
        )
        if runs and runs[0]["n"]:
            raise ServeError(
                f"{revision.graph} was served as another kind, and {runs[0]['n']} runs of that are not finished: "
                f"finish or cancel them, or serve it from another --data-dir"
            )
        return True

    def resume(self, loaded: Iterable[Revision], *statuses: str) -> int:
        """Try again now what waits for its next try or for a person; how many. The code may have been mended."""
        ours = self.ours()
        answered = {deployment.id for revision in loaded for deployment in ours.get(revision.hash, [])}
        wanted = ", ".join(text(status) for status in statuses)
        stuck = self._admin.query(
            f"select id, coalesce(pinned_deployment_id, last_attempt_deployment_id) as deployment "
            f"from sys_invocation where status in ({wanted})"
        )
        found = [str(row["id"]) for row in stuck if row.get("deployment") in answered]
        for invocation in found:
            self._admin.resume(invocation)
        return len(found)

    def forget_drained(self, keep: Iterable[str]) -> list[str]:
        """Drop the revisions that are neither needed nor in `keep`, from the engine and from the disk."""
        kept = self._store.kept()
        keep = set(keep)
        keep |= self.needed(kept, keep)
        ours = self.ours()
        drained = [name for name in {**kept, **ours} if name not in keep]
        for name in drained:
            for deployment in ours.get(name, []):
                self._admin.forget(deployment.id)
        self._store.forget(drained)
        return drained
