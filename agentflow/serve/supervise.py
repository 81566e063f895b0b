"""`serve` at work: starts the engine and the service, keeps both alive, and takes both with it when it ends.

Events are one line each, on stderr; `ready INGRESS_URL` alone goes to stdout.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agentflow.admin import Admin
from agentflow.client import DEFAULT_INGRESS, Ingress, Refused, Unreachable
from agentflow.serve import clocks, logs, ports
from agentflow.serve.child import Child
from agentflow.serve.engine import Engine
from agentflow.serve.errors import ServeError
from agentflow.serve.lock import Lock, end
from agentflow.serve.registry import Registry, home_id
from agentflow.serve.revisions import Revision, Store
from agentflow.serve.worker import Worker

STEADY = 10.0  # seconds after which a child's end is no longer put down to its start


@dataclass(frozen=True)
class Settings:
    data_dir: Path
    binary: Path | None  # the restate-server to start; None with `restate`
    restate: str | None = None  # the admin address of somebody else's engine
    host: str = "127.0.0.1"
    port: int = 9080
    ingress_port: int = 8080
    admin_port: int = 9070
    node_port: int = 5122
    environment: Mapping[str, str] = field(default_factory=dict)  # for the service


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def take_over(lock: Lock) -> None:
    """Hold the data directory, and end what a former serve that was killed may have left running there."""
    for name, pid in lock.acquire().items():
        if name != "serve":
            say(f"ending the {name} that an earlier serve left (pid {pid})")
            end(pid)


def serve(settings: Settings, lock: Lock, revisions: Sequence[Revision]) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP; raises ServeError when that cannot be done."""
    asyncio.run(Supervisor(settings, lock, revisions).run())


class Supervisor:
    def __init__(self, settings: Settings, lock: Lock, revisions: Sequence[Revision]) -> None:
        self._settings = settings
        self._lock = lock
        self._served = list(revisions)
        self._wanted = list(revisions)  # these and the older ones that still have runs
        self._store = Store(settings.data_dir)
        self._socket = ports.listen(settings.host, settings.port, "--port")
        self._engine = _engine(settings)
        self._engine_log = settings.data_dir / "engine.log"
        self._admin = Admin(self._engine.admin if self._engine else str(settings.restate).rstrip("/"))
        self._registry = Registry(self._admin, self._store, home_id(settings.data_dir))
        environment = {"AGENTFLOW_ADMIN": self._admin.url, "AGENTFLOW_REVISIONS": str(self._store.folder)}
        if self._engine is not None:
            environment["AGENTFLOW_INGRESS"] = self._engine.ingress
        self._service_log = settings.data_dir / "service.log"
        self._worker = Worker(self._socket, self._service_log, {**environment, **settings.environment})
        self._children: dict[str, Child] = {}
        self._published = False  # from then on a graph that cannot be loaded has runs that wait for it

    async def run(self) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        work = asyncio.create_task(self._work())
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            work.cancel()
            await asyncio.wait({work})
            await self._end_children()
            self._socket.close()
            self._lock.release()

    async def _work(self) -> None:
        self._started(await self._worker.spawn())
        if self._engine is not None:
            await self._start_engine(self._engine)
        self._wanted += await asyncio.to_thread(self._unfinished)
        failed = await self._load()
        for revision in self._served:
            if revision.hash in failed:
                raise ServeError(f"{revision.graph} cannot be loaded: {failed[revision.hash]}")
        await asyncio.to_thread(self._publish, failed)
        say(f"events {_url(self._settings.host, self._socket)}/events/GRAPH/KEY")
        print(f"ready {await asyncio.to_thread(self._ingress)}", flush=True)
        async with asyncio.TaskGroup() as group:
            group.create_task(logs.keep_small([self._engine_log, self._service_log]))
            for name in self._children:
                group.create_task(self._keep(name))

    # ------------------------------------------------------------ the children

    def _started(self, child: Child) -> None:
        self._children[child.name] = child
        self._lock.record(child.name, child.pid)
        say(f"{child.name} pid {child.pid}")

    async def _start_engine(self, engine: Engine) -> None:
        self._started(await engine.start(self._engine_log))
        await engine.ready(self._children["engine"], self._engine_log)

    async def _load(self) -> dict[str, str]:
        """Have the service load what is wanted; what it could not, and why."""
        failed = await self._worker.load(self._children["service"], self._wanted)
        for revision in self._wanted:
            if revision.hash in failed and (revision not in self._served or self._published):
                what = f"{revision.graph} revision {revision.hash}"
                say(f"{what} cannot be loaded, its runs wait: {failed[revision.hash]}")
        return failed

    async def _keep(self, name: str) -> None:
        """Start the child again whenever it ends: at once if it was up for a while, else a little later each time."""
        pause = 0.0
        while True:
            since = time.monotonic()
            how = await self._children[name].ended()
            pause = 0.0 if time.monotonic() - since > STEADY else min(max(pause * 2, 0.1), 5.0)
            say(f"{name} ended ({how}): starting it again")
            await asyncio.sleep(pause)
            try:
                await self._restart(name)
            except ServeError as error:
                say(str(error))

    async def _restart(self, name: str) -> None:
        if name == "engine" and self._engine is not None:
            await self._start_engine(self._engine)
            return
        self._started(await self._worker.spawn())
        failed = await self._load()
        with contextlib.suppress(Unreachable, Refused):  # then they are tried when their time comes
            await asyncio.to_thread(self._registry.resume, self._loaded(failed), "backing-off")

    async def _end_children(self) -> None:
        """The service first, so that the engine hears of what was under way; within 5 s together."""
        for name, patience in (("service", 1.5), ("engine", 2.5)):
            if name in self._children:
                await self._children[name].stop(patience)

    # ------------------------------------------------------------ what is agreed with the engine

    def _loaded(self, failed: Mapping[str, str]) -> list[Revision]:
        return [revision for revision in self._wanted if revision.hash not in failed]

    def _unfinished(self) -> list[Revision]:
        """The older revisions that still have runs."""
        kept = self._store.kept()
        served = {revision.hash for revision in self._served}
        try:
            needed = self._registry.needed(kept, served)
        except (Unreachable, Refused) as error:
            raise ServeError(f"the engine cannot be asked: {error}") from None
        return [kept[name] for name in sorted(needed - served) if name in kept]

    def _publish(self, failed: Mapping[str, str]) -> None:
        """Let the engine know of the service, so that runs are accepted."""
        base = _url(self._settings.host, self._socket)
        try:
            self._registry.move(self._wanted, base)
            for revision in self._served:
                new = self._registry.publish(revision, base)
                say(f"{revision.graph} revision {revision.hash}" + ("" if new else " (unchanged)"))
            served = {revision.graph for revision in self._served}
            while self._engine is not None and not self._engine.knows(served):
                time.sleep(0.02)
            for line in clocks.settle(self._admin, Ingress(self._ingress()), self._served, self._store.kept()):
                say(line)
            self._registry.forget_drained(revision.hash for revision in self._served)
            self._published = True
            if again := self._registry.resume(self._loaded(failed), "paused", "backing-off"):
                say(f"trying again what had failed: {again} invocations")
        except (Unreachable, Refused) as error:
            raise ServeError(f"the engine does not accept the service: {error}") from None

    def _ingress(self) -> str:
        if self._engine is not None:
            return self._engine.ingress
        return os.environ.get("AGENTFLOW_INGRESS") or self._admin.ingress() or DEFAULT_INGRESS


def _engine(settings: Settings) -> Engine | None:
    if settings.binary is None:
        return None
    wanted = {"ingress": settings.ingress_port, "admin": settings.admin_port, "node": settings.node_port}
    ingress, admin, node = (ports.check_free(settings.host, port, f"--{name}-port") for name, port in wanted.items())
    return Engine(settings.binary, settings.data_dir / "engine", settings.host, ingress, admin, node)


def _url(host: str, sock: socket.socket) -> str:
    port = sock.getsockname()[1]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{reachable}:{port}"
