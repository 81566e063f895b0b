"""Logs stay small while what writes them goes on."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from serving import wait_until

from agentflow.serve.logs import keep_small, shorten

WRITER = """
import sys, time
for number in range(4000):
    print(f"line {number:06}", flush=True)
    if number % 100 == 0:
        time.sleep(0.02)
"""


def test_a_log_that_is_small_is_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    assert not shorten(log, 100) and not log.exists()
    log.write_text("x" * 100)
    assert not shorten(log, 100) and log.read_text() == "x" * 100 and len(list(tmp_path.iterdir())) == 1


def test_of_what_is_too_large_the_end_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    for text in ("first", "second"):
        log.write_text("-" * 300 + text)
        assert shorten(log, 100) and log.read_bytes() == b""
        kept = (tmp_path / "engine.log.1").read_text()
        assert len(kept) == 100 and kept.endswith(text)


def test_a_log_is_shortened_again_and_again_while_it_is_written(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    with log.open("ab") as out:
        writer = subprocess.Popen([sys.executable, "-c", WRITER], stdout=out)

    async def watch() -> int:
        task = asyncio.create_task(keep_small([log, tmp_path / "none.log"], 2000, 0.01))
        largest = 0
        while writer.poll() is None:
            largest = max(largest, log.stat().st_size)
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        task.cancel()
        return largest

    try:
        assert asyncio.run(asyncio.wait_for(watch(), 60)) < 40_000
    finally:
        writer.kill()
        writer.wait()
    text = (tmp_path / "service.log.1").read_bytes() + log.read_bytes()
    wait_until(lambda: text.endswith(b"line 003999\n"), 1)
    assert b"\0" not in text and len((tmp_path / "service.log.1").read_bytes()) <= 2000
