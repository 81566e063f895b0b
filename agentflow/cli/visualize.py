"""`agentflow visualize`: draws a graph, as a tree in the terminal or as a file."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from agentflow import visualize
from agentflow.cli import USAGE, colors
from agentflow.driver import compile
from agentflow.ir import Program
from agentflow.project import find_graph
from agentflow.rendering import render

INVALID = 1
_TREE = "├─└│·…"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = "Draw a graph: a tree in the terminal, Mermaid, DOT, SVG, PNG, or one page of HTML."
    parser.usage = f"%(prog)s [graph] GRAPH [--format {'|'.join(visualize.FORMATS)}] [-o FILE]"
    parser.add_argument("words", nargs="+", metavar="GRAPH", help="a graph's name, or its file")
    parser.add_argument("--format", choices=visualize.FORMATS, help="default: by the suffix of FILE, else text")
    parser.add_argument("-o", "--output", metavar="FILE", help="write to a file instead of stdout")


def main(args: argparse.Namespace) -> int:
    words: list[str] = args.words
    if len(words) > 2 or (len(words) == 2 and words[0] != "graph"):
        return _usage(f"one graph at a time: agentflow visualize graph {words[-1]}")
    file = None if args.output in (None, "-") else Path(args.output)
    format: visualize.Format | None = args.format or (_by_suffix(file) if file is not None else "text")
    if format is None:
        return _usage(f"{file}: say --format, or end the name in one of {' '.join(visualize.SUFFIXES)}")
    if format == "png" and file is None and sys.stdout.isatty():
        return _usage("a PNG is not for a terminal: write it with -o FILE, or pipe it")
    program = _compiled(words[-1])
    if program is None:
        return INVALID
    if file is None:
        _print(program, format)
        return 0
    try:
        file.write_bytes(visualize.render(program, format))
    except OSError as error:
        return _usage(f"{file}: {error.strerror or error}")
    return 0


def _by_suffix(file: Path) -> visualize.Format | None:
    return visualize.SUFFIXES.get(file.suffix.lower())


def _compiled(graph: str) -> Program | None:
    """The graph's program; without one, its diagnostics have been printed."""
    result = compile(find_graph(graph))
    if result.diagnostics:
        texts = result.source.files() if result.source is not None else {}
        sys.stderr.write(render(result.diagnostics, texts, "text", colors(sys.stderr)))
    return result.program


def _print(program: Program, format: visualize.Format) -> None:
    """A tree in the encoding of stdout, everything else as the bytes of a file."""
    if format == "text":
        sys.stdout.write(visualize.text(program, _style()))
        return
    sys.stdout.buffer.write(visualize.render(program, format))
    sys.stdout.buffer.flush()


def _style() -> visualize.Style:
    width = shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 100
    return visualize.Style(width=width, unicode=_can_encode(_TREE), color=colors(sys.stdout))


def _can_encode(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeError, LookupError):
        return False
    return True


def _usage(message: str) -> int:
    print(f"agentflow visualize: {message}", file=sys.stderr)
    return USAGE
