"""A real engine and a service that can be killed, for the server tests."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentflow.client import Answer, Unreachable, path, request
from agentflow.serve.admin import Admin
from agentflow.serve.binary import find

HOST = Path(__file__).with_name("host.py")
PROJECT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def until(check: Callable[[], Any], seconds: float = 30, what: str = "it") -> Any:
    """Waits until `check` gives something true, and returns that."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = check()
        if found:
            return found
        time.sleep(0.03)
    raise AssertionError(f"{what} did not happen in {seconds} s: {check.__doc__ or check}")


class Engine:
    """A restate-server of the test's own."""

    def __init__(self, base: Path, inactivity: str) -> None:
        self.ingress_port, self.admin_port, node = free_port(), free_port(), free_port()
        self.ingress = f"http://127.0.0.1:{self.ingress_port}"
        self.admin = Admin(f"http://127.0.0.1:{self.admin_port}")
        self.inactivity = inactivity
        environment = {
            **os.environ,
            "DO_NOT_TRACK": "1",
            "RESTATE_DEFAULT_NUM_PARTITIONS": "1",
            "RESTATE_ROCKSDB_TOTAL_MEMORY_SIZE": "128 MiB",
            "RESTATE_LISTEN_MODE": "tcp",
            "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}",
            "RESTATE_ADVERTISED_ADDRESS": f"http://127.0.0.1:{node}/",
            "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{self.ingress_port}",
            "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{self.admin_port}",
            "RESTATE_WORKER__INVOKER__INACTIVITY_TIMEOUT": inactivity,
        }
        base.mkdir(parents=True, exist_ok=True)
        command = [str(find(print)), "--base-dir", str(base), "--node-name", "test", "--no-logo"]
        self._log = (base / "engine.log").open("wb")
        self.process = subprocess.Popen(command, env=environment, stdout=self._log, stderr=subprocess.STDOUT)
        until(self._ready, 60, "the engine's start")

    def _ready(self) -> bool:
        assert self.process.poll() is None, "the engine ended"
        try:
            self.admin.query("select count(*) as n from sys_invocation")
            return request("GET", f"{self.ingress}/restate/health", timeout=2).status == 200
        except Exception:  # not yet
            return False

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self._log.close()


@dataclass
class Service:
    """The process that the engine calls. It keeps its port over kills; effects are lines of a file."""

    engine: Engine
    modules: list[Path]
    folder: Path
    root: Path = PROJECT
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.port = free_port()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.effects_file = self.folder / "effects.jsonl"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Service:
        environment = {
            **os.environ,
            "AGENTFLOW_OFFLINE": "1",
            "AGENTFLOW_ADMIN": self.engine.admin.url,
            "AGENTFLOW_TEST_EFFECTS": str(self.effects_file),
            "PYTHONPATH": str(PROJECT),
            **self.environment,
        }
        command = [sys.executable, str(HOST), str(self.port), str(self.root), *map(str, self.modules)]
        with (self.folder / "service.log").open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        until(self._listening, 30, "the service's start")
        return self

    def _listening(self) -> bool:
        assert self.process is not None and self.process.poll() is None, (self.folder / "service.log").read_text()[-3000:]
        with socket.socket() as trial:
            return trial.connect_ex(("127.0.0.1", self.port)) == 0

    def register(self) -> Service:
        self.engine.admin.register(f"http://127.0.0.1:{self.port}", {})
        return self

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def effects(self) -> list[dict[str, Any]]:
        if not self.effects_file.exists():
            return []
        return [json.loads(line) for line in self.effects_file.read_text().splitlines()]

    # ------------------------------------------------------------ callers

    def call(self, graph: str, key: str | None, handler: str = "run", body: Any = None, timeout: float = 60) -> Answer:
        segments = [graph, handler] if key is None else [graph, key, handler]
        return request("POST", self.engine.ingress + path(*segments), body, timeout=timeout)

    def run(self, graph: str, key: str | None, given: Any, timeout: float = 60) -> Any:
        """The output, or Refused with the run's error."""
        return self.call(graph, key, "run", given, timeout).checked()

    def send(self, graph: str, key: str | None, given: Any) -> str:
        segments = [graph, "run", "send"] if key is None else [graph, key, "run", "send"]
        answer: Any = request("POST", self.engine.ingress + path(*segments), given).checked()
        invocation: str = answer["invocationId"]
        return invocation

    def result(self, graph: str, key: str, timeout: float = 60) -> Any:
        """The result of a workflow that was sent."""
        url = self.engine.ingress + "/restate/workflow" + path(graph, key) + "/attach"
        return request("GET", url, timeout=timeout).checked()

    def attach(self, invocation: str, timeout: float = 60) -> Any:
        url = self.engine.ingress + "/restate/invocation" + path(invocation) + "/attach"
        return request("GET", url, timeout=timeout).checked()

    def status(self, graph: str, key: str) -> dict[str, Any]:
        try:
            answer = self.call(graph, key, "status", timeout=20)
        except Unreachable:
            return {}
        data: Any = answer.json() if answer.status == 200 else {}
        return data if isinstance(data, dict) else {}

    def decide(self, graph: str, gate: str, decision: str, **more: Any) -> Answer:
        """`gate` is the run's key and the node's path, `42/sign_off`."""
        body = {"decision": decision, **more}
        return request("POST", self.engine.ingress + path(f"{graph}.approvals", gate, "decide"), body, timeout=30)

    def open_gates(self, graph: str) -> list[dict[str, Any]]:
        rows = self.engine.admin.query(
            f"select value_utf8 from state where service_name = '{graph}.approvals' and key = 'gate'"
        )
        gates = [json.loads(str(row["value_utf8"])) for row in rows]
        return [gate for gate in gates if gate["state"] == "open"]
