"""What people mean when YAML cannot be read: the usual mistakes, recognised by the lines around the place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_KEY_WITHOUT_SPACE = re.compile(r"[ ]*(?:- )?(?:[\w\"']+: *\{[^{}]*?[{,] *)?([A-Za-z_]\w*):(?!//)([^\s:,}\]][^\n#]*)")
_TAB_INDENTS = re.compile(r"[ ]*\t")


@dataclass(frozen=True)
class Mistake:
    """What it is, and where: an offset in the file, and a length."""

    message: str
    offset: int
    length: int
    help: str | None = None
    code: str = "yaml-syntax"


def recognised(text: str, at: int, began: int | None) -> Mistake | None:
    """The mistake behind an error of the parser's at an offset, in something that began at another."""
    lines = list(dict.fromkeys(_lines(text, at, began)))
    for look in (_tab, _template, _colon, _comment, _question, _text_with_colon):
        for start, line in lines:
            found = look(line, at - start)
            if found is not None:
                return Mistake(found.message, start + found.offset, found.length, found.help, found.code)
    return None


def _lines(text: str, at: int, began: int | None) -> Iterator[tuple[int, str]]:
    """The line of the error; of what it is in; the last before it that says something. Each with its offset."""
    yield _line(text, min(at, max(len(text) - 1, 0)))
    if began is not None:
        yield _line(text, began)
    before = text[: text.rfind("\n", 0, at) + 1].rstrip()
    if before:
        yield _line(text, len(before) - 1)


def _line(text: str, at: int) -> tuple[int, str]:
    start = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    return start, text[start : len(text) if end < 0 else end]


def _bare(line: str) -> str:
    """The line with what is in quotes blanked out; a quote that is not closed goes on to the end."""
    return re.sub(
        r"(?<![^\s\[{,:])(?:\"(?:[^\"\\]|\\.)*(?:\"|$)|'(?:[^']|'')*(?:'|$))", lambda m: "_" * len(m[0]), line
    )


def _tab(line: str, at: int) -> Mistake | None:
    indent = _TAB_INDENTS.match(line)
    if indent is None:
        return None
    return Mistake("a tab cannot indent a line in YAML", indent.end() - 1, 1, "indent with spaces")


def _template(line: str, at: int) -> Mistake | None:
    bare = _bare(line)
    start = bare.find("{{")
    comment = bare.find(" #")
    if start < 0 or 0 <= comment < start:
        return None
    end = line.find("}}", start) + 2 if "}}" in line[start:] else len(line.rstrip())
    begins = re.search(r"(?:^|: |\[|, |- )\s*$", bare[:start]) is not None
    message = (
        "a value that begins with {{ must be in quotes" if begins else "a text with {{ in it must be in quotes here"
    )
    help = "put the whole value in quotes: single ones, where it holds double quotes"
    return Mistake(message, start, end - start, help, "unquoted-template")


def _colon(line: str, at: int) -> Mistake | None:
    found = _KEY_WITHOUT_SPACE.match(_bare(line))
    if found is None or line.lstrip().startswith("#"):
        return None
    key, value = found[1], line[found.start(2) : found.end(2)].strip()
    help = f"write {key}: {value}" if len(value) < 40 else None
    return Mistake(f'a space is missing after the colon of "{key}"', found.start(1), len(key) + 1, help)


def _comment(line: str, at: int) -> Mistake | None:
    bare = _bare(line)
    start = re.search(r"[^\s#{\[,:] #(?=[^\s#])", bare)
    if start is None or not ({"{", "["} & set(bare[: start.start()])):
        return None
    message = "the text ends before the #: without quotes a comment begins there, and the rest of the line is lost"
    return Mistake(message, start.start() + 2, 1, "put the text in quotes", "cut-short")


def _question(line: str, at: int) -> Mistake | None:
    if not 0 <= at <= len(line):
        return None
    found = re.search(r"[:,\[{-] +(\?)(?= )", line)
    if found is None or not found.start(1) <= at <= found.end(1) + 1:
        return None
    return Mistake("a text that begins with ? must be in quotes", found.start(1), 1)


def _text_with_colon(line: str, at: int) -> Mistake | None:
    if 0 <= at < len(line) and line[at] == ":" and (line[at + 1 : at + 2] or " ").isspace() and "{" in line[:at]:
        return Mistake('a text with ": " in it must be in quotes', at, 1)
    return None
