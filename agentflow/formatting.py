"""`agentflow fmt`: puts the keys of a graph's file into the language's order, and changes nothing else.

The text is cut into the entries of its mappings, each with the comments above it, and put together in another order:
what a value looks like, how deep it is indented and what stands behind it stay as they are. Then the result is read
again: where it would not say the same, the file is left alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat

import yaml
from yaml.events import Event, ScalarEvent

from agentflow.arrangement import FILE, Shape, arranged
from agentflow.types import Json
from agentflow.yamltree import Mark, Marks, Stop, Tree, begins, build, ends

_BETWEEN = re.compile(r"\s*,\s*")


class Left(Exception):
    """The file cannot be put in order without a risk; why."""


def formatted(text: str) -> str:
    """The text of a file that can be read, its keys in their order. Raises Left."""
    tree = _read(text)
    if tree is None:
        raise Left("it cannot be read")
    lines = "\r\n" if "\r\n" in text else "\n"
    if not text.endswith(("\n", "\r")):
        longer = _read(text + lines)
        if longer is None or repr(longer.data) != repr(tree.data):
            raise Left("its last line has no end, and is part of a text")
        text, tree = text + lines, longer
    result = _Formatter(text).whole(tree)
    if result != text:
        _check(text, tree, result)
    return result


def _read(text: str) -> Tree | None:
    problems: list[str] = []

    def report(code: str, *_: object, **__: object) -> None:
        problems.append(code)

    try:
        tree = build(text, report)
    except (Stop, yaml.YAMLError):
        return None
    return None if problems else tree


def _check(text: str, tree: Tree, result: str) -> None:
    again = _read(result)
    if again is None or arranged(again.data) != arranged(tree.data):
        raise Left("it would not mean the same afterwards")
    if Counter("".join(result.split())) != Counter("".join(text.split())):
        raise Left("something would be lost")


@dataclass
class _Entry:
    """A key and its value in a block: the lines above that belong to it, and its own from the key on."""

    key: str
    lead: str
    body: str


class _Formatter:
    def __init__(self, text: str) -> None:
        self.text = text

    def whole(self, tree: Tree) -> str:
        mark = tree.marks
        if not isinstance(mark, Marks) or not isinstance(tree.data, dict):
            return self.text
        limit = len(self.text)
        if not _is_flow(mark) and mark.keys:
            limit = self._above(limit, self._content(list(mark.keys.values())[-1]), 0)  # what ends the file stays there
        return self._value(0, limit, mark, tree.data, FILE, floor=None) + self.text[limit:]

    # ------------------------------------------------------------ a value within a stretch of text

    def _value(self, start: int, limit: int, mark: Mark, data: Json, shape: Shape, floor: int | None) -> str:
        """The text from `start` to `limit`, in which a value stands. `floor`: where what is above it may begin."""
        if isinstance(mark, Marks) and begins(mark.start) < start:
            raise Left("it has aliases")
        if isinstance(mark, Marks) and isinstance(data, dict) and mark.keys:
            if len(mark.keys) != len(data):
                raise Left("it has aliases")
            return (self._flow if _is_flow(mark) else self._block)(start, limit, mark, data, shape, floor)
        if isinstance(mark, Marks) and isinstance(data, list) and mark.items:
            return self._list(start, limit, mark, data, shape)
        return self.text[start:limit]

    def _list(self, start: int, limit: int, mark: Marks, data: Sequence[Json], shape: Shape) -> str:
        places = [begins(_start(item)) for item in mark.items]
        if places != sorted(places) or places[0] < start:
            raise Left("it has aliases")
        stops = places[1:] if _is_flow(mark) else [*map(self._dash, repeat(mark), mark.items, places[1:])]
        stops.append(limit)
        parts, at = [self.text[start : places[0]]], places[0]
        for item, value, stop, place in zip(mark.items, data, stops, places, strict=True):
            parts.append(self.text[at:place])
            parts.append(self._value(place, stop, item, value, shape.each or Shape(), None))
            at = stop
        return "".join(parts)

    def _flow(self, start: int, limit: int, mark: Marks, data: Mapping[str, Json], shape: Shape, _: int | None) -> str:
        keys = list(mark.keys)
        assert mark.end is not None
        stretches: list[tuple[int, int]] = []
        for event, value in mark.keys.values():
            stretches.append((begins(event), max(ends(event), _end(value))))
        closing = ends(mark.end)
        if any(first[1] > second[0] for first, second in zip(stretches, stretches[1:], strict=False)):
            raise Left("it has aliases")
        texts = {}
        for key, (first, last) in zip(keys, stretches, strict=True):
            event, value = mark.keys[key]
            name_end = ends(event)
            texts[key] = self.text[first:name_end] + self._value(name_end, last, value, data[key], shape.of(key), None)
        gaps = [self.text[a[1] : b[0]] for a, b in zip(stretches, stretches[1:], strict=False)]
        order = shape.arranged(data) if all(_BETWEEN.fullmatch(gap) for gap in gaps) else keys
        parts = [self.text[start : stretches[0][0]], texts[order[0]]]
        for gap, key in zip(gaps, order[1:], strict=True):
            parts += [gap, texts[key]]
        return "".join([*parts, self.text[stretches[-1][1] : closing], self.text[closing:limit]])

    def _block(
        self, start: int, limit: int, mark: Marks, data: Mapping[str, Json], shape: Shape, floor: int | None
    ) -> str:
        entries = list(mark.keys.items())
        first = begins(entries[0][1][0])
        line = self._line(first)
        column = first - line
        dashed = line < start or bool(self.text[line:first].strip())  # the first stands behind the dash of an item
        cuts = [first if dashed else line if floor is None else self._above(line, floor, column)]
        for (_, one), (_, (event, _)) in zip(entries, entries[1:], strict=False):
            line = self._line(begins(event))
            if begins(event) - line != column or self.text[line : begins(event)].strip():
                raise Left("its keys do not stand below each other")
            cuts.append(self._above(line, self._content(one), column))
        cuts.append(limit)
        if cuts != sorted(cuts):
            raise Left("it has aliases")
        made: dict[str, _Entry] = {}
        for at, (key, (event, value)) in enumerate(entries):
            begin, name_end, stop = begins(event), ends(event), cuts[at + 1]
            lead = "" if dashed and not at else self.text[cuts[at] : self._line(begin)]
            inner = self._value(name_end, stop, value, data[key], shape.of(key), name_end)
            made[key] = _Entry(key, lead, self.text[begin:name_end] + inner)
        order = shape.arranged(data)
        if dashed and made[order[0]].lead.strip():  # there is no room for a comment above the first
            order = [key for key, _ in entries]
        return self.text[start : cuts[0]] + self._joined(order, entries[0][0], made, dashed, column)

    def _joined(self, order: list[str], was: str, made: Mapping[str, _Entry], dashed: bool, column: int) -> str:
        first = made[order[0]]
        if first.key != was:  # an empty line parts it from what is above: that is now the other's
            bare = re.match(r"(?:[ \t]*(?:\r\n|\n|\r))*", first.lead)
            assert bare is not None
            first.lead, made[was].lead = first.lead[bare.end() :], bare[0] + made[was].lead
        parts = []
        for at, key in enumerate(order):
            entry = made[key]
            parts += [entry.body] if dashed and not at else [entry.lead, " " * column, entry.body]
        return "".join(parts)

    # ------------------------------------------------------------ lines

    def _line(self, at: int) -> int:
        """Where the line begins."""
        return max(self.text.rfind("\n", 0, at), self.text.rfind("\r", 0, at)) + 1

    def _dash(self, mark: Marks, before: Mark, place: int) -> int:
        """Where an item begins that comes after another: with its dash, or with the comments above that."""
        column = begins(mark.start) - self._line(begins(mark.start))
        line = self._line(place)
        while not re.compile(f" {{{column}}}-").match(self.text, line):
            if line <= begins(mark.start):
                raise Left("the dashes of a list do not stand below each other")
            line = self._line(line - 1)
        return self._above(line, self._content((_start(before), before)), column)

    def _above(self, line: int, floor: int, column: int) -> int:
        """The beginning of the comments of a column and the empty lines right above a line, but not above `floor`."""
        while line > 0:
            end = line - 2 if self.text[max(line - 2, 0) : line] == "\r\n" else line - 1
            above = self._line(end)
            if above < floor:
                break
            content = self.text[above:end]
            stripped = content.strip()
            if stripped and not (stripped[0] == "#" and len(content) - len(content.lstrip()) == column):
                break
            line = above
        return line

    def _content(self, entry: tuple[Event, Mark]) -> int:
        """Up to where an entry certainly goes: of a text in lines of its own, up to where that begins."""
        event, mark = entry
        while isinstance(mark, Marks) and not _is_flow(mark):
            if mark.keys:
                event, mark = list(mark.keys.values())[-1]
            elif mark.items:
                mark = mark.items[-1]
            else:
                break
        if isinstance(mark, ScalarEvent):
            return max(ends(event), begins(mark) if mark.style in ("|", ">") else ends(mark))
        return max(ends(event), _end(mark))


def _is_flow(mark: Marks) -> bool:
    return bool(getattr(mark.start, "flow_style", False))


def _start(mark: Mark) -> Event:
    return mark.start if isinstance(mark, Marks) else mark


def _end(mark: Mark) -> int:
    return ends(mark.end or mark.start) if isinstance(mark, Marks) else ends(mark)
