"""The service as seen from `serve`: starts its process and has it load revisions."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from agentflow.serve import memory
from agentflow.serve.child import Child
from agentflow.serve.errors import ServeError
from agentflow.serve.revisions import Revision
from agentflow.types import Json


class Worker:
    """`listening` stays ours: between two processes the engine's requests queue there instead of being refused."""

    def __init__(self, listening: socket.socket, log: Path, environment: Mapping[str, str]) -> None:
        self._listening = listening
        self._log = log
        self._environment = {"PYTHONUNBUFFERED": "1", **memory.environment(), **os.environ, **environment}
        self._report = -1

    async def spawn(self) -> Child:
        """Start the process. Its imports take as long as the engine's start, so it is told later what to load."""
        self._report, writing = os.pipe()
        descriptors = (self._listening.fileno(), writing)
        command = [sys.executable, "-m", "agentflow.serve.service", *map(str, descriptors)]
        try:
            return await Child.start("service", command, self._log, self._environment, descriptors)
        finally:
            os.close(writing)

    async def load(self, child: Child, revisions: Sequence[Revision], **rehearsal: Json) -> dict[str, str]:
        """Have it load the revisions and listen; those that it could not load, and why.

        `rehearsal`: `cases` to rehearse, and the services `elsewhere` that are to be stood in for.
        """
        order = {"revisions": [asdict(revision) for revision in revisions], **rehearsal}
        assert child.process.stdin is not None
        child.process.stdin.write(json.dumps(order).encode() + b"\n")
        child.process.stdin.close()
        with os.fdopen(self._report) as pipe:
            line = await asyncio.to_thread(pipe.readline)
        if not line:
            raise ServeError(f"the service ended as it started ({await child.ended()}); see {self._log}")
        failed: dict[str, str] = json.loads(line)["failed"]
        return failed
