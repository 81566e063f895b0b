"""Where boxes of different sizes go when they are joined by edges: in layers, every edge going down.

fast_sugiyama assigns the layers and the order within each. It knows no sizes and no declaration order, so
neighbours are put back as declared where that crosses no more edges, and the places are computed here.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

GAP_X: Final = 28.0
GAP_Y: Final = 46.0
CLOSE: Final = 12.0  # the least gap beside a straightened edge
BEND: Final = 14.0  # the width kept free for an edge that passes a layer
SWEEPS: Final = 24

Edge = tuple[int, int]
Point = tuple[float, float]
Middle = Callable[[list[tuple[float, float]]], float]


@dataclass(frozen=True)
class Size:
    width: float
    height: float


@dataclass
class Arrangement:
    width: float
    height: float
    corners: list[Point]  # top left, for each box
    routes: dict[Edge, list[Point]]  # from the bottom of one box to the top of the other


@dataclass
class _Net:
    """The layered graph: the first vertices are the boxes, the others places where long edges pass."""

    sizes: list[Size]
    layers: list[list[int]]
    chains: dict[Edge, list[int]]
    up: dict[int, list[int]] = field(default_factory=dict)
    down: dict[int, list[int]] = field(default_factory=dict)
    row: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.row = {vertex: index for index, layer in enumerate(self.layers) for vertex in layer}
        for chain in self.chains.values():
            for source, target in zip(chain, chain[1:], strict=False):
                self.down.setdefault(source, []).append(target)
                self.up.setdefault(target, []).append(source)


def arrange(sizes: Sequence[Size], edges: Sequence[Edge]) -> Arrangement:
    """A connected graph without cycles, of two boxes or more."""
    net = _net(sizes, edges)
    rows = [max(net.sizes[vertex].height for vertex in layer) for layer in net.layers]
    tops = [sum(rows[:index]) + GAP_Y * index for index in range(len(rows))]
    centers = _columns(net)
    left = min(centers[v] - net.sizes[v].width / 2 for v in range(len(net.sizes)))
    right = max(centers[v] + net.sizes[v].width / 2 for v in range(len(net.sizes)))
    corners = [(centers[v] - left - size.width / 2, tops[net.row[v]]) for v, size in enumerate(sizes)]
    routes: dict[Edge, list[Point]] = {}
    for edge, chain in net.chains.items():
        source, target = edge
        points = [(centers[source] - left, corners[source][1] + sizes[source].height)]
        points.append((centers[source] - left, tops[net.row[source]] + rows[net.row[source]]))
        for bend in chain[1:-1]:
            row = net.row[bend]
            points += [(centers[bend] - left, tops[row]), (centers[bend] - left, tops[row] + rows[row])]
        points += [(centers[target] - left, tops[net.row[target]]), (centers[target] - left, corners[target][1])]
        routes[edge] = points
    return Arrangement(right - left, tops[-1] + rows[-1], corners, routes)


def _net(sizes: Sequence[Size], edges: Sequence[Edge]) -> _Net:
    from fast_sugiyama import from_edges  # only pictures need it

    (positions, _, _, steps), *_ = from_edges(edges, dummy_vertices=True, crossing_minimization="barycenter")
    heights = sorted({y for _, (_, y) in positions}, reverse=True)
    rows = {y: index for index, y in enumerate(heights)}
    layers: list[list[tuple[float, int]]] = [[] for _ in heights]
    known = [(int(vertex), x, rows[y]) for vertex, (x, y) in positions]
    bends = sorted(vertex for vertex, _, _ in known if vertex >= len(sizes))
    number = {vertex: len(sizes) + index for index, vertex in enumerate(bends)}
    for vertex, x, row in known:
        layers[row].append((x, number.get(vertex, vertex)))
    after: dict[int, list[int]] = {}
    for source, target in steps or ():
        a, b = number.get(int(source), int(source)), number.get(int(target), int(target))
        after.setdefault(a, []).append(b)
    every = [*sizes, *(Size(BEND, 0.0) for _ in bends)]
    net = _Net(every, [[v for _, v in sorted(layer)] for layer in layers], _chains(after, len(sizes)))
    _as_declared(net, len(sizes))
    return net


def _chains(after: dict[int, list[int]], boxes: int) -> dict[Edge, list[int]]:
    chains = {}
    for source in range(boxes):
        for step in after.get(source, ()):
            chain = [source, step]
            while chain[-1] >= boxes:
                chain.append(after[chain[-1]][0])
            chains[source, chain[-1]] = chain
    return chains


# ---------------------------------------------------------------- order within a layer


def _as_declared(net: _Net, boxes: int) -> None:
    """Mirror the whole where that suits the file better, then swap neighbours while it costs no crossing."""
    agreeing = sum(_agreement(layer, boxes) for layer in net.layers)
    if agreeing < 0:
        net.layers = [layer[::-1] for layer in net.layers]
    declared = _declared(net, boxes)
    for _ in range(SWEEPS):
        swapped = False
        place = {vertex: at for layer in net.layers for at, vertex in enumerate(layer)}
        for layer in net.layers:
            for at in range(len(layer) - 1):
                left, right = layer[at], layer[at + 1]
                now, then = _crossings(net, place, left, right), _crossings(net, place, right, left)
                if then < now or (then == now and declared[right] < declared[left]):
                    layer[at], layer[at + 1] = right, left
                    place[left], place[right] = at + 1, at
                    swapped = True
        if not swapped:
            return


def _agreement(layer: list[int], boxes: int) -> int:
    own = [vertex for vertex in layer if vertex < boxes]
    return sum(1 if a < b else -1 for index, a in enumerate(own) for b in own[index + 1 :])


def _declared(net: _Net, boxes: int) -> dict[int, tuple[int, int]]:
    """Boxes by their place in the file, bends by where their edge ends: long edges pass on the right."""
    known = {vertex: (vertex, 0) for vertex in range(boxes)}
    for (source, target), chain in net.chains.items():
        for bend in chain[1:-1]:
            known[bend] = (boxes + target, source)
    return known


def _crossings(net: _Net, place: dict[int, int], left: int, right: int) -> int:
    """Crossings between the edges of two neighbours in this order."""
    total = 0
    for side in (net.up, net.down):
        ends = sorted(place[other] for other in side.get(right, ()))
        total += sum(bisect_left(ends, place[other]) for other in side.get(left, ()))
    return total


# ---------------------------------------------------------------- places along a layer


def _columns(net: _Net) -> list[float]:
    """The middle of each vertex: near to its neighbours, in order, and never closer than the gap."""
    centers = [0.0] * len(net.sizes)
    for layer in net.layers:
        x = 0.0
        for vertex in layer:
            centers[vertex] = x + net.sizes[vertex].width / 2
            x += net.sizes[vertex].width + GAP_X
    for sweep in range(SWEEPS):
        _sweep(net, centers, downward=sweep % 2 == 0, middle=_mean if sweep < SWEEPS - 8 else _median)
    for _ in range(2):
        for chain in net.chains.values():
            _straighten(net, centers, chain[1:-1])
    return centers


def _sweep(net: _Net, centers: list[float], *, downward: bool, middle: Middle) -> None:
    towards = net.up if downward else net.down
    for layer in net.layers if downward else net.layers[::-1]:
        wanted, weights = [], []
        for vertex in layer:
            pulls = [(centers[other], _pull(net, vertex, other)) for other in towards.get(vertex, ())]
            wanted.append(middle(pulls) if pulls else centers[vertex])
            weights.append(sum(weight for _, weight in pulls) or 0.1)
        for vertex, x in zip(layer, _apart(net, layer, wanted, weights), strict=True):
            centers[vertex] = x


def _mean(pulls: list[tuple[float, float]]) -> float:
    return sum(x * weight for x, weight in pulls) / sum(weight for _, weight in pulls)


def _median(pulls: list[tuple[float, float]]) -> float:
    """Weighted: straight below one neighbour rather than between all of them."""
    half, passed = sum(weight for _, weight in pulls) / 2, 0.0
    ordered = sorted(pulls)
    for at, (x, weight) in enumerate(ordered):
        passed += weight
        if passed > half:
            return x
        if passed == half:
            return (x + ordered[at + 1][0]) / 2
    raise AssertionError("weights are positive")


def _pull(net: _Net, one: int, other: int) -> float:
    """Long edges are kept straight first."""
    bends = (net.sizes[one].height == 0) + (net.sizes[other].height == 0)
    return (1.0, 3.0, 12.0)[bends]


def _straighten(net: _Net, centers: list[float], bends: list[int]) -> None:
    """As few straight lines as the boxes beside leave room for."""
    run: list[int] = []
    low, high = -math.inf, math.inf
    for bend in bends:
        left, right = _room(net, centers, bend)
        if max(low, left) > min(high, right):
            _line_up(centers, run, low, high)
            run, low, high = [], -math.inf, math.inf
        run, low, high = [*run, bend], max(low, left), min(high, right)
    _line_up(centers, run, low, high)


def _line_up(centers: list[float], run: list[int], low: float, high: float) -> None:
    middle = sorted(centers[bend] for bend in run)[len(run) // 2] if run else 0.0
    for bend in run:
        centers[bend] = min(max(middle, low), high)


def _room(net: _Net, centers: list[float], bend: int) -> tuple[float, float]:
    layer = net.layers[net.row[bend]]
    at = layer.index(bend)
    low, high = -math.inf, math.inf
    if at:
        low = centers[layer[at - 1]] + (net.sizes[layer[at - 1]].width + BEND) / 2 + CLOSE
    if at + 1 < len(layer):
        high = centers[layer[at + 1]] - (net.sizes[layer[at + 1]].width + BEND) / 2 - CLOSE
    here = centers[bend]
    return min(low, here), max(high, here)


def _apart(net: _Net, layer: list[int], wanted: list[float], weights: list[float]) -> list[float]:
    """The places nearest to those wanted that keep order and gaps: pool adjacent violators."""
    offsets = [0.0]
    for left, right in zip(layer, layer[1:], strict=False):
        offsets.append(offsets[-1] + (net.sizes[left].width + net.sizes[right].width) / 2 + GAP_X)
    pools: list[tuple[float, float, int]] = []  # place, weight, count
    for want, weight, offset in zip(wanted, weights, offsets, strict=True):
        pools.append((want - offset, weight, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (x, w, n), (y, v, m) = pools[-2:]
            pools[-2:] = [((x * w + y * v) / (w + v), w + v, n + m)]
    starts = [place for place, _, count in pools for _ in range(count)]
    return [start + offset for start, offset in zip(starts, offsets, strict=True)]
