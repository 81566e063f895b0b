"""A real engine and services that can be killed, for the server tests."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ports import free_port
from tied import tied

from agentflow.admin import Admin, text
from agentflow.client import Answer, Refused, Unreachable, path, request
from agentflow.driver import Built, Invalid, build
from agentflow.serve.binary import find

HOST = Path(__file__).with_name("host.py")
PROJECT = Path(__file__).parents[2]
EXAMPLES = PROJECT / "tools"
DESK = Path(__file__).parent / "project" / "tools"

MODELS = """
models:
  default: {model: gemini-2.5-flash, retry: {attempts: 5, initial: 50ms, max: 500ms}}
"""
TOOLS = """
tools:
  act:       {python: "tools.desk:act", compensate: {tool: undo_act, with: {id: "{{ result.id }}"}}}
  maybe:     {python: "tools.desk:act", compensate: {tool: undo_try, on: attempted, with: {name: "{{ args.name }}"}}}
  brief:
    python: "tools.desk:act"
    timeout: 300ms
    retry: {attempts: 1}
    compensate: {tool: undo_act, with: {id: "{{ result.id }}"}}
  undo_act:  {python: "tools.desk:undo_act", retry: {attempts: 2, initial: 10ms}}
  undo_try:  {python: "tools.desk:undo_try"}
  work:      {python: "tools.desk:work"}
  once:      {python: "tools.desk:work", retry: {attempts: 1}}
  look:      {python: "tools.desk:look", effect: read}
  tell:      {python: "tools.desk:tell"}
  count:     {python: "tools.desk:count"}
  journaled: {python: "tools.desk:journaled"}
"""


def until(check: Callable[[], Any], seconds: float = 30, what: str = "it") -> Any:
    """Waits until `check` gives something true, and returns that."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = check()
        if found:
            return found
        time.sleep(0.03)
    raise AssertionError(f"{what} did not happen in {seconds} s: {check.__doc__ or check}")


def graph(name: str, body: str) -> str:
    """The text of a graph that has the desk's tools, and a model."""
    return f"agentflow: 1\ngraph: {name}\n{MODELS}{TOOLS}{body}"


class Engine:
    """A restate-server of the test's own. It keeps its ports and its data over restarts."""

    def __init__(self, base: Path, inactivity: str) -> None:
        self.base = base
        self.ingress_port, self.admin_port, self.node_port = free_port(), free_port(), free_port()
        self.ingress = f"http://127.0.0.1:{self.ingress_port}"
        self.admin = Admin(f"http://127.0.0.1:{self.admin_port}")
        self.inactivity = inactivity
        self.start()

    def start(self) -> None:
        environment = {
            **os.environ,
            "DO_NOT_TRACK": "1",
            "RESTATE_DEFAULT_NUM_PARTITIONS": "1",
            "RESTATE_ROCKSDB_TOTAL_MEMORY_SIZE": "128 MiB",
            "RESTATE_LISTEN_MODE": "tcp",
            "RESTATE_BIND_ADDRESS": f"127.0.0.1:{self.node_port}",
            "RESTATE_ADVERTISED_ADDRESS": f"http://127.0.0.1:{self.node_port}/",
            "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{self.ingress_port}",
            "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{self.admin_port}",
            "RESTATE_WORKER__INVOKER__INACTIVITY_TIMEOUT": self.inactivity,
            "RESTATE_WORKER__INVOKER__CONCURRENT_INVOCATIONS_LIMIT": "10000",  # as `serve` sets it
            "RESTATE_WORKER__INVOKER__ABORT_TIMEOUT": "2s",  # of 10 minutes: whatever leans on it shows
        }
        self.base.mkdir(parents=True, exist_ok=True)
        command = [str(find(print)), "--base-dir", str(self.base), "--node-name", "test", "--no-logo"]
        with (self.base / "engine.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=subprocess.STDOUT, preexec_fn=tied
            )
        until(self._ready, 60, "the engine's start")

    def _ready(self) -> bool:
        assert self.process.poll() is None, "the engine ended"
        try:
            self.admin.query("select count(*) as n from sys_invocation")
            return request("GET", f"{self.ingress}/restate/health", timeout=2).status == 200
        except (Unreachable, Refused):  # not yet
            return False

    def stop(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def invocations(self, where: str) -> list[dict[str, Any]]:
        return self.admin.query(f"select * from sys_invocation where {where}")


class Zygote:
    """The process that services are forked from; see host.py."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
        command = [sys.executable, str(HOST)]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def fork(self, **order: Any) -> int:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return int(self._line())

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass
class Service:
    """The process that the engine calls. It keeps its port over kills; effects are lines of a file."""

    engine: Engine
    zygote: Zygote
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    modules: dict[str, Built] = field(default_factory=dict)  # by graph
    tools: tuple[Path, ...] = (DESK,)

    def __post_init__(self) -> None:
        self.port = free_port()
        self.root = self.folder / "project"
        self.root.mkdir(parents=True)
        for tools in self.tools:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(tools, self.root / "tools", ignore=ignored, dirs_exist_ok=True)
        self.effects_file = self.folder / "effects.jsonl"
        self.ledger_file = self.folder / "ledger.jsonl"
        self.steps_file = self.folder / "steps.jsonl"
        self.control_file = self.folder / "control.json"
        self.held_file = self.folder / "held"  # while it is there, a service that was to stand still does
        self.log = self.folder / "service.log"
        self.pid: int | None = None
        self.special = False  # started with an environment that is not the module's

    def add(self, source: str | Path) -> Built:
        """Compiles a graph: its text, or its file, which has its offline replies beside it."""
        if isinstance(source, Path):
            self.replies(source.stem, source.with_suffix(".replies.yaml").read_text())
            source = source.read_text()
        found = re.search(r"^graph: (\w+)", source, re.MULTILINE)
        assert found is not None
        name = found[1]
        file = self.root / f"{name}.yaml"
        file.write_text(source)
        try:
            built = build(file, self.folder / "build")
        except Invalid as invalid:
            found_wrong = [f"{name}:{d.span.line}: {d.code}: {d.message}" for d in invalid.result.diagnostics]
            pytest.fail("\n".join(found_wrong), pytrace=False)
        self.modules[name] = built
        return built

    def replies(self, graph: str, replies: str) -> None:
        file = self.folder / f"{graph}.replies.yaml"
        file.write_text(replies)
        self.environment[f"AGENTFLOW_REPLIES_{graph.upper()}"] = str(file)

    def start(self, **more: str) -> Service:
        """`more` is added to the environment of this start only."""
        self.special = bool(more)
        environment = {
            **os.environ,
            "AGENTFLOW_OFFLINE": "1",
            "AGENTFLOW_ADMIN": self.engine.admin.url,
            "AGENTFLOW_TEST_EFFECTS": str(self.effects_file),
            "EXAMPLES_LEDGER": str(self.ledger_file),
            "PYTHONPATH": str(PROJECT),
            "PYTHONDONTWRITEBYTECODE": "1",
            **self.environment,
            **more,
        }
        modules = [str(built.module_path) for built in self.modules.values()]
        self.pid = self.zygote.fork(
            port=self.port, root=str(self.root), modules=modules, environment=environment, log=str(self.log)
        )
        until(self._listening, 30, "the service's start")
        return self

    def _listening(self) -> bool:
        if not self.alive():
            assert self.special, self.log.read_text()[-3000:]  # it may be about to die by its own hand
            return True
        with socket.socket() as trial:
            return trial.connect_ex(("127.0.0.1", self.port)) == 0

    def alive(self) -> bool:
        if self.pid is None:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def register(self) -> Service:
        self.engine.admin.register(f"http://127.0.0.1:{self.port}", {})
        return self

    def kill(self) -> None:
        """kill -9."""
        if self.pid is not None:
            if self.alive():
                os.kill(self.pid, signal.SIGKILL)
            until(lambda: not self.alive(), 10, "the service's end")
            self.pid = None

    def restart(self, **more: str) -> None:
        self.kill()
        self.start(**more)

    def memory(self) -> int:
        """Bytes in use by the service."""
        status = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("Private_")) * 1024

    # ------------------------------------------------------------ what the desk does

    def control(self, **tools: Mapping[str, Any]) -> None:
        """How tools behave from now on: `act={"delay": 1}`, or for one name alone `act={"b": {"fail": "error"}}`."""
        temporary = self.control_file.with_suffix(".new")
        temporary.write_text(json.dumps(tools))
        temporary.replace(self.control_file)

    def forget(self) -> None:
        """Empties the files of effects and steps, and lets the tools do as they like."""
        self.control()
        for file in (self.effects_file, self.steps_file, self.ledger_file, self.held_file):
            file.unlink(missing_ok=True)

    def effects(self, *tools: str, event: str = "done") -> list[dict[str, Any]]:
        lines = _lines(self.effects_file)
        return [line for line in lines if line["event"] == event and (not tools or line["tool"] in tools)]

    def names(self, *tools: str, event: str = "done") -> list[str]:
        """The names of what was done, in order."""
        return [line["name"] for line in self.effects(*tools, event=event)]

    def ledger(self) -> list[dict[str, Any]]:
        """What the examples' tools wrote down."""
        return _lines(self.ledger_file)

    def steps(self) -> Counter[tuple[str, str]]:
        """How often each durable step came to its end, by invocation and name."""
        done = [line for line in _lines(self.steps_file) if line["event"] == "done"]
        return Counter((line["invocation"], line["name"]) for line in done)

    def side_by_side(self, *words: str) -> bool:
        """There was a moment at which steps were under way whose names have these words in them."""
        lines = _lines(self.steps_file)

        def first(event: str, word: str) -> float:
            return min(float(line["at"]) for line in lines if word in line["name"] and line["event"] == event)

        return max(first("begin", word) for word in words) < min(first("done", word) for word in words)

    def nothing_twice(self) -> bool:
        """No durable step that came to its end was carried out again."""
        twice = {step: times for step, times in self.steps().items() if times > 1}
        assert not twice, twice
        return True

    # ------------------------------------------------------------ callers

    def call(self, graph: str, key: str | None, handler: str = "run", body: Any = None, timeout: float = 60) -> Answer:
        segments = [graph, handler] if key is None else [graph, key, handler]
        return request("POST", self.engine.ingress + path(*segments), body, timeout=timeout)

    def run(self, graph: str, key: str | None, given: Any = None, timeout: float = 60) -> Any:
        """The output, or Refused with the run's error."""
        return self.call(graph, key, "run", {} if given is None else given, timeout).checked()

    def send(self, graph: str, key: str | None, given: Any = None, handler: str = "run") -> str:
        segments = [graph, handler, "send"] if key is None else [graph, key, handler, "send"]
        body = {} if given is None else given
        answer: Any = request("POST", self.engine.ingress + path(*segments), body).checked()
        invocation: str = answer["invocationId"]
        return invocation

    def send_message(self, graph: str, key: str, given: Any) -> str:
        """A message to an object, which is not waited for."""
        return self.send(graph, key, given, "message")

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

    def state(self, graph: str, key: str) -> str:
        return str(self.status(graph, key).get("run", {}).get("state"))

    def nodes(self, graph: str, key: str) -> dict[str, str]:
        """How each node of a run is or ended."""
        return {name: node["state"] for name, node in self.status(graph, key).get("nodes", {}).items()}

    def unfinished(self) -> list[dict[str, Any]]:
        """The invocations of this service's graphs that have not ended; what is to begin some day is left out."""
        names = " or ".join(
            f"target_service_name = {text(name)} or target_service_name like {text(f'{name}.%')}"
            for name in self.modules
        )
        return self.engine.invocations(f"status not in ('completed', 'scheduled') and ({names})")

    def cancel(self, invocation: str) -> None:
        self.engine.admin.cancel(invocation)

    def decide(self, graph: str, gate: str, decision: str, **more: Any) -> Answer:
        """`gate` is the run's key and the node's path, `42/sign_off`."""
        body = {"decision": decision, **more}
        return request("POST", self.engine.ingress + path(f"{graph}.approvals", gate, "decide"), body, timeout=30)

    def gate(self, graph: str, gate: str, seconds: float = 20) -> dict[str, Any]:
        """The gate, once it is open."""

        def found() -> dict[str, Any] | None:
            return next((one for one in self.gates(graph) if one["id"] == f"{graph}/{gate}"), None)

        opened: dict[str, Any] = until(found, seconds, f"the gate {gate}")
        return opened

    def gates(self, graph: str) -> list[dict[str, Any]]:
        service = text(f"{graph}.approvals")
        rows = self.engine.admin.query(f"select value_utf8 from state where service_name = {service} and key = 'gate'")
        gates = [json.loads(str(row["value_utf8"])) for row in rows]
        return [gate for gate in gates if gate["state"] == "open"]


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
