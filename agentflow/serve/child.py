"""A child process of `serve`: it cannot outlive it, logs to a file, and is asked to end before it is made to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

GUARD = Path(__file__).with_name("guard.py")


class Child:
    def __init__(self, name: str, process: asyncio.subprocess.Process, lifeline: int) -> None:
        self.name = name
        self.pid = process.pid
        self.process = process
        self._lifeline = lifeline  # the write end of the guard's pipe

    @classmethod
    async def start(
        cls,
        name: str,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str],
        pass_fds: Sequence[int] = (),
    ) -> Child:
        """Run `command`; from the main thread only, whose end is what the kernel watches."""
        watched, lifeline = os.pipe()
        guarded = [sys.executable, "-I", "-S", str(GUARD), str(os.getpid()), str(watched), *command]
        try:
            with log.open("ab") as out:
                process = await asyncio.create_subprocess_exec(
                    *guarded,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=out,
                    stderr=out,
                    env=dict(environment),
                    pass_fds=(watched, *pass_fds),
                    start_new_session=True,  # Ctrl-C reaches serve alone
                )
        finally:
            os.close(watched)
        return cls(name, process, lifeline)

    @property
    def alive(self) -> bool:
        return self.process.returncode is None

    async def ended(self) -> str:
        """Wait for its end; how it ended, in words."""
        code = await self.process.wait()
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    async def stop(self, patience: float) -> None:
        """End it: asked first, made to after `patience` seconds."""
        for number, wait in ((signal.SIGTERM, patience), (signal.SIGKILL, 30.0)):
            if not self.alive:
                break
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.process.wait(), wait)
        with contextlib.suppress(OSError):
            os.close(self._lifeline)
