"""One `serve` a data directory: a locked file that also names the children, so that the next one can end what is left.

The lock is the kernel's and goes with the process. A pid alone proves nothing, since pids are used again: a process is
ours only if it also started when the file says it did.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from agentflow.serve.errors import TAKEN, ServeError

FILE = "serve.lock"


def started(pid: int) -> str | None:
    """When the process `pid` started, in a form to compare; None when there is none, or only its remains."""
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            return None
        fields = stat.rpartition(")")[2].split()  # the name before it may hold anything
        return None if fields[0] in "ZX" else f"{boot} {fields[19]}"
    shown = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout.strip() or None


class Lock:
    """Held from `acquire` until the process ends; `record` names a child."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / FILE
        self._descriptor = -1
        self._processes: dict[str, dict[str, str | int | None]] = {}

    def acquire(self) -> dict[str, int]:
        """Take the lock; what a former holder left running, by name."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # journals hold what people said
        self._path.with_name(".gitignore").write_text("*\n", encoding="utf-8")
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = self._read().get("serve", {}).get("pid", "?")
            where = self._path.parent
            raise ServeError(f"another agentflow serve (pid {holder}) uses {where}; see --data-dir", TAKEN) from None
        left = {name: pid for name, entry in self._read().items() if (pid := _alive(entry)) is not None}
        self.record("serve", os.getpid())
        return left

    def record(self, name: str, pid: int) -> None:
        self._processes[name] = {"pid": pid, "started": started(pid)}
        data = json.dumps(self._processes).encode()
        os.pwrite(self._descriptor, data, 0)  # in place: the lock belongs to this very file
        os.ftruncate(self._descriptor, len(data))

    def release(self) -> None:
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)

    def _read(self) -> dict[str, dict[str, str | int | None]]:
        try:
            data = json.loads(self._path.read_bytes() or b"{}")
        except ValueError:
            return {}
        entries = data.items() if isinstance(data, dict) else ()
        return {name: entry for name, entry in entries if isinstance(entry, dict)}


def _alive(entry: dict[str, str | int | None]) -> int | None:
    """The process that an entry names, if it is still that one."""
    pid, when = entry.get("pid"), entry.get("started")
    ours = isinstance(pid, int) and pid != os.getpid() and when is not None and started(pid) == when
    return int(pid) if pid is not None and ours else None


def end(pid: int, patience: float = 2.0) -> None:
    """Ask a process of ours to end, then make it."""
    when = started(pid)
    for number, wait in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + wait
        while time.monotonic() < deadline:
            if started(pid) != when:
                return
            time.sleep(0.05)
