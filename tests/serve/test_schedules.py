"""A scheduled graph under `serve`: one clock, over every kind of restart; changed, removed, stopped and started."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from ports import free_port
from serving import wait_until
from tied import tied

from agentflow.admin import Admin
from agentflow.client import Refused, Unreachable

PROJECT = Path(__file__).parents[2]
TICKS = "target_service_name = 'digest.schedule' and target_handler_name = 'tick' and status <> 'completed'"


class Newsroom:
    """A project with the digest graph, served by the command itself."""

    def __init__(self, folder: Path, inactivity: str) -> None:
        self.folder = folder
        self.ports = [free_port() for _ in range(4)]
        self.inactivity = inactivity
        self.process: subprocess.Popen[str] | None = None
        self.lines: list[str] = []
        (folder / "graphs").mkdir()
        shutil.copytree(PROJECT / "tools", folder / "tools", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(PROJECT / "graphs" / "digest.replies.yaml", folder / "graphs")
        (folder / "graphs" / "other.yaml").write_text("agentflow: 1\ngraph: other\nnodes: {it: {value: 1}}\n")
        self.graph("schedule: {every: 2s, input: {topic: energy, hold: 1s}}")

    @property
    def admin(self) -> Admin:
        return Admin(f"http://127.0.0.1:{self.ports[2]}")

    def graph(self, schedule: str) -> None:
        """The example with another schedule, or none."""
        text = (PROJECT / "graphs" / "digest.yaml").read_text()
        changed = re.sub(r"^schedule:\n(?:  .*\n)+", f"{schedule}\n", text, flags=re.MULTILINE)
        assert changed != text
        (self.folder / "graphs" / "digest.yaml").write_text(changed)

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(PROJECT),
            "EXAMPLES_LEDGER": str(self.folder / "ledger.jsonl"),
            "RESTATE_WORKER__INVOKER__INACTIVITY_TIMEOUT": self.inactivity,
            "AGENTFLOW_INGRESS": f"http://127.0.0.1:{self.ports[1]}",
            "AGENTFLOW_ADMIN": self.admin.url,
        }

    def start(self, *graphs: str) -> None:
        self.lines = []
        ports = [
            f"--{name}port={port}" for name, port in zip(("", "ingress-", "admin-", "node-"), self.ports, strict=True)
        ]
        command = [sys.executable, "-m", "agentflow", "serve", *(graphs or ("digest",)), "--offline", *ports]
        self.process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=tied,
        )
        threading.Thread(target=self._read, args=(self.process, self.lines), daemon=True).start()
        wait_until(lambda: any(line.startswith("ready ") for line in self.lines), 60, lambda: "\n".join(self.lines))

    @staticmethod
    def _read(process: subprocess.Popen[str], lines: list[str]) -> None:
        assert process.stdout is not None
        lines += []
        for line in process.stdout:
            lines.append(line.rstrip())

    def stop(self, number: int = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(30)

    def kill(self, child: str) -> None:
        """kill -9, and wait until it is there again."""
        before = [line for line in self.lines if line.startswith(f"{child} pid ")]
        os.kill(int(before[-1].split()[-1]), signal.SIGKILL)
        wait_until(lambda: len([line for line in self.lines if line.startswith(f"{child} pid ")]) > len(before), 60)

    def agentflow(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "agentflow", *arguments],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        return done.stdout + done.stderr + f"[{done.returncode}]"

    def listed(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.agentflow("schedule", "list", "--format", "json")[:-3])
        return found

    def rows(self, where: str) -> list[dict[str, Any]]:
        def asked() -> list[list[dict[str, Any]]]:
            try:
                return [self.admin.query(f"select * from sys_invocation where {where}")]
            except (Refused, Unreachable):  # the engine is about to be there again
                return []

        return wait_until(asked, 30)[0]

    def ticks(self) -> list[dict[str, Any]]:
        return self.rows(TICKS)

    def keys(self) -> list[str]:
        """The keys of all runs, in order."""
        rows = self.rows("target_service_name = 'digest' and target_handler_name = 'run'")
        return sorted(str(row["target_service_key"]) for row in rows)

    def sent(self) -> list[str]:
        """The idempotency keys of the letters that were sent."""
        ledger = self.folder / "ledger.jsonl"
        lines = ledger.read_text().splitlines() if ledger.exists() else []
        return [json.loads(line)["key"] for line in lines]

    def more(self, count: int, than: int = 0) -> list[str]:
        """The keys, once there are `count` more of them than there were."""
        wait_until(lambda: len(self.keys()) >= than + count, 90, lambda: f"{self.keys()} {self.lines}")
        return self.keys()

    def finished(self) -> None:
        """Each run has ended well, and has sent its letter once, by its key."""
        wait_until(lambda: not self.rows("target_service_name = 'digest' and status <> 'completed'"), 90)
        rows = self.rows("target_service_name = 'digest' and target_handler_name = 'run'")
        assert {row["completion_result"] for row in rows} <= {"success"}
        assert len(set(self.sent())) == len(rows)


@pytest.fixture(params=["0s", "60s"])
def newsroom(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Newsroom]:
    room = Newsroom(tmp_path, request.param)
    yield room
    if room.process is not None and room.process.poll() is None:
        room.process.kill()
        room.process.wait()


def seconds(key: str) -> int:
    return int(datetime.fromisoformat(key).timestamp())


def test_it_runs_on_its_schedule_over_restarts_and_can_be_stopped_and_started(newsroom: Newsroom) -> None:
    newsroom.start()
    first = newsroom.more(2)
    assert all(seconds(key) % 2 == 0 for key in first)
    newsroom.stop()
    time.sleep(5)
    newsroom.start()
    second = newsroom.more(3, than=len(first))
    times = [seconds(key) for key in second]
    gaps = [after - before for before, after in zip(times, times[1:], strict=False)]
    assert max(gaps) > 2, "several were missed while nothing ran, and the latest alone was made up for"
    assert len(newsroom.ticks()) <= 1
    assert "next " in newsroom.agentflow("schedule", "list")

    paused = newsroom.agentflow("schedule", "pause", "digest")
    assert paused == "digest  every 2s  paused\n[0]"
    wait_until(lambda: not newsroom.ticks())
    held = newsroom.keys()
    newsroom.stop()
    newsroom.start()
    time.sleep(3)
    assert newsroom.keys() == held and newsroom.listed()[0]["paused"] is True
    triggered = newsroom.agentflow("schedule", "trigger", "digest")
    assert re.match(r"started digest \S+Z; see: agentflow status digest \S+\n\[0\]", triggered)
    assert newsroom.agentflow("schedule", "resume", "digest").startswith("digest  every 2s  next ")
    newsroom.more(3, than=len(held))
    newsroom.agentflow("schedule", "pause", "digest")
    newsroom.finished()


def test_kills_around_the_ticks_lose_none_and_double_none(newsroom: Newsroom) -> None:
    newsroom.start()
    newsroom.more(1)
    for number in range(4):
        due = newsroom.listed()[0]["next"]
        time.sleep(max(datetime.fromisoformat(due).timestamp() - time.time() - 0.05 + 0.04 * number, 0))
        newsroom.kill("service")
    newsroom.kill("engine")
    begun = len(newsroom.more(1))
    newsroom.stop(signal.SIGKILL)
    newsroom.start()
    newsroom.more(2, than=begun)
    newsroom.agentflow("schedule", "pause", "digest")
    newsroom.finished()
    keys = newsroom.keys()
    assert len(set(keys)) == len(keys)


def test_a_changed_schedule_takes_effect_and_a_removed_one_stops(newsroom: Newsroom) -> None:
    newsroom.start()
    newsroom.more(1)
    newsroom.stop()
    newsroom.graph('schedule: {cron: "0 0 1 1 *", timezone: UTC, input: {topic: energy, hold: 1s}}')
    newsroom.start()
    wait_until(lambda: newsroom.listed()[0]["timetable"] == {"cron": "0 0 1 1 *", "timezone": "UTC"})
    (tick,) = wait_until(newsroom.ticks)
    assert tick["status"] == "scheduled"
    held = newsroom.keys()
    newsroom.stop()

    newsroom.graph("")
    newsroom.start()
    assert "the schedule of digest is stopped" in newsroom.lines
    assert not newsroom.ticks() and newsroom.listed() == []
    assert newsroom.agentflow("schedule", "pause", "digest") == "error: digest has no schedule on this server\n[1]"
    assert newsroom.agentflow("schedule", "list") == "nothing starts by itself\n[0]"
    newsroom.stop()

    newsroom.graph("schedule: {every: 24h, input: {topic: energy, hold: 1s}}")
    newsroom.start()
    wait_until(lambda: newsroom.listed() and newsroom.ticks())
    assert newsroom.keys() == held, "a schedule that is there again has missed nothing"


def test_a_graph_that_is_not_served_does_not_fire_and_goes_on_later(newsroom: Newsroom) -> None:
    newsroom.start("digest", "other")
    newsroom.more(1)
    newsroom.stop()
    newsroom.start("other")
    wait_until(lambda: not newsroom.ticks())
    held = newsroom.keys()
    time.sleep(4)
    assert newsroom.keys() == held and not newsroom.ticks()
    newsroom.stop()
    newsroom.start("digest", "other")
    newsroom.more(2, than=len(held))
    assert len(newsroom.ticks()) <= 1
