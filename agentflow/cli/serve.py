"""`agentflow serve`: compiles graphs and serves them, with an engine of its own unless one is named."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from agentflow.cli.connection import complain
from agentflow.ir import Program
from agentflow.serve.errors import ServeError
from agentflow.serve.revisions import Revision, Store

KEYS = ("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL", "GOOGLE_GENAI_USE_VERTEXAI")
INVALID = 1


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = "Serve graphs until Ctrl-C. Runs in flight survive this, and go on with the next serve."
    parser.add_argument("graphs", metavar="GRAPH", nargs="+", help="a name (graphs/NAME.yaml) or a path")
    parser.add_argument("--port", type=_port, default=9080, help="of the service (%(default)s)")
    parser.add_argument("--ingress-port", type=_port, default=8080, help="of the engine, for runs (%(default)s)")
    parser.add_argument("--admin-port", type=_port, default=9070, help="of the engine, for its keeper (%(default)s)")
    parser.add_argument("--node-port", type=_port, default=5122, help="of the engine, for itself (%(default)s)")
    parser.add_argument(
        "--host", default="127.0.0.1", help="the address to bind; nothing here asks for a password (%(default)s)"
    )
    parser.add_argument("--data-dir", type=Path, default=Path(".agentflow"), help="what is kept (%(default)s)")
    parser.add_argument("--offline", action="store_true", help="models answer from GRAPH.replies.yaml beside the graph")
    parser.add_argument("--restate", metavar="URL", help="the admin address of an engine to use instead of an own one")


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise ValueError
    return number


def main(args: argparse.Namespace) -> int:
    try:
        return _serve(args)
    except ServeError as error:
        complain(str(error))
        return error.exit_code


def _serve(args: argparse.Namespace) -> int:
    from agentflow.serve import binary, supervise
    from agentflow.serve.lock import Lock

    programs = _compile(args.graphs)
    if programs is None:
        return INVALID
    _check_models(programs, args.offline)
    data_dir: Path = args.data_dir.absolute()
    lock = Lock(data_dir)
    supervise.take_over(lock)
    revisions = [_keep(Store(data_dir), path, program, args.offline) for path, program in programs]
    server = None if args.restate else binary.find(supervise.say)
    settings = supervise.Settings(
        data_dir,
        server,
        restate=args.restate,
        host=args.host,
        port=args.port,
        ingress_port=args.ingress_port,
        admin_port=args.admin_port,
        node_port=args.node_port,
        environment={"AGENTFLOW_OFFLINE": "1"} if args.offline else {},
    )
    if not os.environ.get("AGENTFLOW_APPROVAL_KEY"):
        supervise.say("AGENTFLOW_APPROVAL_KEY is not set: whoever reaches the server may approve")
    supervise.serve(settings, lock, revisions)
    return 0


def _compile(graphs: list[str]) -> list[tuple[Path, Program]] | None:
    """Each graph's program; None when a graph is wrong, and has been told so."""
    from agentflow import driver
    from agentflow.project import find_graph
    from agentflow.rendering import render

    programs: list[tuple[Path, Program]] = []
    wrong = False
    for argument in graphs:
        path = find_graph(argument)
        result = driver.compile(path)
        sources = {result.source.name: result.source.text} if result.source else {}
        color = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
        sys.stderr.write(render(result.diagnostics, sources, "text", color))
        if result.program is None:
            wrong = True
        else:
            programs.append((path, result.program))
    names = [program.name for _, program in programs]
    for name in sorted({name for name in names if names.count(name) > 1}):
        raise ServeError(f'two of the files are the graph "{name}": a name stands for one graph')
    return None if wrong else programs


def _check_models(programs: list[tuple[Path, Program]], offline: bool) -> None:
    for path, program in programs:
        if offline:
            if program.agents and not replies_of(path).is_file():
                raise ServeError(
                    f"{program.name} has agents, and there is no {replies_of(path)} to answer for them offline"
                )
        elif not any(os.environ.get(name) for name in KEYS):
            for model in _gemini(program):
                raise ServeError(
                    f"{program.name} uses {model}, and GOOGLE_API_KEY is not set (nor GEMINI_API_KEY, nor "
                    f"GOOGLE_GEMINI_BASE_URL); with --offline models answer from {replies_of(path)}"
                )


def _gemini(program: Program) -> Iterator[str]:
    used = {agent.model for agent in program.agents}
    return (m.model for m in program.models if m.name in used and m.model.startswith("gemini") and not m.base_url)


def replies_of(path: Path) -> Path:
    return path.with_name(f"{path.stem}.replies.yaml")


def _keep(store: Store, path: Path, program: Program, offline: bool) -> Revision:
    from agentflow import driver
    from agentflow.project import project_root

    with tempfile.TemporaryDirectory() as folder:
        built = driver.build(path, Path(folder))
        return store.add(built.module_path, built.manifest_path, project_root(path), replies_of(path))
