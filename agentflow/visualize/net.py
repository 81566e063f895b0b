"""The layered graph while it is arranged: boxes, and the bends where long edges pass a layer."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

GAP_X: Final = 28.0
BEND: Final = 14.0  # the width kept free for an edge that passes a layer

Edge = tuple[int, int]
Point = tuple[float, float]


@dataclass(frozen=True)
class Size:
    width: float
    height: float


@dataclass
class Net:
    """The layered graph: the first vertices are the boxes, the others places where long edges pass."""

    boxes: int
    sizes: list[Size]
    layers: list[list[int]]
    chains: dict[Edge, list[int]]
    up: dict[int, list[int]] = field(default_factory=dict)
    down: dict[int, list[int]] = field(default_factory=dict)
    row: dict[int, int] = field(default_factory=dict)
    faint: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.row = {vertex: index for index, layer in enumerate(self.layers) for vertex in layer}
        for chain in self.chains.values():
            for source, target in pairwise(chain):
                self.down.setdefault(source, []).append(target)
                self.up.setdefault(target, []).append(source)
