"""From a graph to the program: edges, names, and the plan of lines and regions."""

from __future__ import annotations

import random
import time

import pytest

from agentflow import ir
from agentflow.lower import plan


def shape(names: str, **edges: str) -> str:
    found = plan(names.split(), {name: edges.get(name, "").split() for name in names.split()})
    return " ".join(part.node if isinstance(part, ir.Line) else "[" + " ".join(part.nodes) + "]" for part in found)


@pytest.mark.parametrize(
    ("names", "edges", "expected"),
    [
        ("a", {}, "a"),
        ("a b", {}, "[a b]"),
        ("a b c", {"b": "a", "c": "b"}, "a b c"),
        ("c b a", {"b": "a", "c": "b"}, "a b c"),
        ("a b c d", {"b": "a", "c": "a", "d": "b c"}, "a [b c] d"),
        ("m f d s p l", {"d": "m f", "s": "d", "p": "d s", "l": "p"}, "[m f] d s p l"),
        ("a b c d", {"b": "a", "d": "c"}, "[a b c d]"),
        ("a b c d e", {"c": "a b", "d": "c", "e": "c"}, "[a b] c [d e]"),
        # In the file z stands before what it waits for; m has no path to p, n and z.
        ("x z m p n y", {"p": "x", "n": "p", "z": "n", "m": "x", "y": "z m"}, "x [z m p n] y"),
        ("a b c d", {"c": "a b", "d": "a b"}, "[a b c d]"),
    ],
)
def test_the_plan(names: str, edges: dict[str, str], expected: str) -> None:
    assert shape(names, **edges) == expected


def test_a_node_is_in_line_when_every_other_is_its_ancestor_or_descendant() -> None:
    chosen = random.Random(7)
    for _ in range(300):
        size = chosen.randint(1, 9)
        names = [f"n{at}" for at in range(size)]
        hidden = chosen.sample(names, size)  # an order that the file does not show
        share = chosen.random()
        edges = {name: [one for one in hidden[:at] if chosen.random() < share] for at, name in enumerate(hidden)}
        above: dict[str, set[str]] = {}
        for name in hidden:
            above[name] = set().union(*({one} | above[one] for one in edges[name]))
        comparable = {name for name in names if all(o == name or o in above[name] or name in above[o] for o in names)}
        parts = plan(names, edges)
        assert {part.node for part in parts if isinstance(part, ir.Line)} == comparable
        seen: set[str] = set()
        for part in parts:
            here = {part.node} if isinstance(part, ir.Line) else set(part.nodes)
            assert all(above[name] <= seen | here for name in here)
            seen |= here
        assert seen == set(names)


def test_ten_thousand_nodes_are_planned_at_once() -> None:
    names = [f"n{at}" for at in range(10_000)]
    edges = {name: names[max(at - 3, 0) : at] if at % 7 else [] for at, name in enumerate(names)}
    started = time.process_time()
    plan(names, edges)
    assert time.process_time() - started < 20  # quadratic would take minutes
