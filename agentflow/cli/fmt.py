"""`agentflow fmt`: puts the keys of graphs into the language's order."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from pathlib import Path

from agentflow.cli import colors
from agentflow.formatting import Left, formatted
from agentflow.project import find_graph
from agentflow.rendering import clean, render
from agentflow.source import read

DONE, CHANGES, INVALID = 0, 1, 1
_OTHERS = (".replies.yaml", ".test.yaml")  # what stands beside graphs, and has no order


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Put the keys of graphs into the language's order, in place; comments go with what they are about. "
        "Nothing else is touched, and a file that would not mean the same is left alone."
    )
    parser.add_argument("graphs", nargs="+", metavar="GRAPH", help="a graph's name, or its file")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is not in order")


def main(args: argparse.Namespace) -> int:
    code = DONE
    for path in dict.fromkeys(find_graph(argument) for argument in args.graphs):
        if not path.name.endswith(_OTHERS):
            code = max(code, _one(path, args.check))
    return code


def _one(path: Path, check: bool) -> int:
    shown = clean(path.as_posix())
    source, problems = read(path)
    if source is None or problems:
        texts = source.files() if source is not None else {}
        sys.stderr.write(render(problems, texts, "text", colors(sys.stderr)))
        return INVALID
    try:
        text = formatted(source.text)
    except Left as left:
        sys.stderr.write(f"agentflow fmt: {shown} is left as it is: {left}\n")
        return INVALID
    if text == source.text:
        return DONE
    sys.stdout.write(f"{shown}\n")
    if check:
        return CHANGES
    try:
        _write(path, text)
    except OSError as error:
        sys.stderr.write(f"agentflow fmt: {shown}: {error.strerror or error}\n")
        return INVALID
    return DONE


def _write(path: Path, text: str) -> None:
    """All of it or nothing: an editor, or a server that starts, never sees half a file."""
    target = path.resolve()
    mark = "\ufeff" if target.read_bytes().startswith(b"\xef\xbb\xbf") else ""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    with contextlib.ExitStack() as unfinished:
        unfinished.callback(os.unlink, name)
        with os.fdopen(handle, "wb") as file:
            file.write((mark + text).encode())
        os.chmod(name, target.stat().st_mode & 0o7777)
        os.replace(name, target)
        unfinished.pop_all()
