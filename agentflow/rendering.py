"""Diagnostics as text for people, as JSON, as GitHub's annotations, and as SARIF."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Literal
from urllib.parse import quote

from agentflow.cells import cells
from agentflow.diagnostics import Diagnostic, Span
from agentflow.types import Json

Format = Literal["text", "json", "github", "sarif"]
FORMATS: tuple[Format, ...] = ("text", "json", "github", "sarif")
MOST = 20  # that people are shown at once
WIDTH = 110  # of an excerpt: longer lines are cut around the place
_LINE_BREAK = re.compile(r"\r\n|\n|\r")
_BOLD, _RED, _YELLOW, _BLUE, _RESET = "\x1b[1m", "\x1b[1;31m", "\x1b[1;33m", "\x1b[1;34m", "\x1b[0m"


def render(
    diagnostics: Sequence[Diagnostic],
    sources: Mapping[str, str],
    format: Format = "text",
    color: bool = False,
    most: int | None = MOST,
) -> str:
    """All of them, each line ended; for people no more than `most`, and how many there are beyond.

    `sources` are the texts of the files by name, for the excerpts.
    """
    if format == "json":
        return json.dumps([_as_json(d) for d in diagnostics], indent=2, ensure_ascii=False) + "\n"
    if format == "github":
        return "".join(_github(d) + "\n" for d in diagnostics)
    if format == "sarif":
        return json.dumps(_sarif(diagnostics), indent=2, ensure_ascii=False) + "\n"
    lines = {name: _LINE_BREAK.split(text) for name, text in sources.items()}
    shown, rest = diagnostics[:most], diagnostics[most:] if most is not None else []
    parts = ["".join(line + "\n" for line in _text(d, lines, color)) for d in shown]
    return "\n".join([*parts, f"... and {_counted(rest)}\n"] if rest else parts)


def _counted(diagnostics: Sequence[Diagnostic]) -> str:
    """`2 more errors and 1 more warning`."""
    counts = [(sum(d.severity == kind for d in diagnostics), kind) for kind in ("error", "warning")]
    return " and ".join(f"{count} more {kind}{'s' if count > 1 else ''}" for count, kind in counts if count)


def _text(diagnostic: Diagnostic, texts: Mapping[str, Sequence[str]], color: bool) -> Iterator[str]:
    def paint(text: str, style: str) -> str:
        return f"{style}{text}{_RESET}" if color and text else text

    strong = _RED if diagnostic.severity == "error" else _YELLOW
    spans = [diagnostic.span, *(span for span, _ in diagnostic.related)]
    margin = " " * len(str(max(span.line for span in spans)))
    bar = paint(f"{margin} |", _BLUE)
    title = f"{diagnostic.severity}[{diagnostic.code}]"
    yield f"{paint(title, strong)}{paint(': ' + clean(diagnostic.message), _BOLD)}"
    yield f"{margin}{paint('-->', _BLUE)} {_place(diagnostic.file, diagnostic.span)}"
    places = [("", diagnostic.span, "^", diagnostic.note, strong)]
    places += [
        (_place(span.file or diagnostic.file, span), span, "-", note, _BLUE) for span, note in diagnostic.related
    ]
    shown = False
    for where, span, mark, note, style in places:
        lines = texts.get(span.file or diagnostic.file, [])
        if not 0 < span.line <= len(lines) or not lines[span.line - 1].strip():
            if where:
                yield f"{margin}{paint(':::', _BLUE)} {where}: {clean(note or '')}"
            continue
        if where:
            yield f"{margin}{paint(':::', _BLUE)} {where}"
        line, before, width = _excerpt(lines[span.line - 1], span)
        number = paint(f"{span.line:>{len(margin)}} |", _BLUE)
        yield bar
        yield f"{number} {line}".rstrip()
        carets = mark * width + (f" {clean(note)}" if note else "")
        yield f"{bar} {' ' * before}{paint(carets, style)}"
        shown = True
    if diagnostic.help:
        if shown:
            yield bar
        yield f"{margin} {paint('=', _BLUE)} {paint('help', _BOLD)}: {clean(diagnostic.help)}"


def _place(file: str, span: Span) -> str:
    return f"{clean(file)}:{span.line}:{span.column}"


def _excerpt(line: str, span: Span) -> tuple[str, int, int]:
    """The line as it can be shown, the width before the place, and the width of the place, all in cells."""
    start = span.column - 1
    end = span.end_column - 1 if span.end_line == span.line else len(line)
    end = max(min(end, len(line)), start + 1)
    prefix = ""
    if len(line) > WIDTH and start > WIDTH // 2:
        cut = start - WIDTH // 3
        prefix, line, start, end = "... ", line[cut:], start - cut, end - cut
    if len(line) > WIDTH:
        line = line[:WIDTH] + " ..."
        end = max(min(end, WIDTH), start + 1)
    shown = prefix + clean(line)
    return shown, len(prefix) + cells(clean(line[:start])), max(cells(clean(line[start:end])), 1)


def clean(text: str) -> str:
    """Without anything that steers a terminal: each such character is one replacement character."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c in "\t\n\r" else "\ufffd" for c in text)


def _as_json(diagnostic: Diagnostic) -> Json:
    related: Json = [
        {**_lines(span), "file": span.file or diagnostic.file, "message": note} for span, note in diagnostic.related
    ]
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        "file": diagnostic.file,
        **_lines(diagnostic.span),
        "note": diagnostic.note,
        "help": diagnostic.help,
        "related": related,
    }


def _lines(span: Span) -> dict[str, Json]:
    return {name: value for name, value in asdict(span).items() if name != "file"}


def _github(diagnostic: Diagnostic) -> str:
    def data(text: str) -> str:
        return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

    def value(text: str) -> str:
        return data(text).replace(":", "%3A").replace(",", "%2C")

    span = diagnostic.span
    message = diagnostic.message + (f" (help: {diagnostic.help})" if diagnostic.help else "")
    place = f"file={value(diagnostic.file)},line={span.line},col={span.column}"
    place += f",endLine={span.end_line},endColumn={span.end_column},title={value(diagnostic.code)}"
    return f"::{diagnostic.severity} {place}::{data(message)}"


def _sarif(diagnostics: Sequence[Diagnostic]) -> Json:
    from agentflow import __version__
    from agentflow.codes import CODES

    rules: Json = [
        {"id": code, "shortDescription": {"text": CODES[code].summary}}
        for code in sorted({d.code for d in diagnostics} & CODES.keys())
    ]
    tool: Json = {"driver": {"name": "agentflow", "version": __version__, "rules": rules}}
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": tool, "columnKind": "unicodeCodePoints", "results": [_result(d) for d in diagnostics]}],
    }


def _result(diagnostic: Diagnostic) -> Json:
    text = diagnostic.message + (f"\nhelp: {diagnostic.help}" if diagnostic.help else "")
    result: dict[str, Json] = {
        "ruleId": diagnostic.code,
        "level": diagnostic.severity,
        "message": {"text": text},
        "locations": [_location(diagnostic.file, diagnostic.span)],
    }
    if diagnostic.related:
        result["relatedLocations"] = [
            {**_location(span.file or diagnostic.file, span), "message": {"text": note}}
            for span, note in diagnostic.related
        ]
    return result


def _location(file: str, span: Span) -> dict[str, Json]:
    region: Json = {
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": span.end_line,
        "endColumn": span.end_column,
    }
    return {"physicalLocation": {"artifactLocation": {"uri": quote(file)}, "region": region}}
