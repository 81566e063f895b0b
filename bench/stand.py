"""An engine and one service process for the benchmarks, with what `agentflow serve` sets for both.

`stand.py PORT MODULE...` is the service process.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from agentflow.admin import Admin  # noqa: E402
from agentflow.client import Answer, path, request  # noqa: E402 - found by the line above
from agentflow.serve import memory  # noqa: E402
from agentflow.serve.binary import find  # noqa: E402
from agentflow.serve.engine import SMALL  # noqa: E402


@dataclass(frozen=True)
class Stand:
    """Where the engine answers, and the service's process."""

    ingress: str
    admin: Admin
    pid: int

    def call(self, *segments: str, body: Any = None) -> Answer:
        return request("POST", self.ingress + path(*segments), body, timeout=30)


@contextmanager
def stand(folder: Path, modules: Sequence[Path], environment: dict[str, str]) -> Iterator[Stand]:
    """Both processes, started, registered, and ended afterwards."""
    ingress, admin, node, service = (_free_port() for _ in range(4))
    engine_environment = {
        **SMALL,
        **os.environ,
        "RESTATE_LISTEN_MODE": "tcp",
        "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}",
        "RESTATE_ADVERTISED_ADDRESS": f"http://127.0.0.1:{node}/",
        "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
        "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
    }
    base = ["--base-dir", str(folder / "engine"), "--node-name", "bench", "--no-logo"]
    with (
        _process([str(find(print)), *base], engine_environment, folder / "engine.log") as engine,
        _process(
            [sys.executable, __file__, str(service), *map(str, modules)],
            {**memory.environment(), **os.environ, "PYTHONPATH": str(PROJECT), **environment},
            folder / "service.log",
        ) as served,
    ):
        api = Admin(f"http://127.0.0.1:{admin}")
        _until(lambda: engine.poll() is not None or _healthy(api, ingress))
        _until(lambda: served.poll() is not None or _open(service))
        assert engine.poll() is None, (folder / "engine.log").read_text()[-2000:]
        assert served.poll() is None, (folder / "service.log").read_text()[-2000:]
        api.register(f"http://127.0.0.1:{service}", {})
        yield Stand(f"http://127.0.0.1:{ingress}", api, served.pid)


@contextmanager
def _process(command: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def _until(check: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, "it did not start in time"
        time.sleep(0.05)


def _healthy(admin: Admin, ingress: int) -> bool:
    try:
        admin.query("select count(*) as n from sys_invocation")
        return request("GET", f"http://127.0.0.1:{ingress}/restate/health", timeout=2).status == 200
    except Exception:  # noqa: BLE001 - not yet
        return False


def _open(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


def serve(port: int, modules: Sequence[str]) -> None:
    import restate
    from hypercorn.asyncio import serve as listen
    from hypercorn.config import Config

    services: list[Any] = []
    for module in modules:
        name = f"bench_served_{Path(module).stem}"
        spec = importlib.util.spec_from_file_location(name, module)
        assert spec is not None and spec.loader is not None
        loaded = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        services += loaded.SERVICES
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.keep_alive_max_requests = 2**62
    config.keep_alive_timeout = 3600
    config.h2_max_concurrent_streams = memory.STREAMS
    memory.remember_less()

    async def work() -> None:
        giving_back = asyncio.create_task(memory.give_back())  # as the service of `agentflow serve` does
        await listen(restate.app(services), config)
        giving_back.cancel()

    asyncio.run(work())


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2:])
