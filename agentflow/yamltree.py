"""YAML events to plain data and, beside it, the events that say where each part of it stands.

Built without recursion and within limits, because the loaders that build from nodes recurse in C,
let an alias grow without bound, and let the last of two equal keys win in silence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from agentflow.scalars import NumberTooLarge, Truth, plain
from agentflow.types import Json

MAX_DEPTH = 32
MAX_ALIASED = 20_000  # parts of the file that aliases may repeat, all told

Report = Callable[..., None]
"""`report(code, message, start event, end event, help=..., related=(event, text))`"""


class Stop(Exception):
    """The rest of the file cannot be read; why has been reported."""


@dataclass(slots=True)
class Marks:
    """The places of a mapping or a list, and of what is in it."""

    start: Event
    end: Event | None = None
    keys: dict[Any, tuple[Event, Mark]] = field(default_factory=dict)  # Any: str, in `cases` also int and Truth
    items: list[Mark] = field(default_factory=list)
    size: int = 1
    height: int = 1


Mark = Marks | ScalarEvent


class _Skip:
    """The key of an entry that is read, because something may be wrong in it, but not kept."""


_SKIP = _Skip()
_MERGED = _Skip()  # the key of what a merge key takes in: reported, and taken in all the same
_NO_KEY = _Skip()


@dataclass(slots=True)
class _Frame:
    data: Any  # Any: a dict or a list of Json, by what opened it
    marks: Marks
    anchor: str | None
    in_cases: bool = False
    key: Any = _NO_KEY  # Any: a key of Json's, or one of the two above
    key_event: Event | None = None
    is_key: bool = False  # a mapping or list in the place of a key
    merged: tuple[Any, Marks] | None = None  # the mapping that a merge key takes in
    template: bool = False  # `{{ ... }}` without quotes, which YAML reads as a mapping


@dataclass(slots=True)
class Tree:
    data: Json
    marks: Mark


def build(text: str, report: Report) -> Tree | None:
    """The one document of a file; None if it has none. What is wrong is reported; raises Stop if that ends it."""
    # Not `yaml.parse`, which asks twice for each event.
    return _Builder(text, report).build(iter(yaml.CSafeLoader(text).get_event, None))


def begins(event: Event) -> int:
    """The offset of an event in the text."""
    assert event.start_mark is not None
    return event.start_mark.index


def ends(event: Event) -> int:
    assert event.end_mark is not None
    return event.end_mark.index


class _Builder:
    def __init__(self, text: str, report: Report) -> None:
        self.text = text
        self.report = report
        self.stack: list[_Frame] = []
        self.anchors: dict[str, tuple[Json, Mark] | None] = {}
        self.aliased = 0
        self.tree: Tree | None = None

    def build(self, events: Iterator[Event]) -> Tree | None:
        documents = 0
        for event in events:
            kind = event.__class__
            if kind is ScalarEvent:
                self._scalar(cast(ScalarEvent, event))
            elif kind is MappingStartEvent or kind is SequenceStartEvent:
                self._open(cast(MappingStartEvent | SequenceStartEvent, event))
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                self._close(event)
            elif kind is AliasEvent:
                self._alias(cast(AliasEvent, event))
            elif kind is DocumentStartEvent:
                documents += 1
                if documents > 1:
                    self.report("several-documents", "a file holds one document, and here begins another", event, event)
                    raise Stop
        return self.tree

    def _scalar(self, event: ScalarEvent) -> None:
        value: Json = event.value
        if event.tag is not None:
            self._tag(event, event.tag)
        elif not event.style:  # plain
            end = ends(event)
            if self.text.startswith(" #", end) and not self.text[end + 2 : end + 3].isspace():
                self._cut_by_comment(event)
            try:
                value = plain(event.value)
            except NumberTooLarge:
                value = 0
                self.report("bad-number", "this number is larger than JSON can carry", event, event)
        if event.anchor is not None:
            self.anchors[event.anchor] = (value, event)
        self._add(value, event, event)

    def _cut_by_comment(self, event: ScalarEvent) -> None:
        """A comment is set off from its `#`, or from the text by more than a space; else it may be meant as text."""
        rest = re.match(r"[^\n#][^\n]*", self.text[ends(event) + 2 :])
        if rest is not None and event.value:
            message = "the text ends before the #: without quotes a comment begins there"
            help = "put the text in quotes; or a space after the #, where it is a comment"
            self.report("cut-short", message, event, event, help=help, severity="warning")

    def _cut_by_comma(self, frame: _Frame, event: ScalarEvent) -> bool:
        """Whether a key of { } is the rest of a text that has a comma in it."""
        if event.style or not cast(MappingStartEvent, frame.marks.start).flow_style or not frame.marks.keys:
            return False
        if self.text[ends(event) :].lstrip()[:1] not in (",", "}"):
            return False
        _, last = next(reversed(frame.marks.keys.values()))
        if not isinstance(last, ScalarEvent) or last.style or " " not in f"{last.value}{event.value}":
            return False
        message = "the text ends at the comma: it is not in quotes"
        self.report("cut-short", message, last, last, help=f'write "{last.value}, {event.value}"')
        return True

    def _open(self, event: MappingStartEvent | SequenceStartEvent) -> None:
        if len(self.stack) >= MAX_DEPTH:
            self.report("too-deep", f"this is nested more than {MAX_DEPTH} levels deep", event, event)
            raise Stop
        if event.tag is not None:
            self._tag(event, event.tag)
        is_mapping = event.__class__ is MappingStartEvent
        frame = _Frame({} if is_mapping else [], Marks(event), event.anchor)
        if self.stack:
            parent = self.stack[-1]
            frame.in_cases = parent.key == "cases"
            frame.is_key = isinstance(parent.data, dict) and parent.key is _NO_KEY
            if frame.is_key:
                self._key_collection(parent, event)
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        self.stack.append(frame)

    def _key_collection(self, parent: _Frame, event: Event) -> None:
        start = begins(parent.marks.start)
        if begins(event) == start + 1 and self.text.startswith("{{", start):
            parent.template = True
        else:
            self.report("non-string-key", "a key must be text", event, event)

    def _close(self, event: Event) -> None:
        frame = self.stack.pop()
        marks = frame.marks
        marks.end = event
        value: Json = frame.data
        if frame.merged is not None:
            merged, merged_marks = frame.merged
            for key in [key for key in merged if key not in frame.data]:
                frame.data[key], marks.keys[key] = merged[key], merged_marks.keys[key]
        if frame.is_key:
            self.stack[-1].key = _SKIP
            self.stack[-1].key_event = event
            return
        if frame.template:
            value = self.text[begins(marks.start) : ends(event)]
            self.report(
                "unquoted-template",
                "a value that begins with {{ must be in quotes",
                marks.start,
                event,
                note="YAML reads this as a mapping",
                help=self._quoting(value),
            )
        if frame.anchor is not None:
            self.anchors[frame.anchor] = (value, marks)
        self._add(value, marks, marks.start)

    def _quoting(self, value: str) -> str:
        key = self.stack[-1].key if self.stack else _NO_KEY
        if key in ("for_each", "switch", "until", "when"):
            return f"{key} is an expression, which has no braces: write {value.strip('{} ')}"
        return f'write "{value}"' if '"' not in value else "put the whole value in single quotes"

    def _alias(self, event: AliasEvent) -> None:
        anchored = self.anchors.get(event.anchor or "")
        if anchored is None:
            self.report(
                "yaml-syntax",
                f"the alias *{event.anchor} has nothing to stand for here",
                event,
                event,
                help="text that begins with * must be in quotes",
            )
            raise Stop
        value, mark = anchored
        if isinstance(mark, Marks):
            self.aliased += mark.size
            if self.aliased > MAX_ALIASED:
                message = f"aliases repeat more than {MAX_ALIASED:,} parts of the file"
                self.report("too-many-aliases", message, event, event)
                raise Stop
            if len(self.stack) + mark.height > MAX_DEPTH:
                self.report("too-deep", f"this is nested more than {MAX_DEPTH} levels deep", event, event)
                raise Stop
        self._add(value, mark, event)

    def _add(self, value: Json, mark: Mark, event: Event) -> None:
        """A finished value goes to what it stands in: the document, a list, or a mapping as key or value."""
        if not self.stack:
            self.tree = Tree(value, mark)
            return
        frame = self.stack[-1]
        marks = frame.marks
        if frame.data.__class__ is list:
            frame.data.append(value)
            marks.items.append(mark)
        elif frame.key is _NO_KEY:
            frame.key = self._key(frame, value, event)
            frame.key_event = event
            return
        else:
            key = frame.key
            frame.key = _NO_KEY
            if key is _MERGED and isinstance(mark, Marks) and isinstance(value, dict):
                frame.merged = (value, mark)
            elif key.__class__ is not _Skip:
                frame.data[key] = value
                marks.keys[key] = (cast(Event, frame.key_event), mark)
        if isinstance(mark, Marks):
            marks.size += mark.size
            marks.height = max(marks.height, mark.height + 1)
        else:
            marks.size += 1

    def _key(self, frame: _Frame, key: Json, event: Event) -> object:
        if key.__class__ is not str and not (frame.in_cases and isinstance(key, bool | int)):
            shown = self.text[begins(event) : ends(event)]
            message = f"a key must be text, and {shown or 'this'} is not"
            self.report("non-string-key", message, event, event, help=_key_help(shown))
            return _SKIP
        if isinstance(key, bool):
            key = Truth("true" if key else "false")
        if key == "<<" and isinstance(event, ScalarEvent) and not event.style:
            self.report("merge-key", "merge keys (<<) are not part of the language", event, event)
            return _MERGED
        if isinstance(event, ScalarEvent) and self._cut_by_comma(frame, event):
            return _SKIP
        if key in frame.data:
            first = frame.marks.keys[key][0]
            self.report(
                "duplicate-key",
                f'the key "{key}" is given twice',
                event,
                event,
                related=(first, "it is given here first"),
            )
            return _SKIP
        return key

    def _tag(self, event: Event, tag: str) -> None:
        shown = tag.replace("tag:yaml.org,2002:", "!!")
        self.report("yaml-tag", f"tags ({shown}) are not part of the language", event, event)


def _key_help(shown: str) -> str | None:
    return f'write "{shown}" in quotes' if shown and len(shown) < 40 and '"' not in shown else None
