"""`agentflow explain`: tells what an error code means."""

from __future__ import annotations

import argparse
import sys

from agentflow.codes import CODES
from agentflow.diagnostics import nearest, quoted
from agentflow.stories import stories, told

USAGE = 2


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Tell what an error code means and why it is an error, with a graph that has it and the same graph mended."
    )
    parser.add_argument("code", metavar="CODE", nargs="?", help="without one, all codes are listed")


def main(args: argparse.Namespace) -> int:
    if args.code is None:
        width = max(map(len, CODES))
        sys.stdout.write("".join(f"{code:<{width}}  {CODES[code].summary}\n" for code in sorted(CODES)))
        return 0
    code = args.code.strip("[]")
    if code not in CODES:
        near = nearest(code, CODES)
        hint = f"; did you mean {near}?" if near else "; agentflow explain lists them all"
        sys.stderr.write(f"agentflow explain: there is no code {quoted(code)}{hint}\n")
        return USAGE
    sys.stdout.write(told(code, stories().get(code)))
    return 0
