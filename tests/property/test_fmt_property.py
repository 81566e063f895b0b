"""Graphs that mean something, written in any order and any style: `fmt` keeps what they say and every comment."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agentflow.arrangement import FILE, Shape, arranged
from agentflow.formatting import Left, formatted
from agentflow.scalars import Truth, plain
from agentflow.source import read
from agentflow.types import Json
from agentflow.yamltree import build

ROOT = Path(__file__).parents[2]
FILES = [
    *(path for path in sorted(ROOT.glob("graphs/*.yaml")) if path.name.count(".") == 1),
    *sorted(ROOT.glob("tests/golden/*/graph.yaml")),
]


def said(text: str) -> Json:
    problems: list[str] = []
    tree = build(text, lambda code, *_, **__: problems.append(code))
    assert tree is not None and not problems, (problems, text)
    return tree.data


DATA = [source.data for path in FILES if (source := read(path)[0]) is not None]
_PLAIN = re.compile(r"(?:\S(?:[ -~\u00a1-\u1fff]*\S)?)(?:\n\S(?:[ -~\u00a1-\u1fff]*\S)?)*")


class Writer:
    """Writes data as YAML: mappings that have an order in any, blocks or braces, comments anywhere between."""

    remarks = True

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.comments: list[str] = []

    def comment(self) -> str:
        self.comments.append(
            f"# remark {len(self.comments)} {self.dice.choice(['', 'a: b', '- x', '{', '#'])}".rstrip()
        )
        return self.comments[-1]

    def file(self, data: Json) -> str:
        text = "".join(f"{self.comment()}\n" for _ in range(self.dice.randrange(3) * self.remarks))
        text += self.block(data, FILE, 0) if isinstance(data, dict) else self.flow(data, FILE)
        return text + self.dice.choice(["", "\n", "# the end\n"])

    def keys(self, data: dict[str, Json], shape: Shape) -> list[Any]:
        keys = list(data)
        if shape.order(data):
            self.dice.shuffle(keys)
        return keys

    def block(self, data: dict[str, Json], shape: Shape, indent: int) -> str:
        lines = []
        for key in self.keys(data, shape):
            lines += [" " * indent + self.comment() + "\n"] if self.remarks and self.dice.random() < 0.2 else []
            lines += ["\n"] if self.dice.random() < 0.1 else []
            lines.append(" " * indent + self.key(key) + ":" + self.value(data[key], shape.of(key), indent))
        return "".join(lines)

    def value(self, data: Json, shape: Shape, indent: int) -> str:
        """What stands behind a colon or a dash, up to the end of its last line."""
        tail = f"  {self.comment()}\n" if self.remarks and self.dice.random() < 0.15 else "\n"
        if isinstance(data, dict) and data and self.dice.random() < 0.7:
            return tail + self.block(data, shape, indent + self.dice.choice([1, 2, 4]))
        if isinstance(data, list) and data and self.dice.random() < 0.5:
            inner = indent + self.dice.choice([0, 2]) if tail == "\n" else indent + 2
            return tail + "".join(self.item(item, shape.each or Shape(), inner) for item in data)
        if isinstance(data, str) and _PLAIN.fullmatch(data) and self.dice.random() < 0.3:
            return " |-\n" + "".join(" " * (indent + 2) + line + "\n" for line in data.split("\n"))
        return " " + self.flow(data, shape) + tail

    def item(self, data: Json, shape: Shape, indent: int) -> str:
        above = " " * indent + self.comment() + "\n" if self.remarks and self.dice.random() < 0.2 else ""
        if isinstance(data, dict) and data and self.dice.random() < 0.5:
            block = self.block(data, shape, indent + 2)
            if block.lstrip(" ").startswith(("#", "\n")) or self.dice.random() < 0.3:
                return f"{above}{' ' * indent}-\n{block}"
            return f"{above}{' ' * indent}- {block[indent + 2 :]}"
        return f"{above}{' ' * indent}-{self.value(data, shape, indent)}"

    def flow(self, data: Json, shape: Shape) -> str:
        comma = self.dice.choice([", ", ",", ",  "])
        if isinstance(data, dict):
            entries = [f"{self.key(key)}: {self.flow(data[key], shape.of(key))}" for key in self.keys(data, shape)]
            return "{" + comma.join(entries) + "}"
        if isinstance(data, list):
            return "[" + comma.join(self.flow(item, shape.each or Shape()) for item in data) + "]"
        return json.dumps(data, ensure_ascii=False) if not isinstance(data, str) else json.dumps(data)

    def key(self, key: object) -> str:
        if isinstance(key, str) and not isinstance(key, Truth):
            return key if isinstance(plain(key), str) else json.dumps(key)
        return str(key)


@settings(max_examples=600, deadline=None)
@given(data=st.sampled_from(DATA), seed=st.integers(0, 2**32))
def test_what_is_said_stays_and_nothing_is_lost(data: Json, seed: int) -> None:
    writer = Writer(random.Random(seed))
    text = writer.file(data)
    before = said(text)
    once = formatted(text)
    assert arranged(said(once)) == arranged(before)
    assert formatted(once) == once
    for comment in writer.comments:
        assert len(re.findall(re.escape(comment) + "$", once, re.MULTILINE)) == text.count(comment + "\n"), comment


@settings(max_examples=300, deadline=None)
@given(data=st.sampled_from(DATA), seed=st.integers(0, 2**32))
def test_any_order_becomes_the_same(data: Json, seed: int) -> None:
    """Without comments nothing keeps a key from its place."""

    class Plain(Writer):
        remarks = False

    class Ordered(Plain):
        def keys(self, data: dict[str, Json], shape: Shape) -> list[Any]:
            return shape.arranged(data)

    texts = [formatted(kind(random.Random(seed)).file(data)) for kind in (Plain, Ordered)]
    shown = [list(walk(said(text))) for text in texts]
    assert shown[0] == shown[1]


def walk(data: Json) -> Any:
    """The keys in the order in which they stand."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield str(key)
            yield from walk(value)
    elif isinstance(data, list):
        for item in data:
            yield from walk(item)


LINES = st.lists(
    st.sampled_from(
        [
            "graph: a", "agentflow: 1", "nodes:", "  a:", "  b: {with: {x: 1}, tool: t}", "    tool: t", "    when: x",
            "    prompt: |", "      # text", "      more", "", "# note", "  # note", "    # note", "input: {a: string}",
            "    agent: w", "    escalate:", "      - timeout: 1h", "        to: [a]", "      -", "    prompt: 'a",
            "# b'", "output: &x {a: 1}", "finally: *x", "types:", "    prompt: |+", "tools: {a: {", "# c", "}}",
        ]
    ),
    max_size=14,
)  # fmt: skip


@settings(max_examples=1500, deadline=None)
@given(lines=LINES, end=st.sampled_from(["", "\n", "\r\n", "\n\n"]))
def test_whatever_the_lines_it_keeps_them_or_lets_them_be(lines: list[str], end: str) -> None:
    text = "\n".join(lines) + end
    try:
        once = formatted(text)
    except Left:
        return
    assert sorted("".join(once.split())) == sorted("".join(text.split()))
    assert arranged(said(once)) == arranged(said(text))
    assert formatted(once) == once
