"""`agentflow compile`: writes the Python modules of graphs."""

from __future__ import annotations

import argparse
import pprint
import sys
from pathlib import Path

from agentflow.cli import colors
from agentflow.driver import Invalid, build, compile
from agentflow.project import find_graph
from agentflow.rendering import render

VALID, INVALID = 0, 1


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = "Compile graphs: DIR/<graph>/ gets each one's module and its manifest."
    parser.add_argument("graphs", nargs="+", metavar="GRAPH", help="a graph's name, or its file")
    parser.add_argument("-o", "--output", metavar="DIR", default="build", help="default: build")
    parser.add_argument("--emit", choices=("python", "ir"), default="python", help="ir: print the program's operations")


def main(args: argparse.Namespace) -> int:
    code = VALID
    for path in dict.fromkeys(find_graph(argument) for argument in args.graphs):
        try:
            if args.emit == "ir":
                _print_ir(path)
            else:
                built = build(path, Path(args.output))
                print(built.module_path.as_posix())
        except Invalid as invalid:
            source = invalid.result.source
            texts = source.files() if source is not None else {}
            sys.stderr.write(render(invalid.result.diagnostics, texts, "text", colors(sys.stderr)))
            code = INVALID
        except OSError as error:
            sys.stderr.write(f"agentflow compile: {error.filename or args.output}: {error.strerror or error}\n")
            return INVALID
    return code


def _print_ir(path: Path) -> None:
    result = compile(path)
    if result.program is None:
        raise Invalid(result)
    pprint.pp(result.program, width=110)
