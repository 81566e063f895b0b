"""The service process: loads revisions and answers the engine for each of them under /rev/<hash>, on one port.

`python -m agentflow.serve.service LISTENING REPORT`: two inherited descriptors, the listening socket and a pipe for one
line of JSON that says what was loaded. One line of JSON on stdin names the revisions, and the cases of a rehearsal.
What is printed here, and what the user's tools print, goes to the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import logging
import os
import signal
import socket
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from agentflow import otel
from agentflow.serve import memory
from agentflow.serve.sse import PREFIX, Streams, is_local

Application = Callable[..., Awaitable[None]]

GRACE = 1.0  # seconds for steps under way when the service is asked to stop


def main() -> None:
    listening, report = int(sys.argv[1]), int(sys.argv[2])
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    with contextlib.suppress(ImportError):  # the slow part, while the engine starts; what is wrong shows below
        import agentflow.runtime  # noqa: F401

    order = json.loads(sys.stdin.readline() or '{"revisions": []}')
    sys.dont_write_bytecode = True  # a tool mended within a second must not be taken for the old one
    applications: dict[str, Application] = {}
    failed: dict[str, str] = {}
    for revision in order["revisions"]:
        if revision["root"] not in sys.path:
            sys.path.insert(0, revision["root"])
        if revision["replies"]:
            os.environ.setdefault(f"AGENTFLOW_REPLIES_{revision['graph'].upper()}", revision["replies"])
        try:
            applications[revision["hash"]] = _load(revision)
        except (Exception, SystemExit) as error:  # what a user's module does when imported is theirs
            traceback.print_exc()
            failed[revision["hash"]] = describe(error, Path(revision["root"]))
    conduct = _rehearse(order["cases"]) if order.get("cases") else None
    if order.get("elsewhere"):
        applications["elsewhere"] = _elsewhere(order["elsewhere"])
    if otel.wanted():
        from agentflow.runtime import tracing

        tracing.configured()  # slow to import: now, not in somebody's first run
    with os.fdopen(report, "w") as out:
        out.write(json.dumps({"loaded": sorted(applications), "failed": failed}) + "\n")
    with socket.socket(fileno=os.dup(listening)) as listener:
        local = is_local(listener.getsockname()[0])
    others: dict[str, Application] = {PREFIX: Streams(local), **({"rehearsal": conduct} if conduct else {})}
    asyncio.run(_serve(listening, mount(applications, others)))


def _load(revision: dict[str, Any]) -> Application:
    """The revision's services as an application, from a module under a name of its own."""
    import restate

    name = f"agentflow_revisions.{revision['graph']}_{revision['hash']}"
    spec = importlib.util.spec_from_file_location(name, revision["module"])
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # type hints are resolved through it
    spec.loader.exec_module(module)
    if module.GRAPH.agents:
        from agentflow.runtime import agents, models  # noqa: F401  # ADK takes a second: now, not in a first run

        if os.environ.get("AGENTFLOW_OFFLINE") != "1":
            models.prepare(module.GRAPH)
    application: Application = restate.app(module.SERVICES)
    return application


def _rehearse(cases: list[dict[str, Any]]) -> Application:
    from agentflow.runtime import stage

    return stage.begin(cases)


def _elsewhere(order: dict[str, Any]) -> Application:
    """What stands in for services elsewhere, under /rev/elsewhere."""
    import restate

    from agentflow.runtime import stage

    application: Application = restate.app(stage.stand_ins(order["services"], order["keyed"]))
    return application


def describe(error: BaseException, root: Path) -> str:
    """One line: where in the user's files it went wrong, and what."""
    said = str(error).splitlines()[0] if str(error) else ""
    if type(error).__name__ == "ModelRefused":  # by a client of ours, and no line of the user's is to blame
        return said
    what = f"{type(error).__name__}: {said}" if said else type(error).__name__
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_shown(error.filename, root)}:{error.lineno}: {type(error).__name__}: {error.msg}"
    place = _place(error.__traceback__, root)
    return f"{place}: {what}" if place else what


def _place(trace: TracebackType | None, root: Path) -> str | None:
    """The innermost line that belongs to the project."""
    frames = [f for f in traceback.extract_tb(trace) if Path(f.filename).is_relative_to(root)]
    own = [frame for frame in frames if not {".agentflow", "site-packages"} & set(Path(frame.filename).parts)]
    return f"{_shown(own[-1].filename, root)}:{own[-1].lineno}" if own else None


def _shown(filename: str, root: Path) -> str:
    path = Path(filename)
    return str(path.relative_to(root)) if path.is_relative_to(root) else filename


def mount(applications: dict[str, Application], others: Mapping[str, Application]) -> Application:
    """Routes /rev/<hash> and /rev/<hash>.<n>, the same revision registered again, to its application.

    `others` answer by the first word of the path. A revision that could not be loaded answers 503: the engine tries
    again later, and the run is not lost.
    """

    async def application(scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        if scope["type"] != "http":
            raise ValueError(f"{scope['type']} is not served")  # how a server learns that there is no lifespan
        parts = scope["path"].split("/")
        if parts[1] in others:
            await others[parts[1]](scope, receive, send)
            return
        found = applications.get(parts[2].split(".")[0]) if parts[1:2] == ["rev"] and len(parts) > 2 else None
        if found is not None:
            await found(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 503, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"this revision is not loaded; see service.log"})

    return application


async def _serve(listening: int, application: Application) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    from restate.server import install_shutdown_hook

    config = Config()
    config.bind = [f"fd://{listening}"]
    config.keep_alive_max_requests = 2**62  # at the default of 1,000 a stream freezes, and steps in flight run twice
    config.keep_alive_timeout = 3600  # the engine ends idle connections sooner, so no request meets a closing one
    config.h2_max_concurrent_streams = memory.STREAMS
    config.graceful_timeout = GRACE
    config.errorlog = logging.getLogger("hypercorn")
    memory.remember_less()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        install_shutdown_hook(asyncio.get_running_loop(), stop.set, number)
    giving_back = asyncio.create_task(memory.give_back())
    try:
        await serve(application, config, shutdown_trigger=stop.wait)
    finally:
        giving_back.cancel()


if __name__ == "__main__":
    main()
