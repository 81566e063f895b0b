"""The README's commands, run in their order in a copy of the examples, and what it says that they print."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ports import free_port
from standin import Answer, Standin, say, standin
from tied import tied
from transcript import Command, blocks, missing

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
INSTALL = "python3 -m venv .venv && .venv/bin/pip install -q -e '.[dev]' && "
TESTS = INSTALL + ".venv/bin/pytest -n auto"
PATIENCE = 60.0


class Process:
    """A command of the README that runs beside the others, and what it has printed."""

    def __init__(self, command: str, folder: Path, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=tied,
        )
        self.printed = ""
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.printed += line

    def expect(self, expected: list[str], where: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while (lacking := missing(expected, self.printed)) is not None:
            running = self.process.poll() is None
            assert running and time.monotonic() < deadline, f"{where}: no line like {lacking!r} in:\n{self.printed}"
            time.sleep(0.05)

    def stop(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        since = time.monotonic()
        assert self.process.wait(20) == 0, self.printed
        assert time.monotonic() - since < 5


class Reader:
    """Somebody who follows the README to the letter, on ports of their own."""

    def __init__(self, folder: Path, provider: Standin) -> None:
        self.folder = folder
        self.provider = provider
        self.service, self.ingress, self.admin, self.node = (free_port() for _ in range(4))
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("GOOGLE_", "GEMINI_"))},
            "AGENTFLOW_INGRESS": f"http://127.0.0.1:{self.ingress}",
            "AGENTFLOW_ADMIN": f"http://127.0.0.1:{self.admin}",
            "PYTHONPATH": str(ROOT),
            "LC_ALL": "C.UTF-8",
        }
        self.server: Process | None = None
        self.waiting: Process | None = None
        self.exit_code = 0

    def follow(self) -> None:
        for block in blocks(README):
            if block.mark == "goes on":
                assert self.waiting is not None
                self.waiting.expect(block.expected, f"README.md:{block.line}")
                assert self.waiting.process.wait(10) == 0
            elif block.mark == "serve":
                assert self.server is not None
                self.server.expect(block.expected, f"README.md:{block.line}")
            else:
                for command in block.commands:
                    self.do(command, waits=block.mark == "waits" and command is block.commands[-1])

    def do(self, command: Command, waits: bool) -> None:
        where, text = f"README.md:{command.line}", self.mine(command.text)
        expected = [self.mine(line) for line in command.expected]
        if text == TESTS:
            return  # what runs this
        if "agentflow serve" in text:
            self.serve(text.removeprefix(INSTALL), expected, where)
        elif text == ". .venv/bin/activate":
            assert (self.folder / ".venv/bin/activate").is_file()
            self.environment["PATH"] = f"{self.folder}/.venv/bin:{os.environ['PATH']}"
        elif waits:
            self.waiting = Process(text, self.folder, self.environment)
            self.waiting.expect(expected, where)
        else:
            self.run(text, expected, where)

    def mine(self, text: str) -> str:
        """A line of the README with this reader's ports and pids in it."""
        text = text.replace(":8080", f":{self.ingress}").replace("http://127.0.0.1:9999", self.provider.url)
        return re.sub(r"kill -9 \d+", lambda _: f"kill -9 {self.pid()}", text)

    def pid(self) -> str:
        """Of the service, as the server said it last."""
        assert self.server is not None
        return str(re.findall(r"^service pid (\d+)$", self.server.printed, re.MULTILINE)[-1])

    def serve(self, command: str, expected: list[str], where: str) -> None:
        if self.server is not None:
            self.server.stop()
        ports = f"--port {self.service} --ingress-port {self.ingress} --admin-port {self.admin} --node-port {self.node}"
        self.server = Process(f"env {command} {ports}", self.folder, self.environment)
        self.server.expect(expected, where)

    def run(self, command: str, expected: list[str], where: str) -> None:
        process = Process(f"bash -c '(exit {self.exit_code}); '{shlex.quote(command)}", self.folder, self.environment)
        try:
            self.exit_code = process.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.process.kill()
            log = (self.folder / ".agentflow" / "service.log").read_text()[-3000:]
            pytest.fail(f"{where}: still running after {PATIENCE:.0f} s:\n{process.printed}\nservice.log:\n{log}")
        process.reader.join(5)
        lacking = missing(expected, process.printed)
        assert lacking is None, f"{where}: no line like {lacking!r} in:\n{process.printed}"
        assert expected or self.exit_code == 0, f"{where}: exit code {self.exit_code}\n{process.printed}"


class Adjusters(Standin):
    """A provider that answers the claim graph's agents by what each must return."""

    def next(self) -> Answer:
        asked = json.dumps(self.requests[-1])
        if "decision" in asked and "Write to" not in asked:
            return say({"decision": "pay", "amount": 200, "reason": "fine"})
        return say("Dear Ada") if "Write to" in asked else say({"ok": True, "reason": "fits", "risk": "low"})


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    for name in ("graphs", "tools"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "agentflow").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m agentflow "$@"\n')
    (programs / "agentflow").chmod(0o755)
    (programs / "activate").write_text("")
    with standin(say("never")) as provider:
        provider.__class__ = Adjusters
        reader = Reader(tmp_path, provider)
        yield reader
    for process in (reader.waiting, reader.server):
        if process is not None and process.process.poll() is None:
            process.process.kill()
            process.process.wait()


def test_the_readme_is_true(reader: Reader) -> None:
    reader.follow()
    assert reader.server is not None
    reader.server.stop()
    pictures = {"mmd": b"---\ntitle: claim", "dot": b"digraph", "svg": b"<svg", "png": b"\x89PNG", "html": b"<!doctype"}
    for suffix, begins in pictures.items():
        assert (reader.folder / f"claim.{suffix}").read_bytes().lower().startswith(begins.lower()), suffix
    assert {request["systemInstruction"]["parts"][0]["text"][:9] for request in _requests(reader.provider)}


def _requests(provider: Standin) -> list[dict[str, Any]]:
    assert provider.requests, "the provider was not asked"
    return provider.requests


def test_ci_runs_the_readmes_test_command() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert TESTS in script.splitlines()
    assert f"$ {TESTS}\n" in README.read_text()


def test_the_readmes_links_lead_somewhere() -> None:
    for document in (README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = document.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text) + re.findall(r'src="([^"]+)"', text):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name}: {target}"
