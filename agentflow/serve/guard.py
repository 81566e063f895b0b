"""Runs a command that ends when the process that started it ends, however that ended.

`guard.py PARENT PIPE COMMAND...`: becomes COMMAND under the same pid. On Linux the kernel does the rest; elsewhere
(or with `--watch`) a small process holds the read end of PIPE, whose write end only the parent has.
Run as a file with `python -I -S`, so it imports nothing of ours.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    arguments = sys.argv[1:]
    watched = arguments[0] == "--watch"
    parent, pipe, *command = arguments[watched:]
    if sys.platform == "linux" and not watched:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        _watch(int(pipe))
    os.close(int(pipe))
    if os.getppid() != int(parent):  # it ended before we could ask
        sys.exit(1)
    os.execvp(command[0], command)


def _watch(pipe: int) -> None:
    """Fork a process that kills this one when `pipe` closes, and goes when this one goes."""
    alive, held = os.pipe()
    os.set_inheritable(held, True)  # open in COMMAND for as long as it lives
    target = os.getpid()
    if os.fork():
        os.close(alive)
        return
    os.close(held)
    os.setsid()
    ended, _, _ = select.select([pipe, alive], [], [])
    if alive not in ended:
        os.kill(target, signal.SIGKILL)
    os._exit(0)


if __name__ == "__main__":
    main()
