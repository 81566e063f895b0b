"""The order of a block's nodes as edges between their places, and which of them others already imply."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush

from agentflow.ir import Block, Line

Edge = tuple[int, int]


def edges_of(block: Block) -> list[Edge]:
    """Who waits for whom, by place in the file: what nodes refer to, and what the plan adds for `steps`."""
    place = {node.name: index for index, node in enumerate(block.nodes)}
    edges = [
        (place[name], index)
        for index, node in enumerate(block.nodes)
        for name in node.needs
        if name in place and place[name] != index
    ]
    return list(dict.fromkeys(edges + _planned(block, place, edges)))


def _planned(block: Block, place: dict[str, int], edges: list[Edge]) -> list[Edge]:
    """A line comes after all that stands before it in the plan; this adds what no reference says."""
    added: list[Edge] = []
    reached = ancestors(len(block.nodes), edges) if is_acyclic(len(block.nodes), edges) else None
    if reached is None:
        return added
    items = [[place[item.node]] if isinstance(item, Line) else [place[n] for n in item.nodes] for item in block.plan]
    for before, after, item, previous in zip(items, items[1:], block.plan[1:], block.plan, strict=False):
        if isinstance(item, Line) or isinstance(previous, Line):
            added += [(a, b) for b in after for a in before if not reached[b] >> a & 1]
    return added


def ancestors(count: int, edges: Sequence[Edge]) -> list[int]:
    """For each node the set of those before it, as bits."""
    before: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        before[target].append(source)
    reached = [0] * count
    for node in topological(count, edges):
        for source in before[node]:
            reached[node] |= reached[source] | 1 << source
    return reached


def topological(count: int, edges: Sequence[Edge]) -> list[int]:
    """The nodes in an order that keeps the edges and else the file's; those on a cycle are left out."""
    after: list[list[int]] = [[] for _ in range(count)]
    waits = [0] * count
    for source, target in edges:
        after[source].append(target)
        waits[target] += 1
    ready = [node for node in range(count) if not waits[node]]
    ordered = []
    while ready:
        node = heappop(ready)
        ordered.append(node)
        for target in after[node]:
            waits[target] -= 1
            if not waits[target]:
                heappush(ready, target)
    return ordered


def is_acyclic(count: int, edges: Sequence[Edge]) -> bool:
    return len(topological(count, edges)) == count


def implied(count: int, edges: Sequence[Edge]) -> set[Edge]:
    """The edges that a longer path makes needless."""
    reached = ancestors(count, edges)
    before: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        before[target].append(source)
    return {
        (source, target)
        for source, target in edges
        if any(other != source and reached[other] >> source & 1 for other in before[target])
    }
