"""The restate-server as a child: its addresses, its small budget, and the wait until it is ready."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agentflow.admin import Admin
from agentflow.client import Refused, Unreachable, request
from agentflow.serve.child import Child
from agentflow.serve.errors import ServeError
from agentflow.serve.memory import STREAMS

NODE = "agentflow"  # fixed: an engine that starts under another name does not find its own data
PATIENCE = 60.0  # seconds until it must be ready
SMALL = {  # what a user sets goes before these
    "DO_NOT_TRACK": "1",
    "RESTATE_DISABLE_TELEMETRY": "true",
    "RESTATE_DEFAULT_NUM_PARTITIONS": "1",
    "RESTATE_ROCKSDB_TOTAL_MEMORY_SIZE": "128 MiB",
    # Runs that wait are at hand for a minute; of 1,000, the default, a few hundred would hold up new ones.
    "RESTATE_WORKER__INVOKER__CONCURRENT_INVOCATIONS_LIMIT": "10000",
    # Connections to the service, which keep memory there while they are open, are few and not kept for long.
    "RESTATE_WORKER__INVOKER__HTTP2_INITIAL_MAX_SEND_STREAMS": str(STREAMS),
    "RESTATE_WORKER__INVOKER__HTTP2_STREAMS_PER_CONNECTION_LIMIT": str(STREAMS),
    "RESTATE_WORKER__INVOKER__HTTP2_IDLE_CONNECTION_TIMEOUT": "30s",
    "RESTATE_LOG_FORMAT": "compact",
    "RESTATE_LOG_DISABLE_ANSI_CODES": "true",
}


@dataclass(frozen=True)
class Engine:
    """Where our engine listens, and where its data are."""

    binary: Path
    base: Path
    host: str
    ingress_port: int
    admin_port: int
    node_port: int
    more: Mapping[str, str] = field(default_factory=dict)  # of its environment

    @property
    def ingress(self) -> str:
        return f"http://{self._at(self.ingress_port)}"

    @property
    def admin(self) -> str:
        return f"http://{self._at(self.admin_port)}"

    def _at(self, port: int) -> str:
        return f"[{self.host}]:{port}" if ":" in self.host else f"{self.host}:{port}"

    async def start(self, log: Path) -> Child:
        command = [str(self.binary), "--base-dir", str(self.base), "--node-name", NODE, "--no-logo"]
        return await Child.start("engine", command, log, self._environment())

    def _environment(self) -> dict[str, str]:
        node = self._at(self.node_port)
        ours = {
            "RESTATE_LISTEN_MODE": "tcp",
            "RESTATE_BIND_ADDRESS": node,
            "RESTATE_ADVERTISED_ADDRESS": f"http://{node}/",
            "RESTATE_INGRESS__BIND_ADDRESS": self._at(self.ingress_port),
            "RESTATE_INGRESS__ADVERTISED_ADDRESS": f"{self.ingress}/",
            "RESTATE_ADMIN__BIND_ADDRESS": self._at(self.admin_port),
            "RESTATE_ADMIN__ADVERTISED_ADDRESS": f"{self.admin}/",
        }
        return {**SMALL, **os.environ, **ours, **self.more}

    async def ready(self, child: Child, log: Path) -> None:
        """Wait until our own child answers, and its tables with it: before, they cannot be asked."""
        waiting = asyncio.ensure_future(self._answers())
        ended = asyncio.ensure_future(child.ended())
        try:
            await asyncio.wait({waiting, ended}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                raise ServeError(f"the engine ended as it started ({ended.result()}): {_last_error(log)}")
            if not waiting.done():
                raise ServeError(f"the engine is not ready after {PATIENCE:.0f} s; see {log}")
        finally:
            waiting.cancel()
            ended.cancel()

    def knows(self, services: set[str]) -> bool:
        """Whether the ingress takes calls of these services: it hears of a registration a moment later."""
        answer = request("GET", f"{self.ingress}/restate/health", timeout=2).checked()
        known = answer.get("services") if isinstance(answer, dict) else None
        return services <= {str(name) for name in known} if isinstance(known, list) else False

    async def _answers(self) -> None:
        while True:
            if await asyncio.to_thread(self._is_ready):
                return
            await asyncio.sleep(0.05)

    def _is_ready(self) -> bool:
        try:
            if request("GET", f"{self.ingress}/restate/health", timeout=2).status != 200:
                return False
            Admin(self.admin).query("select count(*) as n from sys_invocation")
        except (Unreachable, Refused):
            return False
        return True


def _last_error(log: Path) -> str:
    """The last line of the log that says what is wrong."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 20_000))
        lines = file.read().decode("utf-8", "replace").splitlines()
    wrong = [line for line in lines if "ERROR" in line or "error" in line.lower() or "panic" in line]
    said = (wrong or lines or ["it said nothing"])[-1].strip()
    return f"{said} (see {log})"
