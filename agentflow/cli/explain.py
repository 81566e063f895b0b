"""`agentflow explain`: tells what an error code means."""

from __future__ import annotations

import argparse
import sys

from agentflow.codes import CODES
from agentflow.diagnostics import nearest, quoted

USAGE = 2


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = "Tell what an error code means, why it is an error, and what would be right."
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
    explanation = CODES[code]
    sys.stdout.write(f"{code}: {explanation.summary}\n\n{explanation.text.strip()}\n")
    return 0
