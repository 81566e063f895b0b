"""An engine and a service of a rehearsal's own: on free ports, in a folder that goes with them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from agentflow.admin import Admin
from agentflow.client import Ingress, request
from agentflow.serve import ports
from agentflow.serve.child import Child
from agentflow.serve.engine import Engine
from agentflow.serve.errors import ServeError
from agentflow.serve.registry import Registry, home_id
from agentflow.serve.revisions import Revision, Store
from agentflow.serve.worker import Worker
from agentflow.types import Json

HOST = "127.0.0.1"
# What waits keeps its attempt: one that was suspended while a step of it is still at work would hear of nothing else.
WAITS = {"RESTATE_WORKER__INVOKER__INACTIVITY_TIMEOUT": "10m"}
LAST = 5.0  # seconds until the end of a process is heard of, after its connections have broken off
OFFLINE = {"AGENTFLOW_OFFLINE": "1", "AGENTFLOW_APPROVAL_KEY": ""}


class Stand:
    """`async with Stand(...)`: within, runs of the revisions are accepted, each as part of one of the cases.

    `elsewhere`: `{services: {name: [handlers]}, keyed: [names]}`, the services elsewhere that graphs call; or nothing.
    """

    def __init__(
        self,
        folder: Path,
        binary: Path,
        revisions: Sequence[Revision],
        cases: Sequence[Mapping[str, Json]],
        elsewhere: Mapping[str, Json],
    ) -> None:
        ingress, admin, node = (ports.check_free(HOST, 0, "") for _ in range(3))
        more = {**WAITS, "TMPDIR": str(folder)}  # where it puts what it does not remove
        self._engine = Engine(binary, folder / "engine", HOST, ingress, admin, node, more)
        self._folder = folder
        self._revisions = list(revisions)
        self._rehearsal: dict[str, Json] = {"cases": [dict(case) for case in cases], "elsewhere": dict(elsewhere)}
        self._socket = ports.listen(HOST, 0, "")
        self._children: list[Child] = []
        self.url = f"http://{HOST}:{self._socket.getsockname()[1]}"
        self.admin = Admin(self._engine.admin)
        self.ingress = Ingress(self._engine.ingress)

    async def __aenter__(self) -> Stand:
        async with contextlib.AsyncExitStack() as unfinished:
            unfinished.push_async_callback(self._stop)
            await self._start()
            unfinished.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def _start(self) -> None:
        environment = {**OFFLINE, "AGENTFLOW_ADMIN": self.admin.url}
        worker = Worker(self._socket, self._folder / "service.log", environment)
        service = await worker.spawn()
        self._socket.close()  # once the service has ended, nobody is to be waited for at its port
        self._children.append(service)
        log = self._folder / "engine.log"
        engine = await self._engine.start(log)
        self._children.append(engine)
        await self._engine.ready(engine, log)
        try:
            failed = await worker.load(service, self._revisions, **self._rehearsal)
        except ServeError:
            self.check()  # says what is in its log, which goes with the folder
            raise
        for revision in self._revisions:
            if revision.hash in failed:
                raise ServeError(f"{revision.graph} cannot be loaded: {failed[revision.hash]}")
        await asyncio.to_thread(self._publish)
        while not await asyncio.to_thread(self._engine.knows, {revision.graph for revision in self._revisions}):
            await asyncio.sleep(0.02)

    def _publish(self) -> None:
        registry = Registry(self.admin, Store(self._folder), home_id(self._folder))
        for revision in self._revisions:
            registry.publish(revision, self.url)
        if self._rehearsal["elsewhere"]:
            self.admin.register(f"{self.url}/rev/elsewhere", {})

    async def _stop(self) -> None:
        for child in self._children:
            await child.stop(0)
        self._socket.close()

    async def lost(self) -> None:
        """One of the two did not answer: raises ServeError if it has ended, of which we may hear a moment later."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST):
                while all(child.alive for child in self._children):
                    await asyncio.sleep(0.02)
        self.check()

    def check(self) -> None:
        """Raises ServeError once one of the two has ended: then nothing more will happen."""
        for child in self._children:
            if not child.alive:
                log = self._folder / f"{child.name}.log"
                last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
                raise ServeError(
                    f"the {child.name} ended: " + ("\n  ".join(["", *last]) if last else "it said nothing")
                )

    def conduct(self, **order: Json) -> dict[str, Json]:
        """Ask the service's rehearsal something, or tell it; see `runtime.stage`."""
        answer = request("POST", f"{self.url}/rehearsal", order, timeout=60).checked()
        assert isinstance(answer, dict)
        return answer
