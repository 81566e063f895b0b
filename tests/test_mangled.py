"""However a graph file is mangled: located diagnostics or a program, never a traceback, and never for long.

A few hundred in every run; `pytest tests/test_mangled.py --many` tries 10,000 of each kind.
"""

from __future__ import annotations

import ast
import copy
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from corpus import RIGHT, WRONG, Seed, copied, dumped, holder, parts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentflow import visualize
from agentflow.codegen import emit
from agentflow.driver import compile
from agentflow.listing import listing
from agentflow.manifest import manifest
from agentflow.rendering import FORMATS, render

SEEDS = [*RIGHT, *WRONG]
TREES = {seed: data for seed in SEEDS if isinstance(data := seed.data, dict)}
PIECES = [(place[-1], value) for data in TREES.values() for place, value in parts(data)]  # to be moved elsewhere
SLOW = 5  # processor seconds; nothing takes two on a machine that does nothing else
HOSTILE = [
    '"',
    "'",
    "\\",
    "{{",
    "}}",
    "{%",
    "%}",
    "{#",
    "\r",
    "\u2028",
    "\U0001f600",
    "\u202e",
    "&a ",
    "*a ",
    "- ",
    ": ",
    " #",
    "|",
    ">",
    "!",
    "[",
    "}",
    "null",
    "9" * 50,
    "{{ 9**(9**9) }}",
    "{{ input.x }}",
    "{% for x in input %}",
    "{% if",
    "__class__",
    "\t",
    "\x00",
]
VALUES: list[object] = [
    None,
    True,
    0,
    -1,
    1.5,
    10**30,
    float("inf"),
    "",
    " ",
    "x",
    "X",
    "input",
    "1h",
    "read",
    "dangerous",
    "string",
    "[string]",
    "string | null",
    "a | b",
    "x == 1",
    "input.x and not input.y",
    [],
    ["x"],
    {},
    {"x": 1},
    {"x": {"value": 1}},
    {"file": "x"},
    {"env": "X"},
    "{{ x }}",
    "{{ input }}",
    "{{ error.message }} {{ result }}",
    [[["x"]]],
]
NAMES = ["x", "input", "ＡＢ", "a b", "", "nodes", "result", "when", "with", "type", "_x", "a.b", "class", "1"]


class Accidents:
    """What may happen to a file; Hypothesis draws where and how."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw

    def one(self, choices: Sequence[Any]) -> Any:
        return self.draw(st.sampled_from(choices))

    def flip(self, content: bytes) -> bytes:
        at = self.draw(st.integers(0, max(len(content) - 1, 0)))
        return content[:at] + bytes([self.draw(st.integers(0, 255))]) + content[at + 1 :]

    def cut(self, content: bytes) -> bytes:
        at = self.draw(st.integers(0, len(content)))
        return content[:at] + content[at + self.draw(st.integers(1, 20)) :]

    def insert(self, content: bytes) -> bytes:
        at = self.draw(st.integers(0, len(content)))
        return content[:at] + str(self.one(HOSTILE)).encode() + content[at:]

    def repeat(self, content: bytes) -> bytes:
        at, other = (self.draw(st.integers(0, len(content))) for _ in range(2))
        return content[:at] + content[other : other + 30] + content[at:]

    def lose_line(self, content: bytes) -> bytes:
        lines = content.splitlines(True)
        at = self.draw(st.integers(0, max(len(lines) - 1, 0)))
        return b"".join(lines[:at] + lines[at + 1 :])

    def text(self, content: bytes) -> bytes:
        happen = self.one([self.flip, self.flip, self.cut, self.insert, self.insert, self.repeat, self.lose_line])
        return bytes(happen(content))

    # ------------------------------------------------------------ to its data

    def drop(self, data: Any) -> None:
        place, _ = self.place(data)
        del holder(data, place)[place[-1]]

    def rename(self, data: Any) -> None:
        """A key becomes another: any, or one that stands elsewhere in the file."""
        place, _ = self.place(data)
        inside = holder(data, place)
        if isinstance(inside, dict):
            others = [place[-1] for place, _ in parts(data) if isinstance(place[-1], str)]
            name = self.one([*NAMES, *others])
            renamed = {(name if key == place[-1] else key): value for key, value in inside.items()}
            inside.clear()
            inside.update(renamed)

    def retype(self, data: Any) -> None:
        place, value = self.place(data)
        wrapped = [[value], {"x": value}, str(value)]
        holder(data, place)[place[-1]] = copy.deepcopy(self.one([*VALUES, *wrapped]))

    def swap(self, data: Any) -> None:
        """Two values change places."""
        (one, first), (other, second) = self.place(data), self.place(data)
        if one[: len(other)] != other and other[: len(one)] != one:
            holder(data, one)[one[-1]], holder(data, other)[other[-1]] = second, first

    def refer(self, data: Any) -> None:
        """A text becomes another of the same file: what it refers to is another thing, or nothing."""
        texts = [(place, value) for place, value in parts(data) if isinstance(value, str)]
        if texts:
            place, _ = self.one(texts)
            holder(data, place)[place[-1]] = self.one(texts)[1]

    def move(self, data: Any) -> None:
        """A piece of any graph comes here, mostly where something of its name is."""
        key, piece = self.one(PIECES)
        same = [place for place, _ in parts(data) if place[-1] == key]
        there = bool(same) and self.draw(st.integers(0, 3)) > 0
        place = self.one(same) if there else self.place(data)[0]
        holder(data, place)[place[-1]] = copy.deepcopy(piece)

    def add(self, data: Any) -> None:
        """A piece of any graph comes beside what is here."""
        key, piece = self.one(PIECES)
        place, _ = self.place(data)
        inside = holder(data, place)
        if isinstance(inside, dict):
            inside[key] = copy.deepcopy(piece)
        else:
            inside.insert(place[-1], copy.deepcopy(piece))

    def place(self, data: Any) -> Any:
        found = list(parts(data))
        return self.one(found) if found else self.one(list(parts({"x": 1})))

    def data(self, data: Any) -> None:
        happen = [self.drop, self.rename, self.retype, self.swap, self.refer, self.refer, self.move, self.add]
        if data:
            self.one(happen)(data)


@st.composite
def files(draw: st.DrawFn) -> tuple[Seed, bytes]:
    """A graph to which one to three accidents happened, in its data or in its bytes."""
    accidents = Accidents(draw)
    times = draw(st.integers(1, 3))
    if draw(st.booleans()):
        seed = accidents.one(SEEDS)
        content = seed.text.encode()
        for _ in range(times):
            content = accidents.text(content)
        return seed, content
    right = draw(st.integers(0, 2)) > 0
    seed = accidents.one([one for one in (RIGHT if right else WRONG) if one in TREES])
    data = copy.deepcopy(TREES[seed])
    for _ in range(times):
        accidents.data(data)
    return seed, dumped(data).encode("utf-8", "replace")


def check(path: Path) -> float:
    """What it costs, in processor seconds."""
    started = time.process_time()
    result = compile(path)
    texts = result.source.files() if result.source else {}
    for diagnostic in result.diagnostics:
        assert diagnostic.message
        lines = texts.get(diagnostic.file, "").count("\n") + texts.get(diagnostic.file, "").count("\r") + 1
        assert 1 <= diagnostic.span.line <= lines or result.source is None
        assert diagnostic.span.column >= 1
    if result.program is None:
        assert any(diagnostic.severity == "error" for diagnostic in result.diagnostics)
    else:
        text, revision = emit(result.program)
        ast.parse(text)
        json.dumps(manifest(result.program, revision), allow_nan=False)
    took = time.process_time() - started
    for format in FORMATS:
        render(result.diagnostics, texts, format)
    if result.program is not None:
        listing(result.program)
        for picture in ("text", "mermaid"):
            visualize.render(result.program, picture)
    return took


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(tmp_path_factory.mktemp("projects"))


@settings(suppress_health_check=list(HealthCheck), deadline=None)
@given(files())
def test_a_mangled_graph_is_diagnosed_or_compiles(projects: Path, mangled: tuple[Seed, bytes]) -> None:
    seed, content = mangled
    file = projects / seed.project / "mangled.yaml"
    file.write_bytes(content)
    assert check(file) < SLOW


@pytest.mark.parametrize("seed", RIGHT, ids=repr)
def test_what_they_start_from_compiles(seed: Seed, projects: Path) -> None:
    file = projects / seed.project / "right.yaml"
    file.write_text(dumped(seed.data), encoding="utf-8")
    check(file)
    assert compile(file).program is not None
