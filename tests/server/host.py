"""Serves modules to the engine, as the service process does, with nothing around it: `host.py PORT ROOT MODULE...`."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path

import restate
from hypercorn.asyncio import serve
from hypercorn.config import Config


def load(path: Path) -> list[object]:
    spec = importlib.util.spec_from_file_location(f"served_{path.stem}_{abs(hash(str(path)))}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    services: list[object] = module.SERVICES
    return services


def main() -> None:
    port, root, *modules = sys.argv[1:]
    sys.path.insert(0, root)
    services = [service for module in modules for service in load(Path(module))]
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.keep_alive_max_requests = 2**62
    config.keep_alive_timeout = 3600
    asyncio.run(serve(restate.app(services), config))  # type: ignore[arg-type]


main()
