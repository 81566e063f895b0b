"""Ties a process that a test starts to the tests: it is killed when they are, however they end."""

from __future__ import annotations

import ctypes
import signal
import sys

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None  # looked up here: between fork and exec little is safe


def tied() -> None:
    """`Popen(..., preexec_fn=tied)`, from the main thread only, whose end is what the kernel watches."""
    if LIBC is not None:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
