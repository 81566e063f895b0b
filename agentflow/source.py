"""A YAML file as plain data, and the place in the file of everything in it."""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path as FilePath
from typing import Any, Literal

import yaml
from yaml.events import Event, ScalarEvent

from agentflow.diagnostics import Diagnostic, Path, Span, quoted
from agentflow.scalars import places
from agentflow.types import Json
from agentflow.yamlmistakes import recognised
from agentflow.yamltree import Mark, Marks, Stop, begins, build, ends

MAX_BYTES = 1024 * 1024
START = Span(1, 1, 1, 1)
_LINE_BREAK = re.compile(r"\r\n|\n|\r")
_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)*")  # an anchor before a value
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


@dataclass
class Source:
    path: FilePath
    name: str  # as shown in messages
    text: str
    data: Json = None
    marks: Mark | None = None
    texts: dict[Path, tuple[str, str]] = field(default_factory=dict)  # of `{file: x}`: the file's name and text
    included: list[Source] = field(default_factory=list)
    parts: dict[Path, Source] = field(default_factory=dict)  # of what stands in an included file: which one
    tag: str = ""  # the name, where this is an included file: its spans say so

    def span(self, path: Path) -> Span:
        """Of the value at the path; of the nearest thing around it that is in the file, if it is not."""
        if (part := self.parts.get(path[:2])) is not None:
            return part.span(path)
        key, mark = self._find(path)
        if mark is None:
            return Span(1, 1, 1, 1, self.tag)
        if not path and isinstance(mark, Marks) and mark.keys:
            first, _ = next(iter(mark.keys.values()))
            return self._span(begins(first), ends(first))
        if isinstance(mark, Marks) and key is not None and "\n" in self.text[ends(key) : begins(mark.start)]:
            return self._span(begins(key), ends(key))  # a block below its key: the key says more
        start, end = _ends(mark)
        return self._span(start, end)

    def key_span(self, path: Path) -> Span:
        """Of the key of the value at the path; of the value itself, where it is in a list."""
        if (part := self.parts.get(path[:2])) is not None:
            return part.key_span(path)
        key, _ = self._find(path)
        return self._span(begins(key), ends(key)) if key is not None else self.span(path)

    def within(self, path: Path, offset: int, length: int) -> Span:
        """Of a part of a scalar's value; of all of it, where the part has no one place in the file."""
        if (part := self.parts.get(path[:2])) is not None:
            return part.within(path, offset, length)
        _, mark = self._find(path, exact=True)
        if not isinstance(mark, ScalarEvent):
            return self.span(path)
        start, end = _ends(mark)
        start += len(_PROPERTIES.match(self.text, start, end)[0])  # type: ignore[index]  # it matches nothing, too
        found = places(self.text[start:end], mark.style, mark.value)
        last = min(offset + max(length, 1), len(mark.value))
        if found is None or not 0 <= offset < len(found):
            return self.span(path)
        return self._span(start + found[offset], start + found[max(last, offset)])

    def error(
        self,
        code: str,
        message: str,
        path: Path,
        *,
        key: bool = False,
        part: tuple[int, int] | None = None,
        note: str | None = None,
        help: str | None = None,
        related: tuple[tuple[Span, str], ...] = (),
    ) -> Diagnostic:
        """An error at the value of a path, at its key, or at a part (offset, length) of its text.

        A part of a text that `{file: x}` reads is in that file.
        """
        file = self.name
        if part is not None and path in self.texts:
            file, text = self.texts[path]
            span = Source(self.path, file, text)._span(part[0], part[0] + part[1])
        elif part is not None:
            span = self.within(path, *part)
        else:
            span = self.key_span(path) if key else self.span(path)
        return Diagnostic(code, message, span, span.file or file, note=note, help=help, related=related)

    def warning(self, code: str, message: str, path: Path, **more: Any) -> Diagnostic:
        """What may be meant so; otherwise like an error."""
        return replace(self.error(code, message, path, **more), severity="warning")

    def files(self) -> dict[str, str]:
        """The texts that diagnostics may point into, by name."""
        return {self.name: self.text, **dict(self.texts.values()), **{part.name: part.text for part in self.included}}

    def is_included(self, path: Path) -> bool:
        return path[:2] in self.parts

    def is_no_mapping(self, path: Path) -> bool:
        """Whether something stands at a path, and is no mapping."""
        _, mark = self._find(path, exact=True)
        return mark is not None and not (isinstance(mark, Marks) and not mark.items)

    def line(self, path: Path) -> int:
        return self.key_span(path).line

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(match.end() for match in _LINE_BREAK.finditer(self.text))]

    def _span(self, start: int, end: int) -> Span:
        text = self.text[start:end]
        end = start + len(text.rstrip()) if text.strip() else start + len(text[:1])
        line, column = self._place(start)
        end_line, end_column = self._place(max(end, start))
        return Span(line, column, end_line, end_column, self.tag)

    def _place(self, index: int) -> tuple[int, int]:
        line = bisect_right(self._starts, index)
        return line, index - self._starts[line - 1] + 1

    def _find(self, path: Path, exact: bool = False) -> tuple[Event | None, Mark | None]:
        """The key's event and the marks of the value; of its nearest parent if it is not there."""
        key: Event | None = None
        mark = self.marks
        for step in path:
            if isinstance(mark, Marks) and step in mark.keys:
                key, mark = mark.keys[step]
            elif isinstance(mark, Marks) and isinstance(step, int) and step < len(mark.items):
                key, mark = None, mark.items[step]
            else:
                return (None, None) if exact else (key, mark)
        return key, mark


def _ends(mark: Mark) -> tuple[int, int]:
    if isinstance(mark, Marks):
        return begins(mark.start), ends(mark.end or mark.start)
    return begins(mark), ends(mark)


def read(path: FilePath, name: str | None = None) -> tuple[Source | None, list[Diagnostic]]:
    """The file as data. None if nothing can be made of it; what is wrong with it is in the list."""
    name = name or path.as_posix()
    text, problem = read_text(path, name)
    if text is None:
        return None, [problem] if problem else []
    source = Source(path, name, text)
    problems: list[Diagnostic] = []

    def report(
        code: str,
        message: str,
        start: Event,
        end: Event,
        *,
        note: str | None = None,
        help: str | None = None,
        related: tuple[Event, str] | None = None,
        severity: Literal["error", "warning"] = "error",
    ) -> None:
        also = related and (source._span(begins(related[0]), ends(related[0])), related[1])
        span = source._span(begins(start), max(ends(end), begins(start)))
        found = Diagnostic(code, message, span, name, note=note, help=help, related=(also,) if also else ())
        problems.append(found if severity == "error" else replace(found, severity=severity))

    try:
        tree = build(text, report)
    except Stop:
        return None, problems
    except yaml.YAMLError as error:
        found = _syntax(source, error)
        beside = {one.code for one in problems if one.span.line == found.span.line}
        if "unquoted-template" in beside:  # it is why
            return None, problems
        return None, [*(one for one in problems if one.severity == "error"), found]
    if tree is None or (tree.data is None and not problems):
        return None, [*problems, Diagnostic("empty-file", "the file is empty", START, name)]
    source.data, source.marks = tree.data, tree.marks
    return source, problems


def read_text(path: FilePath, name: str, limit: int = MAX_BYTES) -> tuple[str | None, Diagnostic | None]:
    """A text file of the project, or what keeps it from being read."""
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            what = "a directory" if os.path.isdir(path) else "not a regular file"
            return None, Diagnostic("unreadable-file", f"{quoted(name)} is {what}", START, name)
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except FileNotFoundError:
        return None, Diagnostic("unreadable-file", f"there is no file {quoted(name)}", START, name)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return None, Diagnostic("unreadable-file", f"{quoted(name)} cannot be read: {reason}", START, name)
    if len(content) > limit:
        return None, Diagnostic("file-too-large", f"the file is larger than {limit // 1024:,} KiB", START, name)
    try:
        text = content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = Source(path, name, content[: error.start].decode("utf-8"))
        line, column = before._place(len(before.text))
        message = f"the file is not UTF-8: byte 0x{content[error.start]:02x} cannot stand here"
        return None, Diagnostic("not-utf8", message, Span(line, column, line, column + 1), name)
    if match := _UNPRINTABLE.search(text):
        line, column = Source(path, name, text)._place(match.start())
        message = f"the character U+{ord(match[0]):04X} cannot stand in a text file"
        return None, Diagnostic("bad-character", message, Span(line, column, line, column + 1), name)
    return text, None


_HELPS = (
    ("mapping values are not allowed", 'a text with ": " in it must be in quotes'),
    ("cannot start any token", "indent with spaces, and put text that begins with @ % ` or a tab in quotes"),
    ("block end", "check the indentation: entries of one mapping begin in the same column"),
    ("flow mapping", "a { is not closed, or an entry in it lacks its comma; text with { } , in it must be in quotes"),
    ("flow sequence", "a [ is not closed, or an entry in it lacks its comma"),
    ("end of stream", "a quote that was opened is not closed"),
)


def _syntax(source: Source, error: yaml.YAMLError) -> Diagnostic:
    """libyaml's own words, at its place, and what usually causes them."""
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read")
    context = getattr(error, "context", None)
    mark, began = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    message = "this is not YAML: " + problem + (f", {context}" if context else "")
    help = next((text for words, text in _HELPS if words in problem or (context and words in context)), None)
    if mark and (found := recognised(source.text, mark.index, began.index if began else None)):
        place = source._span(found.offset, found.offset + found.length)
        return Diagnostic(found.code, found.message, place, source.name, help=found.help)
    if began and "end of stream" in problem:  # where it began says more than where the file ends
        mark = began
    span = source._span(mark.index, mark.index + 1) if mark else START
    related: tuple[tuple[Span, str], ...] = ()
    if began and mark and began.index != mark.index:
        related = ((source._span(began.index, began.index + 1), "it began here"),)
    return Diagnostic("yaml-syntax", message, span, source.name, help=help, related=related)
