"""Ways for edges that take no part in the layout: beside the boxes, between them, or below their row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from agentflow.visualize.boxes import Edge
from agentflow.visualize.cards import Card
from agentflow.visualize.net import Point

LANE: Final = 14.0
BELOW: Final = 12.0


@dataclass
class Lanes:
    """The ways, and the room they take at the left, at the right and below."""

    routes: list[tuple[Edge, list[Point]]] = field(default_factory=list)
    left: float = 0.0
    right: float = 0.0
    below: float = 0.0


def routes(cards: Sequence[Card], edges: Sequence[tuple[Edge, int, int]], width: float) -> Lanes:
    lanes = Lanes()
    bottom = max((card.y + card.height for card in cards), default=0.0)
    for number, (edge, source, target) in enumerate(edges):
        points = _route(cards[source], cards[target], cards, lanes, width, number)
        lanes.below = max(lanes.below, max(y for _, y in points) - bottom + 4)
        lanes.routes.append((edge, points))
    lanes.left += 4 if lanes.left else 0
    lanes.right += 4 if lanes.right else 0
    return lanes


def _route(source: Card, target: Card, cards: Sequence[Card], lanes: Lanes, width: float, number: int) -> list[Point]:
    if source.y == target.y:
        return _in_row(source, target, cards, number)
    right = _free(source, cards, 1) + _free(target, cards, 1) >= _free(source, cards, -1) + _free(target, cards, -1)
    if right:
        lanes.right += LANE
        x, way = width + lanes.right, 1
    else:
        lanes.left += LANE
        x, way = -lanes.left, -1
    leaving = _door(source, cards, way, x, 0.68, number)
    arriving = _door(target, cards, way, x, 0.42, number)
    return [*leaving, *reversed(arriving)]


def _in_row(source: Card, target: Card, cards: Sequence[Card], number: int) -> list[Point]:
    way = 1 if source.x < target.x else -1
    low, high = min(source.x, target.x), max(source.x, target.x)
    if not any(card.y == source.y and low < card.x < high for card in cards):
        y = max(source.top, target.top) + min(_body(source), _body(target)) * 0.6
        return [(_side(source, way), y), (_side(target, -way), y)]
    y = _row_end(source, cards) + BELOW + 4 * (number % 4)
    start, end = source.x + source.width / 2 + 14 * way, target.x + target.width / 2 - 14 * way
    return [(start, source.y + source.height), (start, y), (end, y), (end, target.y + target.height)]


def _door(card: Card, cards: Sequence[Card], way: int, x: float, part: float, number: int) -> list[Point]:
    """From a card to the lane at `x`: straight out of its side, or below the others of its row."""
    if _free(card, cards, way):
        y = card.top + _body(card) * part
        return [(_side(card, way), y), (x, y)]
    start = card.x + card.width / 2 + (18 + 6 * (number % 3)) * way
    y = _row_end(card, cards) + BELOW + 4 * (number % 4)
    return [(start, card.y + card.height), (start, y), (x, y)]


def _free(card: Card, cards: Sequence[Card], way: int) -> bool:
    return not any(other.y == card.y and (other.x - card.x) * way > 0 for other in cards)


def _row_end(card: Card, cards: Sequence[Card]) -> float:
    return max(other.y + other.height for other in cards if other.y == card.y)


def _side(card: Card, way: int) -> float:
    return card.x + card.width if way > 0 else card.x


def _body(card: Card) -> float:
    return card.y + card.height - card.top
