"""`agentflow visualize`: draws a graph, as a tree in the terminal or as a file."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from agentflow import visualize
from agentflow.ir import Program

INVALID, USAGE = 1, 2
_TREE = "├─└│·…"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = "Draw a graph: a tree in the terminal, Mermaid, DOT, SVG, PNG, or one page of HTML."
    parser.add_argument("words", nargs="+", metavar="[graph] GRAPH", help="a graph's name, or its file")
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
    try:
        _write(program, format, file)
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        return _usage(f"{file or 'stdout'}: {error.strerror or error}")
    return 0


def _by_suffix(file: Path) -> visualize.Format | None:
    return visualize.SUFFIXES.get(file.suffix.lower())


def _compiled(graph: str) -> Program | None:
    """The graph's program; without one, its diagnostics have been printed."""
    from agentflow import driver
    from agentflow.project import find_graph
    from agentflow.rendering import render

    result = driver.compile(find_graph(graph))
    if result.diagnostics:
        sources = {result.source.name: result.source.text} if result.source is not None else {}
        sys.stderr.write(render(result.diagnostics, sources, "text", _colors(sys.stderr)))
    return result.program


def _write(program: Program, format: visualize.Format, file: Path | None) -> None:
    if file is not None:
        file.write_bytes(visualize.render(program, format))
    elif format == "text":
        _print(visualize.text(program, _style()))
    else:
        sys.stdout.buffer.write(visualize.render(program, format))
    sys.stdout.flush()


def _print(tree: str) -> None:
    """In the encoding of stdout; what it does not have is shown as an escape."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(tree.encode(encoding, "backslashreplace").decode(encoding))


def _style() -> visualize.Style:
    width = shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 100
    return visualize.Style(width=width, unicode=_can_encode(_TREE), color=_colors(sys.stdout))


def _can_encode(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeError, LookupError):
        return False
    return True


def _colors(stream: object) -> bool:
    is_terminal = getattr(stream, "isatty", lambda: False)()
    return bool(is_terminal) and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def _usage(message: str) -> int:
    print(f"agentflow visualize: {message}", file=sys.stderr)
    return USAGE
