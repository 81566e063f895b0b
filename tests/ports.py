"""Ports on loopback for what the tests start."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Iterator

_PORTS = range(20_000, 32_000)  # the kernel gives others to connections, and would take one of a service that is down


def _candidates() -> Iterator[int]:
    """Each process that runs tests beside others has its own; where it begins differs from run to run."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    mine = _PORTS[worker::workers]
    return itertools.cycle(mine[(os.getpid() * 37 + at) % len(mine)] for at in range(len(mine)))


_next = _candidates()


def free_port() -> int:
    """A port that nobody listens on, and that is given to nobody else."""
    for candidate in _next:
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", candidate))
            except OSError:
                continue
        return candidate
    raise AssertionError("unreachable: the candidates never end")
