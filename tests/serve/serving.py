"""A `serve` of hand-written modules on a real engine, in a process of its own that a test may kill."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from ports import free_port
from tied import tied

from agentflow.admin import Admin
from agentflow.client import Ingress

T = TypeVar("T")
LAUNCH = Path(__file__).with_name("launch.py")

MODULE = """
import restate
from {tool} import answer

main = restate.Workflow("job")

@main.main()
async def run(ctx: restate.WorkflowContext, given: dict) -> dict:
    ctx.set("run", {{"id": "r", "key": ctx.key(), "graph": "job", "state": "running", "revision": "{hash}"}})
    await ctx.run("before", lambda: 1)
    go = await ctx.promise("go").value()
    said = await ctx.service_call(inner, arg={{}})
    return {{"revision": "{hash}", "inner": said, "go": go}}

@main.handler()
async def go(ctx: restate.WorkflowSharedContext, given: dict) -> str:
    await ctx.promise("go").resolve("went")
    return "ok"

nodes = restate.Service("job.nodes_{hash}", ingress_private=True)

@nodes.handler()
async def inner(ctx: restate.Context, given: dict) -> str:
    return await ctx.run("tool", lambda: "{hash} " + answer())

class GRAPH:
    agents = ()

SERVICES = [main, nodes]
"""


DESK = """
from jobtools import hold, pay, release, risky
from agentflow import runtime as af

class Input(af.Type):
    amount: af.Number

GRAPH = af.Graph(name="desk", kind="workflow", revision="desk0001", source="graphs/desk.yaml", input=Input)
release_tool = GRAPH.tool(af.Tool("release", release))
hold_tool = GRAPH.tool(af.Tool("hold", hold, undo=af.Undo(release_tool, {"of": "{{ result }}"}, uses=("result",))))
pay_tool = GRAPH.tool(af.Tool("pay", pay))
risky_tool = GRAPH.tool(af.Tool("risky", risky))


@af.node("hold", line=1, uses=("input",))
def hold_node(run):
    return run.tool(hold_tool, {"amount": "{{ input.amount }}"})


@af.node("check", line=2, uses=("input",))
async def check_node(run):
    return await run.one(risky_node)


@af.node("risky", line=3)
def risky_node(run):
    return run.tool(risky_tool, {})


@af.node("sign_off", line=4, needs=("hold", "check"), uses=("input",))
def sign_off_node(run):
    return run.approval("Pay {{ input.amount }}?", approvers=["claims"], timeout="1h", on_timeout="reject")


@af.node("pay", line=5)
def pay_node(run):
    return run.tool(pay_tool, {"amount": "{{ input.amount }}"})


async def flow(run):
    await run.together(hold_node, check_node)
    await run.one(sign_off_node)
    await run.one(pay_node)
    return run.value({"paid": "{{ pay }}", "by": "{{ sign_off.by }}"})


SERVICES = [af.workflow(GRAPH, flow), af.own_invocations(GRAPH, check=check_node), af.approvals(GRAPH)]
"""

ECHO = """
from agentflow import runtime as af

class Input(af.Type):
    amount: af.Number

GRAPH = af.Graph(name="echo", kind="service", revision="echo0001", source="graphs/echo.yaml", input=Input)

async def flow(run):
    return run.value("{{ input.amount }}")

SERVICES = [af.service(GRAPH, flow)]
"""

TOOLS = """
import pathlib
HERE = pathlib.Path(__file__).parent

def hold(amount: float) -> str:
    return "h1"

def release(of: str) -> str:
    return of

def pay(amount: float) -> str:
    from agentflow import ToolError
    if amount > 1000:
        raise ToolError("too much")
    return "p1"

def risky() -> str:
    if (HERE / "broken").exists():
        raise OSError("the other side is down")
    return "fine"
"""


class Served:
    """A project folder with a graph `job`, and the `serve` that serves it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.ports = [free_port() for _ in range(4)]
        self.process: subprocess.Popen[str] | None = None
        self.lines: list[str] = []
        self.extra: dict[str, str] = {}
        self.options: list[str] = []
        self.tool("ok")

    def tool(self, answer: str) -> None:
        package = self.folder / "jobtools"
        package.mkdir(exist_ok=True)
        (package / "__init__.py").write_text(f"def answer():\n    return {answer!r}\n")

    def revision(self, name: str, text: str | None = None) -> Path:
        text = text or MODULE.format(hash=name, tool="jobtools")
        self.keep("job", "workflow", name, text, f"job.nodes_{name}")
        return self.folder / "build" / name

    def keep(self, graph: str, kind: str, hash: str, text: str, *services: str) -> None:
        """A compiled graph under the name of its hash."""
        folder = self.folder / "build" / hash
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{graph}.py").write_text(text)
        manifest = {"revision": hash, "graph": graph, "kind": kind, "services": [graph, *services]}
        (folder / "manifest.json").write_text(json.dumps(manifest))

    def start(self, *names: str, wait: bool = True) -> None:
        self.lines = []
        built = ",".join(str(self.revision_folder(name)) for name in names)
        command = [sys.executable, str(LAUNCH), str(self.data), str(self.folder), built]
        command += [*map(str, self.ports), *self.options]
        environment = {**os.environ, **self.extra}
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            start_new_session=True,
            preexec_fn=tied,
        )
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()
        if wait:
            self.wait_for("ready ")

    def revision_folder(self, name: str) -> Path:
        folder = self.folder / "build" / name
        return folder if folder.exists() else self.revision(name)

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.lines.append(line.rstrip())

    def wait_for(self, pattern: str, count: int = 1, timeout: float = 30) -> str:
        def found() -> str | None:
            hits = [line for line in self.lines if re.search(pattern, line)]
            return hits[count - 1] if len(hits) >= count else None

        return wait_until(found, timeout, lambda: "\n".join(self.lines))

    def pid(self, name: str) -> int:
        return int([line for line in self.lines if line.startswith(f"{name} pid ")][-1].split()[-1])

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """The exit code, and how long it took."""
        assert self.process is not None
        since = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(20)
        return code, time.monotonic() - since

    @property
    def ingress(self) -> Ingress:
        return Ingress(f"http://127.0.0.1:{self.ports[1]}")

    @property
    def admin(self) -> Admin:
        return Admin(f"http://127.0.0.1:{self.ports[2]}")


def wait_until(ask: Callable[[], T | None], timeout: float = 15, why: Callable[[], str] = lambda: "") -> T:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"not within {timeout} s: {why()}")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    project = Served(tmp_path)
    yield project
    if project.process is not None and project.process.poll() is None:
        project.process.kill()
        project.process.wait()
