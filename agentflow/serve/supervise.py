"""`serve` at work: starts the engine and the service, keeps both alive, and takes both with it when it ends.

The listening socket of the service is ours, so between two service processes the engine's requests queue instead of
being refused. Events are one line each, on stderr; `ready INGRESS_URL` alone goes to stdout.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from agentflow.client import DEFAULT_INGRESS, Refused, Unreachable
from agentflow.serve import ports
from agentflow.serve.admin import Admin
from agentflow.serve.child import Child
from agentflow.serve.engine import Engine
from agentflow.serve.errors import ServeError
from agentflow.serve.lock import Lock, end
from agentflow.serve.registry import Registry, home_id
from agentflow.serve.revisions import Revision, Store

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


def serve(settings: Settings, lock: Lock, revisions: Sequence[Revision]) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP; raises ServeError when that cannot be done."""
    asyncio.run(Supervisor(settings, lock, revisions).run())


def take_over(lock: Lock) -> None:
    """Hold the data directory, and end what a former serve that was killed may have left running there."""
    for name, pid in lock.acquire().items():
        if name != "serve":
            say(f"ending the {name} that an earlier serve left (pid {pid})")
            end(pid)


class Supervisor:
    def __init__(self, settings: Settings, lock: Lock, revisions: Sequence[Revision]) -> None:
        self._settings = settings
        self._lock = lock
        self._served = list(revisions)
        self._loaded = list(revisions)
        self._store = Store(settings.data_dir)
        self._socket = ports.listen(settings.host, settings.port, "--port")
        self._engine = _engine(settings)
        self._admin = Admin(settings.restate.rstrip("/") if settings.restate else self._own.admin)
        self._children: dict[str, Child] = {}

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
        service = await self._spawn_service()  # its imports take as long as the engine's start
        if self._engine is not None:
            await self._start_engine()
        registry = Registry(self._admin, self._store, home_id(self._settings.data_dir))
        kept = self._store.kept()
        needed = await asyncio.to_thread(self._asked, registry, kept)
        new = {revision.hash for revision in self._served}
        self._loaded += [kept[name] for name in sorted(needed - new) if name in kept]
        failed = await self._load(service)
        for revision in self._served:
            if revision.hash in failed:
                raise ServeError(f"{revision.graph} cannot be loaded: {failed[revision.hash]}")
        await asyncio.to_thread(self._agree, registry)
        say_ready(await asyncio.to_thread(self._ingress))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep("service"))
            if self._engine is not None:
                group.create_task(self._keep("engine"))

    # ------------------------------------------------------------ the children

    @property
    def _own(self) -> Engine:
        assert self._engine is not None
        return self._engine

    @property
    def _engine_log(self) -> Path:
        return self._settings.data_dir / "engine.log"

    @property
    def _service_log(self) -> Path:
        return self._settings.data_dir / "service.log"

    async def _start_engine(self) -> None:
        child = await self._own.start(self._engine_log)
        self._started(child)
        await self._own.ready(child, self._engine_log)

    async def _spawn_service(self) -> int:
        """Start the service; the end of the pipe on which it says what it loaded."""
        reading, writing = os.pipe()
        descriptors = (self._socket.fileno(), writing)
        command = [sys.executable, "-m", "agentflow.serve.service", *map(str, descriptors)]
        try:
            child = await Child.start("service", command, self._service_log, self._service_environment(), descriptors)
        finally:
            os.close(writing)
        self._started(child)
        return reading

    async def _load(self, report: int) -> dict[str, str]:
        """Have the service load the revisions; those that it could not, and why."""
        child = self._children["service"]
        order = [asdict(revision) for revision in self._loaded]
        assert child.process.stdin is not None
        child.process.stdin.write(json.dumps({"revisions": order}).encode() + b"\n")
        child.process.stdin.close()
        with os.fdopen(report) as pipe:
            line = await asyncio.to_thread(pipe.readline)
        if not line:
            raise ServeError(f"the service ended as it started ({await child.ended()}); see {self._service_log}")
        failed: dict[str, str] = json.loads(line)["failed"]
        for revision in self._loaded:
            if revision.hash in failed and revision not in self._served:
                what = f"{revision.graph} revision {revision.hash}"
                say(f"{what} cannot be loaded, its runs wait: {failed[revision.hash]}")
        return failed

    def _service_environment(self) -> dict[str, str]:
        ours = {"AGENTFLOW_ADMIN": self._admin.url, "AGENTFLOW_REVISIONS": str(self._store.folder.absolute())}
        return {"PYTHONUNBUFFERED": "1", **os.environ, **ours, **self._settings.environment}

    def _started(self, child: Child) -> None:
        self._children[child.name] = child
        self._lock.record(child.name, child.pid)
        say(f"{child.name} pid {child.pid}")

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
                say(f"{error}")

    async def _restart(self, name: str) -> None:
        if name == "engine":
            await self._start_engine()
            return
        failed = await self._load(await self._spawn_service())
        for revision in self._served:
            if revision.hash in failed:
                say(f"{revision.graph} cannot be loaded, its runs wait: {failed[revision.hash]}")

    async def _end_children(self) -> None:
        """The service first, so that the engine hears of what was under way; within 5 s together."""
        for name, patience in (("service", 1.5), ("engine", 2.5)):
            if name in self._children:
                await self._children[name].stop(patience)

    # ------------------------------------------------------------ what is agreed with the engine

    def _asked(self, registry: Registry, kept: Mapping[str, Revision]) -> set[str]:
        try:
            return registry.needed(kept)
        except (Unreachable, Refused) as error:
            raise ServeError(f"the engine cannot be asked: {error}") from None

    def _agree(self, registry: Registry) -> None:
        base = _url(self._settings.host, self._socket)
        try:
            registry.move(self._loaded, base)
            for revision in self._served:
                new = registry.publish(revision, base)
                say(f"{revision.graph} revision {revision.hash}" + ("" if new else " (unchanged)"))
            registry.forget_drained(revision.hash for revision in self._served)
            while self._engine is not None and not self._engine.knows({revision.graph for revision in self._served}):
                time.sleep(0.02)
        except (Unreachable, Refused) as error:
            raise ServeError(f"the engine does not accept the service: {error}") from None

    def _ingress(self) -> str:
        if self._engine is not None:
            return self._engine.ingress
        return os.environ.get("AGENTFLOW_INGRESS") or self._admin.ingress() or DEFAULT_INGRESS


def say_ready(ingress: str) -> None:
    print(f"ready {ingress}", flush=True)


def _engine(settings: Settings) -> Engine | None:
    if settings.binary is None:
        return None
    host = settings.host
    taken = [
        ports.check_free(host, port, f"--{name}-port")
        for name, port in (
            ("ingress", settings.ingress_port),
            ("admin", settings.admin_port),
            ("node", settings.node_port),
        )
    ]
    return Engine(settings.binary, settings.data_dir / "engine", host, *taken)


def _url(host: str, sock: socket.socket) -> str:
    port = sock.getsockname()[1]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{reachable}:{port}"
