"""`agentflow schema`: prints the JSON Schema of graph files, for editors."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from agentflow.cli import USAGE
from agentflow.editor.schema import schema


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Print the JSON Schema (draft 7) of graph files. With the YAML language server, write it to a file, and into "
        "the first line of a graph: # yaml-language-server: $schema=FILE"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write to a file instead of stdout")


def main(args: argparse.Namespace) -> int:
    text = json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
    if args.output in (None, "-"):
        sys.stdout.write(text)
        return 0
    try:
        Path(args.output).write_text(text, encoding="utf-8")
    except OSError as error:
        sys.stderr.write(f"agentflow schema: {args.output}: {error.strerror or error}\n")
        return USAGE
    return 0
