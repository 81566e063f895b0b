"""`agentflow check`: says what is wrong with graphs."""

from __future__ import annotations

import argparse
import gc
import sys

from agentflow.cli import colors
from agentflow.diagnostics import Diagnostic
from agentflow.driver import compile
from agentflow.project import find_graph
from agentflow.rendering import FORMATS, MOST, clean, render

VALID, INVALID = 0, 1


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = "Check graphs: every mistake at its place, all at once. Exits 1 if there are any."
    parser.add_argument("graphs", nargs="+", metavar="GRAPH", help="a graph's name, or its file")
    parser.add_argument("--format", choices=FORMATS, default="text", help="default: text")
    parser.add_argument("--all", action="store_true", help=f"as text, not only the first {MOST} mistakes")


def main(args: argparse.Namespace) -> int:
    gc.disable()  # a short life, in which nearly everything is kept
    found: list[Diagnostic] = []
    texts: dict[str, str] = {}
    summaries: list[str] = []
    for path in dict.fromkeys(find_graph(argument) for argument in args.graphs):
        result = compile(path, lowered=False)
        found += result.diagnostics
        if result.source is not None:
            texts |= result.source.files()
        errors = sum(diagnostic.severity == "error" for diagnostic in result.diagnostics)
        summary = "valid" if not errors else "1 error" if errors == 1 else f"{errors} errors"
        summaries.append(f"{clean(path.as_posix())}: {summary}\n")
    report = render(found, texts, args.format, colors(sys.stdout), None if args.all else MOST)
    if args.format == "text":
        report += ("\n" if report else "") + "".join(summaries)
    sys.stdout.write(report)
    return INVALID if any(diagnostic.severity == "error" for diagnostic in found) else VALID
