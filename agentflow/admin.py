"""The engine's admin side: deployments, invocations and SQL over its tables. Also used by the client commands."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from agentflow.client import Answer, path, request
from agentflow.types import Json

Row = dict[str, Json]
MOVED = b"was shut down or removed"  # what it says of its former self
MOVES = 50  # times, a fifth of a second apart


def text(value: str) -> str:
    """A string as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"


@dataclass(frozen=True)
class Deployment:
    id: str
    uri: str
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Admin:
    url: str

    def ingress(self) -> str | None:
        """The address of the ingress, as the engine advertises it."""
        version = request("GET", f"{self.url}/version").checked()
        endpoint = version.get("ingress_endpoint") if isinstance(version, dict) else None
        return endpoint.rstrip("/") if isinstance(endpoint, str) else None

    def query(self, sql: str) -> list[Row]:
        answer = self._asked({"query": sql}).checked()
        rows = answer.get("rows") if isinstance(answer, dict) else None
        return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []

    def _asked(self, question: Json) -> Answer:
        """An engine that was killed and is back looks for its tables where they were, for a moment."""
        for _ in range(MOVES):
            answer = request("POST", f"{self.url}/query", question, timeout=30)
            if answer.status < 500 or MOVED not in answer.body:
                break
            time.sleep(0.2)
        return answer

    def deployments(self) -> list[Deployment]:
        answer = request("GET", f"{self.url}/deployments").checked()
        found = answer.get("deployments") if isinstance(answer, dict) else None
        return [_deployment(item) for item in found if isinstance(item, dict)] if isinstance(found, list) else []

    def latest(self, service: str) -> str | None:
        """The deployment that new invocations of `service` go to."""
        answer = request("GET", self.url + path("services", service))
        if answer.status == 404:
            return None
        data = answer.checked()
        return str(data["deployment_id"]) if isinstance(data, dict) else None

    def register(self, uri: str, metadata: dict[str, str], *, breaking: bool = False) -> str:
        """Make `uri` the newest deployment of its services; one that is registered stays what it was."""
        body: Json = {"uri": uri, "force": False, "breaking": breaking, "metadata": dict(metadata)}
        answer = request("POST", f"{self.url}/deployments", body, timeout=30).checked()
        return str(answer["id"]) if isinstance(answer, dict) else ""

    def move(self, deployment: str, uri: str) -> None:
        request("PATCH", self.url + path("deployments", deployment), {"uri": uri}, timeout=30).checked()

    def forget(self, deployment: str) -> None:
        target = self.url + path("deployments", deployment) + "?" + urlencode({"force": "true"})
        request("DELETE", target, timeout=30).checked()

    def pause(self, invocation: str) -> None:
        """Stop trying an invocation; one that does not run at the moment is left as it is."""
        request("PATCH", self.url + path("invocations", invocation, "pause"))

    def resume(self, invocation: str) -> None:
        """Try a paused invocation again, or one that is backing off now; any other is left as it is."""
        request("PATCH", self.url + path("invocations", invocation, "resume"))

    def cancel(self, invocation: str) -> None:
        request("PATCH", self.url + path("invocations", invocation, "cancel")).checked()

    def kill(self, invocation: str) -> None:
        """End an invocation at once: its code hears nothing of it. One that has ended is left as it is."""
        request("PATCH", self.url + path("invocations", invocation, "kill"))

    def purge(self, invocation: str) -> None:
        """Forget an invocation that has ended, and what a workflow keeps: its key may be used anew."""
        request("PATCH", self.url + path("invocations", invocation, "purge"))

    def write_state(self, service: str, key: str, state: Mapping[str, bytes]) -> None:
        """Put a state in the place of all that an object has under `key`."""
        values: Json = {name: list(value) for name, value in state.items()}
        body: Json = {"object_key": key, "new_state": values}
        request("POST", self.url + path("services", service, "state"), body).checked()


def _deployment(item: Row) -> Deployment:
    metadata = item.get("metadata")
    pairs = {key: str(value) for key, value in metadata.items()} if isinstance(metadata, dict) else {}
    return Deployment(str(item.get("id")), str(item.get("uri")), pairs)
