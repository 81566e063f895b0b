"""A `serve` of hand-written modules on a real engine, in a process of its own that a test may kill."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from agentflow.client import Ingress
from agentflow.serve.admin import Admin

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

SERVICES = [main, nodes]
"""


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, between 20000 and what the kernel hands out on its own."""
    found: list[int] = []
    candidate = 20000 + (os.getpid() * 37) % 9000
    while len(found) < count:
        candidate += 1
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", candidate))
            except OSError:
                continue
        found.append(candidate)
    return found


class Served:
    """A project folder with a graph `job`, and the `serve` that serves it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.ports = free_ports(4)
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
        folder = self.folder / "build" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "job.py").write_text(text or MODULE.format(hash=name, tool="jobtools"))
        manifest = {"revision": name, "graph": "job", "kind": "workflow", "services": ["job", f"job.nodes_{name}"]}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return folder

    def start(self, name: str, wait: bool = True) -> None:
        self.lines = []
        command = [sys.executable, str(LAUNCH), str(self.data), str(self.folder), str(self.revision_folder(name))]
        command += [*map(str, self.ports), *self.options]
        environment = {**os.environ, **self.extra}
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            start_new_session=True,
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
