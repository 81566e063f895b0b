"""How far to the right each vertex of a layered graph stands: near its neighbours, and never too close."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Final

from agentflow.visualize.net import BEND, GAP_X, Net

CLOSE: Final = 12.0  # the least gap beside a straightened edge
SWEEPS: Final = 24

Middle = Callable[[list[tuple[float, float]]], float]


def columns(net: Net) -> list[float]:
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


def _sweep(net: Net, centers: list[float], *, downward: bool, middle: Middle) -> None:
    towards = net.up if downward else net.down
    for layer in net.layers if downward else net.layers[::-1]:
        wanted, weights = [], []
        for vertex in layer:
            pulls = [(centers[other], _pull(net, vertex, other)) for other in towards.get(vertex, ())]
            wanted.append(middle(pulls) if pulls else centers[vertex])
            weights.append(sum(weight for _, weight in pulls) or 0.01)
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


def _pull(net: Net, one: int, other: int) -> float:
    """Long edges are kept straight first."""
    bends = (one >= net.boxes) + (other >= net.boxes)
    if bends and (one in net.faint or other in net.faint):
        return (0.0, 0.001, 0.01)[bends]
    return (1.0, 3.0, 12.0)[bends]


def _straighten(net: Net, centers: list[float], bends: list[int]) -> None:
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


def _room(net: Net, centers: list[float], bend: int) -> tuple[float, float]:
    layer = net.layers[net.row[bend]]
    at = layer.index(bend)
    low, high = -math.inf, math.inf
    if at:
        low = centers[layer[at - 1]] + (net.sizes[layer[at - 1]].width + BEND) / 2 + CLOSE
    if at + 1 < len(layer):
        high = centers[layer[at + 1]] - (net.sizes[layer[at + 1]].width + BEND) / 2 - CLOSE
    here = centers[bend]
    return min(low, here), max(high, here)


def _apart(net: Net, layer: list[int], wanted: list[float], weights: list[float]) -> list[float]:
    """The places nearest to those wanted that keep order and gaps: pool adjacent violators."""
    offsets = [0.0]
    for left, right in pairwise(layer):
        offsets.append(offsets[-1] + (net.sizes[left].width + net.sizes[right].width) / 2 + GAP_X)
    pools: list[tuple[float, float, int]] = []  # place, weight, count
    for want, weight, offset in zip(wanted, weights, offsets, strict=True):
        pools.append((want - offset, weight, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (x, w, n), (y, v, m) = pools[-2:]
            pools[-2:] = [((x * w + y * v) / (w + v), w + v, n + m)]
    starts = [place for place, _, count in pools for _ in range(count)]
    return [start + offset for start, offset in zip(starts, offsets, strict=True)]
