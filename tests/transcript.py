"""Commands and their output in a Markdown file, and whether what came out is what is written.

Fenced `console` blocks hold commands after `$ ` and what they print. A comment before a block says more:
`<!-- waits -->`, its last command is still running when the text goes on; `<!-- goes on -->`, what that command prints
after that; `<!-- serve -->`, what the server prints meanwhile. `...` stands for any text within a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_BLOCK = re.compile(r"(?:^<!-- (?P<mark>[a-z ]+) -->\n)?^```console\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Command:
    line: int
    text: str  # without the prompt
    expected: list[str] = field(default_factory=list)


@dataclass
class Block:
    line: int
    mark: str | None  # waits, goes on, serve
    commands: list[Command]
    expected: list[str]  # before any command


def blocks(path: Path) -> Iterator[Block]:
    text = path.read_text(encoding="utf-8")
    for match in _BLOCK.finditer(text):
        first = text.count("\n", 0, match.start("body")) + 1
        block = Block(first, match["mark"], [], [])
        for number, line in enumerate(match["body"].splitlines(), first):
            if line.startswith("$ "):
                block.commands.append(Command(number, line.removeprefix("$ ")))
            else:
                (block.commands[-1] if block.commands else block).expected.append(line)
        yield block


def missing(expected: Sequence[str], printed: str) -> str | None:
    """The first expected line that was not printed, or None.

    Lines must come in their order, and others may stand between them; indented lines that follow each other are
    progress, of nodes that run side by side, and may come in any order.
    """
    lines = [line.rstrip() for line in printed.splitlines()]
    at = 0
    group = at
    for index, line in enumerate(expected):
        indented = line.startswith("  ")
        if not (indented and index and expected[index - 1].startswith("  ")):
            group = at
        found = next((i for i in range(group if indented else at, len(lines)) if _like(line, lines[i])), None)
        if found is None:
            return line
        at = max(at, found + 1)
    return None


def _like(expected: str, line: str) -> bool:
    pattern = ".*".join(re.escape(part) for part in expected.rstrip().split("..."))
    return re.fullmatch(re.sub(r"\bpid\\ \d+", r"pid \\d+", pattern), line) is not None
