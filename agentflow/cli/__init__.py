"""The command line: finds the command, and imports no other."""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from agentflow import __version__

USAGE = 2
INTERRUPTED = 130
COMMANDS = {
    "check": "say what is wrong with graphs",
    "fmt": "put the keys of graphs into the language's order",
    "test": "run the cases of graphs",
    "compile": "write the Python modules of graphs",
    "serve": "run graphs on a Restate server",
    "run": "start a run and wait for its result",
    "watch": "follow a run until it ends",
    "status": "say how far a run is",
    "cancel": "end a run, and undo what it did",
    "schedule": "list, pause, resume or trigger what starts by itself",
    "approvals": "list what waits for a person",
    "approve": "decide: yes",
    "reject": "decide: no",
    "answer": "answer a question",
    "send": "send a message to a run",
    "visualize": "draw a graph",
    "diff": "say what a change means for callers, state and runs",
    "explain": "tell what an error code means",
    "schema": "print the JSON Schema of graph files, for editors",
}

BRIEF = frozenset(
    {"check", "compile", "explain", "fmt", "schema", "visualize"}
)  # they end before there is much garbage


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. 0, or 1 invalid graph, 2 wrong usage, 3 failed run, 4 taken port."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = arguments[0] if arguments else "--help"
    if name in ("-h", "--help", "help"):
        sys.stdout.write(_help())
        return 0 if arguments else USAGE
    if name in ("-V", "--version"):
        print(f"agentflow {__version__}")
        return 0
    if name not in COMMANDS:
        return _unknown(name)
    own_process = argv is None
    if own_process and name in BRIEF:
        gc.disable()
    command = importlib.import_module(f"agentflow.cli.{name}")
    parser = argparse.ArgumentParser(prog=f"agentflow {name}", allow_abbrev=False)
    command.configure(parser)
    parsed = parser.parse_args(arguments[1:])
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = command.main(parsed)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    if own_process and name in BRIEF:
        _leave(int(code))
    if own_process:
        gc.freeze()  # or Python searches all of it for cycles before it lets go
    return int(code)


def _leave(code: int) -> NoReturn:
    """Ends the process without taking apart all that it holds, which takes a while for a large graph."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def colors(stream: object) -> bool:
    """Whether a stream is a terminal that shows colors, and nobody has asked for none."""
    isatty = getattr(stream, "isatty", None)
    return bool(isatty and isatty()) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _help() -> str:
    lines = [f"  {name:<10} {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "usage: agentflow COMMAND ...",
            "",
            "Durable graphs of agents, from YAML.",
            "",
            *lines,
            "",
            "agentflow COMMAND --help says more; GRAPH is a name (graphs/NAME.yaml) or a path.",
            "",
        ]
    )


def _unknown(name: str) -> int:
    from agentflow.diagnostics import nearest, quoted

    near = nearest(name, COMMANDS)
    hint = f"; did you mean {near}?" if near else "; agentflow --help lists them"
    sys.stderr.write(f"agentflow: there is no command {quoted(name)}{hint}\n")
    return USAGE
