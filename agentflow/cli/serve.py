"""`agentflow serve`: compiles graphs and serves them, with an engine of its own unless one is named."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from agentflow import otel
from agentflow.cli import colors
from agentflow.cli.connection import complain
from agentflow.project import find_graph, project_root
from agentflow.providers import CLAUDE, GEMINI, provider_of
from agentflow.serve.errors import ServeError

if TYPE_CHECKING:
    from agentflow.driver import Built
    from agentflow.ir import Model

GEMINI_KEYS = ("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL", "GOOGLE_GENAI_USE_VERTEXAI")
CLAUDE_KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL")
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
    parser.add_argument(
        "--allow-origin", metavar="ORIGIN", action="append", default=[], help="of pages that may read events"
    )
    parser.add_argument("--restate", metavar="URL", help="the admin address of an engine to use instead of an own one")


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise ValueError
    return number


def main(args: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until there is something to end in order
    try:
        return _serve(args)
    except ServeError as error:
        complain(str(error))
        return error.exit_code
    except OSError as error:
        complain(f"{error.filename or args.data_dir}: {error.strerror or error}")
        return INVALID
    except KeyboardInterrupt:
        return 0


def _serve(args: argparse.Namespace) -> int:
    from agentflow.serve import binary, supervise
    from agentflow.serve.lock import Lock
    from agentflow.serve.revisions import Store

    with tempfile.TemporaryDirectory() as folder:
        graphs = _compile([find_graph(argument) for argument in args.graphs], Path(folder))
        if graphs is None:
            return INVALID
        _check_models(graphs, args.offline)
        data_dir: Path = args.data_dir.absolute()
        lock = Lock(data_dir)
        supervise.take_over(lock)
        store = Store(data_dir)
        revisions = [
            store.add(built.module_path, built.manifest_path, project_root(path), replies_of(path))
            for path, built in graphs.items()
        ]
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
        environment=_environment(args),
    )
    for line in _missing_secrets(graphs):
        supervise.say(line)
    if not os.environ.get("AGENTFLOW_APPROVAL_KEY"):
        supervise.say("AGENTFLOW_APPROVAL_KEY is not set: whoever reaches the server may approve")
    for line in otel.told():
        supervise.say(line)
    supervise.serve(settings, lock, revisions)
    return 0


def _environment(args: argparse.Namespace) -> dict[str, str]:
    """Of the service."""
    offline = {"AGENTFLOW_OFFLINE": "1"} if args.offline else {}
    return {**offline, **({"AGENTFLOW_ORIGINS": " ".join(args.allow_origin)} if args.allow_origin else {})}


def _compile(paths: list[Path], folder: Path) -> dict[Path, Built] | None:
    """Each graph's module in `folder`, and of each that these call; None when one is wrong, and that has been told."""
    from agentflow.codegen.invocations import called_graphs
    from agentflow.driver import Invalid, build
    from agentflow.rendering import render

    built: dict[Path, Built] = {}
    valid = True
    left, seen = list(paths), set[Path]()
    while left:
        path = left.pop(0)
        if path.absolute() in seen:
            continue
        seen.add(path.absolute())
        try:
            built[path] = build(path, folder / str(len(built)))
            left += called_files(called_graphs(built[path].program), path)
        except Invalid as invalid:
            source = invalid.result.source
            texts = source.files() if source is not None else {}
            sys.stderr.write(render(invalid.result.diagnostics, texts, "text", colors(sys.stderr)))
            valid = False
    names = [graph.program.name for graph in built.values()]
    for name in sorted({name for name in names if names.count(name) > 1}):
        raise ServeError(f'two of the files are the graph "{name}": a name stands for one graph')
    roots = sorted({str(project_root(path)) for path in built})
    if len(roots) > 1:  # both would be `tools` to Python
        raise ServeError(f"the graphs are of different projects, {' and '.join(roots)}: serve each by itself")
    return built if valid else None


def _missing_secrets(graphs: dict[Path, Built]) -> Iterator[str]:
    """What each variable that tools read, and that is not set, keeps from working."""
    from agentflow import ir

    for built in graphs.values():
        needed: dict[str, list[str]] = {}
        for tool in built.program.tools:
            for name in ir.secrets(tool.does):
                if not os.environ.get(name):
                    needed.setdefault(name, []).append(tool.name)
        for name, tools in needed.items():
            yield f"{name} is not set: in {built.program.name}, calls of {', '.join(tools)} fail until it is"


def called_files(names: list[str], path: Path) -> list[Path]:
    """Where the graphs are that one calls: as it was compiled, they are there."""
    from agentflow.callees import Callee, find
    from agentflow.source import read

    source, _ = read(path)
    found = [find(name, source, project_root(path)) for name in names] if source is not None else []
    return [_as_given(callee.file) for callee in found if isinstance(callee, Callee)]


def _as_given(file: Path) -> Path:
    here = Path.cwd()
    return file.relative_to(here) if file.is_relative_to(here) else file


def _check_models(graphs: dict[Path, Built], offline: bool) -> None:
    """That there is somebody to answer for the agents, before a run finds out."""
    for path, built in graphs.items():
        program, replies = built.program, replies_of(path)
        if offline:
            if program.agents and not replies.is_file():
                raise ServeError(f"{program.name} has agents, and there is no {replies} to answer for them offline")
            continue
        used = {agent.model for agent in program.agents}
        for model in program.models:
            if model.name in used and (lacking := _lacking(model)):
                message = f"{program.name} uses {model.model}, and {lacking}"
                raise ServeError(f"{message}; with --offline, {replies} answers for it")


def _lacking(model: Model) -> str | None:
    """The key without which nobody answers. LiteLLM's own ones are looked for when its providers are loaded."""
    if model.api_key is not None:
        return None if os.environ.get(model.api_key) else f"{model.api_key} is not set"
    provider = provider_of(model.model, model.base_url)
    keys = {GEMINI: GEMINI_KEYS, CLAUDE: CLAUDE_KEYS}.get(provider) if provider is not None else None
    if keys is None or model.base_url is not None or any(os.environ.get(name) for name in keys):
        return None
    first, *rest = [name for name in keys if not name.startswith("GOOGLE_GENAI")]
    return f"{first} is not set (nor {', nor '.join(rest)})"


def replies_of(path: Path) -> Path:
    return path.with_name(f"{path.stem}.replies.yaml")
