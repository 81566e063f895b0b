"""Boxes within boxes and the edges between them: what Mermaid, DOT and SVG all draw.

Edges join boxes of the same level only, as in the language, where nothing sees into a group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agentflow.visualize.facts import Fact

Look = Literal["order", "implied", "case", "handoff", "asks", "error", "frame"]


@dataclass(frozen=True)
class Inside:
    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]


@dataclass(frozen=True)
class Box:
    id: str
    name: str
    kind: str  # the verb, or `input`, `output`, `decision`, `member` (an agent of a team)
    facts: tuple[Fact, ...] = ()  # what is written on it
    title: str = ""  # everything, on several lines
    entry: tuple[str, ...] = ()  # what must hold for it to be entered: a case, a condition
    inside: Inside | None = None
    branch: bool = False  # of a `parallel`: all of them begin at once


@dataclass(frozen=True)
class Edge:
    source: str
    target: str
    look: Look = "order"
    label: str = ""
    conditional: bool = False
    both_ways: bool = False
    back: bool = False  # against the flow: takes no part in the layout


@dataclass(frozen=True)
class Diagram:
    name: str
    kind: str
    description: str
    source: str
    inside: Inside
