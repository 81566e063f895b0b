"""`agentflow test`: runs the cases of test files."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from agentflow.cli import colors
from agentflow.cli.connection import complain

if TYPE_CHECKING:
    from agentflow.testing.cases import Case
    from agentflow.testing.outcome import Outcome
    from agentflow.testing.run import Suite

PASSED, FAILED, USAGE = 0, 1, 2


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Run test cases on an engine of their own, with tools, models, people and time as the cases say. "
        "Exits 1 if a case fails, or cannot be read."
    )
    parser.add_argument(
        "tests", nargs="*", metavar="GRAPH|FILE", help="a graph, or a test file (default: graphs/*.test.yaml)"
    )
    parser.add_argument("-k", dest="keyword", metavar="TEXT", help="only cases with this in their graph: name")
    parser.add_argument("--junit", metavar="FILE", type=Path, help="also write the results as JUnit's XML")
    parser.add_argument("--coverage", action="store_true", help="say what of the graphs no case has reached")


def main(args: argparse.Namespace) -> int:
    from agentflow.client import Refused, Unreachable
    from agentflow.rendering import render
    from agentflow.serve.errors import ServeError
    from agentflow.testing.run import collect

    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell has what is in its background ignore
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))  # what was started is ended in order
    suite = collect(args.tests, args.keyword)
    for missing in suite.missing:
        complain(missing)
    if suite.problems:
        sys.stderr.write(render(suite.problems, suite.texts, "text", colors(sys.stderr)))
    if suite.missing or any(problem.severity == "error" for problem in suite.problems):
        return USAGE if suite.missing else FAILED
    if not suite.cases:
        complain(f"no case has {args.keyword!r} in its name" if args.keyword else "there are no cases")
        return USAGE
    if args.junit is not None and (args.junit.is_dir() or not args.junit.absolute().parent.is_dir()):
        complain(f"--junit: there is no folder to write {args.junit} to, or it is one")
        return USAGE
    try:
        return _run(args, suite)
    except (ServeError, Unreachable, Refused) as error:
        complain(str(error))
        return FAILED


def _run(args: argparse.Namespace, suite: Suite) -> int:
    from agentflow.rendering import render
    from agentflow.testing.run import run
    from agentflow.testing.told import Result, judged, junit

    began = time.monotonic()
    results: dict[int, Result] = {}

    shown = 0

    def ended(case: Case, outcome: Outcome) -> None:
        """They end in any order, and are shown in that of the files."""
        nonlocal shown
        results[id(case)] = judged(case, outcome)
        while shown < len(suite.cases) and (result := results.get(id(suite.cases[shown]))):
            print(f"{'passed' if result.passed else 'FAILED'}  {result.case.title}", flush=True)
            shown += 1

    run(suite, ended, lambda line: print(line, file=sys.stderr, flush=True))
    told = [results[id(case)] for case in suite.cases]
    failures = [failure for result in told for failure in result.failures]
    if failures:
        sys.stdout.write("\n" + render(failures, suite.texts, "text", colors(sys.stdout)) + "\n")
    if args.junit:
        junit(told, args.junit)
    if args.coverage:
        from agentflow.testing.coverage import report

        sys.stdout.write(report(suite.programs, told))
    failed = sum(not result.passed for result in told)
    summary = f"{len(told) - failed} passed" + (f", {failed} failed" if failed else "")
    print(f"{summary} in {time.monotonic() - began:.1f} s")
    return FAILED if failed else PASSED
