"""Where boxes of different sizes go when they are joined by edges: in layers, every edge going down.

fast_sugiyama assigns the layers and the order within each. It knows no sizes and no declaration order, so
neighbours are put back as declared where that crosses no more edges, and the places are computed here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from agentflow.visualize.columns import columns
from agentflow.visualize.net import BEND, Edge, Net, Point, Size

GAP_Y: Final = 46.0
SWEEPS: Final = 24


@dataclass
class Arrangement:
    width: float
    height: float
    corners: list[Point]  # top left, for each box
    routes: dict[Edge, list[Point]]  # from the bottom of one box to the top of the other


def arrange(sizes: Sequence[Size], edges: Sequence[Edge], faint: Collection[Edge] = ()) -> Arrangement:
    """A connected graph without cycles, of two boxes or more; faint edges make way for the others."""
    net = _net(sizes, edges)
    net.faint = {vertex for edge in faint for vertex in net.chains[edge][1:-1]}
    rows = [max(net.sizes[vertex].height for vertex in layer) for layer in net.layers]
    tops = [sum(rows[:index]) + GAP_Y * index for index in range(len(rows))]
    centers = columns(net)
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


def _net(sizes: Sequence[Size], edges: Sequence[Edge]) -> Net:
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
    net = Net(len(sizes), every, [[v for _, v in sorted(layer)] for layer in layers], _chains(after, len(sizes)))
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


def _as_declared(net: Net, boxes: int) -> None:
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


def _declared(net: Net, boxes: int) -> dict[int, tuple[int, int]]:
    """Boxes by their place in the file, bends by where their edge ends: long edges pass on the right."""
    known = {vertex: (vertex, 0) for vertex in range(boxes)}
    for (source, target), chain in net.chains.items():
        for bend in chain[1:-1]:
            known[bend] = (boxes + target, source)
    return known


def _crossings(net: Net, place: dict[int, int], left: int, right: int) -> int:
    """Crossings between the edges of two neighbours in this order."""
    total = 0
    for side in (net.up, net.down):
        ends = sorted(place[other] for other in side.get(right, ()))
        total += sum(bisect_left(ends, place[other]) for other in side.get(left, ()))
    return total
