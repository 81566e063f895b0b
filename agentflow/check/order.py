"""Nodes that wait for each other, or for themselves: no order lets them start."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from agentflow.check.places import Analysis, Block, Place
from agentflow.diagnostics import Diagnostic, quoted

SHOWN = 12  # nodes of a cycle that are named


@dataclass(eq=False)
class Order:
    """The nodes of each block in an order of their edges; those on a cycle come last."""

    analysis: Analysis
    _orders: dict[int, list[str]] = field(default_factory=dict)
    _circular: dict[int, list[list[str]]] = field(default_factory=dict)
    _places: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        for block in self.analysis.blocks:
            order = topological({name: [*before] for name, before in block.edges.items()})
            rings: list[list[str]] = []
            if len(order) < len(block.places):
                rings = components(block, {*order})
                self._places |= {id(block.places[name]) for ring in rings for name in ring}
                done = {*order}
                order += [name for name in block.places if name not in done]
            self._orders[id(block)] = order
            self._circular[id(block)] = rings

    def of(self, block: Block) -> list[str]:
        return self._orders[id(block)]

    def rings(self, block: Block) -> list[list[str]]:
        return self._circular[id(block)]

    def is_circular(self, place: Place) -> bool:
        return id(place) in self._places


def check(analysis: Analysis, order: Order) -> Iterator[Diagnostic]:
    source = analysis.graph.source
    for place, cause in analysis.itself:
        name = quoted(place.node.name)
        message = f"the node {name} {cause.word} itself"
        if cause.word == "refers to" and place.blocks + place.branches:
            message = f"the node {name} cannot refer to itself from inside: its value is there when it is done"
        yield source.error("self-reference", message, cause.path, part=cause.part)
    for block in analysis.blocks:
        for ring in order.rings(block):
            yield _cycle(analysis, block, ring)


def _cycle(analysis: Analysis, block: Block, ring: list[str]) -> Diagnostic:
    way = shortest(block, ring)
    causes = [(name, block.edges[name][before]) for name, before in zip(way, [*way[1:], way[0]], strict=True)]
    shown = [*way[:SHOWN], "...", way[-1]] if len(way) > SHOWN + 1 else way
    message = "these nodes wait for each other: " + " -> ".join([*shown, way[0]])
    first = causes[0][1]
    related = tuple(
        (analysis.span(cause), f"{quoted(name)} {cause.word} {quoted(before)} here")
        for (name, cause), before in list(zip(causes, [*way[1:], way[0]], strict=True))[1:SHOWN]
    )
    note = f"{quoted(way[0])} {first.word} {quoted(way[1])} here"
    help = "an arrow points from a node to the one it waits for; one of them must do without the other"
    return analysis.graph.source.error(
        "cycle", message, first.path, part=first.part, note=note, help=help, related=related
    )


def topological(edges: Mapping[str, Sequence[str]]) -> list[str]:
    """Each node after all that it waits for, the first in the file first; nodes on or after a cycle are left out."""
    names = list(edges)
    place = {name: at for at, name in enumerate(names)}
    after: dict[str, list[str]] = {name: [] for name in names}
    for name, before in edges.items():
        for one in before:
            after[one].append(name)
    missing = {name: len(before) for name, before in edges.items()}
    ready = [place[name] for name in names if not missing[name]]
    order: list[str] = []
    while ready:
        name = names[heapq.heappop(ready)]
        order.append(name)
        for later in after[name]:
            missing[later] -= 1
            if not missing[later]:
                heapq.heappush(ready, place[later])
    return order


def components(block: Block, done: set[str]) -> list[list[str]]:
    """Sets of nodes that all wait for each other, each in the order of the file (Tarjan's, without recursion)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    on_stack: set[str] = set()
    stack: list[str] = []
    found: list[list[str]] = []
    place = {name: at for at, name in enumerate(block.places)}
    for start in block.places:
        if start in index or start in done:
            continue
        work: list[tuple[str, Iterator[str]]] = [(start, iter(block.edges[start]))]
        index[start] = low[start] = len(index)
        stack.append(start)
        on_stack.add(start)
        while work:
            name, rest = work[-1]
            for other in rest:
                if other in done:
                    continue
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    on_stack.add(other)
                    work.append((other, iter(block.edges[other])))
                    break
                if other in on_stack:
                    low[name] = min(low[name], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[name])
                if low[name] == index[name]:
                    ring = [stack.pop()]
                    while ring[-1] != name:
                        ring.append(stack.pop())
                    on_stack -= {*ring}
                    if len(ring) > 1:
                        found.append(sorted(ring, key=place.__getitem__))
    return sorted(found, key=lambda ring: place[ring[0]])


def shortest(block: Block, ring: list[str]) -> list[str]:
    """A shortest way from the ring's first node back to it, along what each waits for."""
    start, inside = ring[0], {*ring}
    came: dict[str, str] = {}
    queue = deque([start])
    while queue:
        name = queue.popleft()
        for before in block.edges[name]:
            if before == start:
                way = [name]
                while way[-1] != start:
                    way.append(came[way[-1]])
                return way[::-1]
            if before in inside and before not in came:
                came[before] = name
                queue.append(before)
    return ring
