"""`agentflow compile`: writes the Python modules of graphs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from agentflow.cli import USAGE, colors
from agentflow.driver import Invalid, build, write_listing
from agentflow.project import find_graph
from agentflow.rendering import render

VALID, INVALID = 0, 1


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = "Compile graphs: DIR/<graph>/ gets each one's module and its manifest."
    parser.add_argument("graphs", nargs="+", metavar="GRAPH", help="a graph's name, or its file")
    parser.add_argument("-o", "--output", metavar="DIR", default="build", help="default: build")
    parser.add_argument(
        "--emit", choices=("python", "ir"), default="python", help="ir: the program's operations instead, as text"
    )


def main(args: argparse.Namespace) -> int:
    code = VALID
    written: dict[Path, Path] = {}
    for path in dict.fromkeys(find_graph(argument) for argument in args.graphs):
        try:
            if args.emit == "ir":
                target = write_listing(path, Path(args.output))
            else:
                target = build(path, Path(args.output)).module_path
        except Invalid as invalid:
            source = invalid.result.source
            texts = source.files() if source is not None else {}
            sys.stderr.write(render(invalid.result.diagnostics, texts, "text", colors(sys.stderr)))
            code = INVALID
            continue
        except OSError as error:
            sys.stderr.write(f"agentflow compile: {error.filename or args.output}: {error.strerror or error}\n")
            return USAGE
        if target in written:
            sys.stderr.write(f"agentflow compile: {path} is the same graph as {written[target]}: {target}\n")
            return USAGE
        written[target] = path
        print(target.as_posix())
    return code
