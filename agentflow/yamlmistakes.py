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
    if (found := _indented(text, at)) is not None:
        return found
    lines = list(dict.fromkeys(_lines(text, at, began)))
    for look in (_tab, _template, _colon, _comment, _question, _text_with_colon, _quote, _bracket, _star):
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
    start = min((at for at in (bare.find("{{"), bare.find("{%")) if at >= 0), default=-1)
    comment = bare.find(" #")
    if start < 0 or 0 <= comment < start:
        return None
    mark, closing = bare[start : start + 2], {"{{": "}}", "{%": "%}"}[bare[start : start + 2]]
    end = line.find(closing, start) + 2 if closing in line[start:] else len(line.rstrip())
    begins = re.search(r"(?:^|: |\[|, |- )\s*$", bare[:start]) is not None
    message = (
        f"a value that begins with {mark} must be in quotes"
        if begins
        else f"a text with {mark} in it must be in quotes here"
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
        word = re.search(r"[^\s:,{\[]\s+([a-z]\w*)$", line[:at])
        help = f"or a comma is missing before {word[1]}, where that is a key" if word is not None else None
        return Mistake('a text with ": " in it must be in quotes', at, 1, help)
    return None


def _quote(line: str, at: int) -> Mistake | None:
    """Text goes on behind a quote that ended it: `"Dear "Ada""`, `'It's'`, `"a" in input.x`."""
    before = line[:at].rstrip() if 0 < at <= len(line) else ""
    if before[-1:] not in ('"', "'") or _bare(line)[len(before) - 1] != "_" or line[at : at + 1] in ("", ":", "#"):
        return None
    quote = before[-1]
    inside = "write it twice" if quote == "'" else 'write \\" for one that is part of the text'
    other = "double" if quote == "'" else "single"
    help = f"{inside}, or put the whole in {other} quotes"
    return Mistake(f"the text in quotes ends with this {quote}, and more follows it", len(before) - 1, 1, help)


def _bracket(line: str, at: int) -> Mistake | None:
    """A bracket in a text within { } or [ ] that is not in quotes; or one that closes nothing."""
    sign = line[at : at + 1] if at >= 0 else ""
    bare = _bare(line[:at]) if sign in ("{", "[", "}", "]") and sign else ""
    if sign in ("{", "[") and re.search(r"[{\[].*[:,\[{] *[^\s:,{\[_][^,{}\[\]]*$", bare):
        return Mistake(f"a text with {sign} in it must be in quotes here", at, 1, "put the whole value in quotes")
    if sign in ("}", "]") and bare.count({"}": "{", "]": "["}[sign]) <= bare.count(sign):
        return Mistake(f"this {sign} closes nothing", at, 1)
    return None


def _star(line: str, at: int) -> Mistake | None:
    """`*` and `&` mean something to YAML at the beginning of a value."""
    for found in re.finditer(r"(?:^|[:,\[{-] ) *([*&]\S*)", _bare(line)):
        if found.start(1) <= at <= found.end(1):
            return Mistake(f"a text that begins with {found[1][0]} must be in quotes", found.start(1), 1)
    return None


# ---------------------------------------------------------------- indentation


def _indented(text: str, at: int) -> Mistake | None:
    """A line that is indented deeper than the value above it, or less than the text that it belongs to."""
    start, line = _line(text, min(at, max(len(text) - 1, 0)))
    above = [each for each in text[:start].split("\n")[:-1] if each.strip() and not each.lstrip().startswith("#")]
    if not line.strip() or "\t" in line[: _indent(line)] or not above:
        return None
    depth, last = _indent(line), above[-1]
    key = re.match(r"\s*[\w.-]+(?=:(?: |$))", line)
    if key is not None and at - start == key.end() and _indent(last) < depth and _has_value(last):
        message = "this line is indented deeper than the one above it, which has its value"
        return Mistake(message, start + depth, key.end() - depth, "entries of one mapping begin in the same column")
    if key is None and _indent(last) > depth:
        around = next((each for each in reversed(above) if _indent(each) < depth), "")
        if re.search(r": [|>][-+0-9]*\s*(?:#.*)?$", around):
            message = "this line is indented less than the text that it belongs to"
            return Mistake(message, start + depth, 1, "begin it in the column of the text's first line")
    return None


def _has_value(line: str) -> bool:
    """Whether a line is a key and, behind it, all of its value, as far as it shows."""
    return re.match(r"\s*(?:- )?[\w.-]+: +[^\s|>#&{\[\"'][^{\[\"']*$", line) is not None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
