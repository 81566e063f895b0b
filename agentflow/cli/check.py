"""`agentflow check`: says what is wrong with graphs."""

from __future__ import annotations

import argparse
import gc
import json
import sys
from typing import TYPE_CHECKING

from agentflow.callees import Callee, find
from agentflow.cli import colors
from agentflow.diagnostics import Diagnostic
from agentflow.driver import Result, compile
from agentflow.project import find_graph, project_root
from agentflow.rendering import FORMATS, MOST, clean, render
from agentflow.source import read_text

if TYPE_CHECKING:
    from agentflow.ir import Program
    from agentflow.worst import Worst

VALID, INVALID, WRONG_USAGE = 0, 1, 2


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = "Check graphs: every mistake at its place, all at once. Exits 1 if there are any."
    parser.add_argument("graphs", nargs="+", metavar="GRAPH", help="a graph's name, or its file")
    parser.add_argument("--format", choices=FORMATS, default="text", help="default: text")
    parser.add_argument("--stats", action="store_true", help="also the worst case: model calls, tool calls, wall time")
    parser.add_argument("--all", action="store_true", help=f"as text, not only the first {MOST} mistakes")


def main(args: argparse.Namespace) -> int:
    if args.stats and args.format not in ("text", "json"):
        sys.stderr.write("agentflow check: --stats goes with --format text or json\n")
        return WRONG_USAGE
    gc.disable()  # a short life, in which nearly everything is kept
    found: list[Diagnostic] = []
    texts: dict[str, str] = {}
    summaries: list[str] = []
    reckoned: list[Worst] = []
    for path in dict.fromkeys(find_graph(argument) for argument in args.graphs):
        result = compile(path, lowered=args.stats)
        found += result.diagnostics
        if result.source is not None:
            texts |= result.source.files()
        elif (text := read_text(path, path.as_posix())[0]) is not None:
            texts[path.as_posix()] = text  # no YAML, and yet its lines say what is meant
        if result.program is not None:
            reckoned.append(_worst(result))
        errors = sum(diagnostic.severity == "error" for diagnostic in result.diagnostics)
        summary = "valid" if not errors else "1 error" if errors == 1 else f"{errors} errors"
        summaries.append(f"{clean(path.as_posix())}: {summary}\n")
    report = render(found, texts, args.format, colors(sys.stdout), None if args.all else MOST)
    if args.format == "text":
        report += ("\n" if report else "") + "".join(summaries)
    if reckoned or (args.stats and args.format == "json"):
        report = _with_stats(report, reckoned, args.format)
    sys.stdout.write(report)
    return INVALID if any(diagnostic.severity == "error" for diagnostic in found) else VALID


def _worst(result: Result) -> Worst:
    """With the graphs that it calls, each compiled once."""
    from agentflow.worst import worst

    program, source = result.program, result.source
    assert program is not None and source is not None
    root, known = project_root(source.path), dict[str, "Program | None"]()

    def called(name: str) -> Program | None:
        if name not in known:
            found = find(name, source, root)
            known[name] = compile(found.file).program if isinstance(found, Callee) else None
        return known[name]

    return worst(program, called)


def _with_stats(report: str, reckoned: list[Worst], format: str) -> str:
    """As JSON an object of both, `{diagnostics, stats}`; as text one table a graph, below."""
    from agentflow import stats

    if format == "json":
        both = {"diagnostics": json.loads(report), "stats": [stats.as_json(one) for one in reckoned]}
        return json.dumps(both, indent=2, ensure_ascii=False) + "\n"
    return report + "".join(f"\n{stats.as_text(one)}" for one in reckoned)
