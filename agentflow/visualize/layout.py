"""A diagram with sizes and places: cards with their lines of text, boxes around groups, edges as lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from agentflow.visualize import lanes, layers
from agentflow.visualize.boxes import Edge, Inside
from agentflow.visualize.cards import Card, Placement, Route, card_of
from agentflow.visualize.layers import GAP_Y
from agentflow.visualize.net import GAP_X, Size

ROW: Final = 1240.0  # the widest row of boxes that no edge joins
MANY_ROOTS: Final = 6


def place(inside: Inside) -> Placement:
    within = [place(box.inside) if box.inside is not None and box.inside.boxes else None for box in inside.boxes]
    return _placed([card_of(box, part) for box, part in zip(inside.boxes, within, strict=True)], _drawn(inside))


def _drawn(inside: Inside) -> list[Edge]:
    """Where many nodes start at once, the input's and the output's edges would hide the others."""
    framed = [edge for edge in inside.edges if edge.look == "frame"]
    starts = sum(inside.boxes[0].id == edge.source for edge in framed)
    if max(starts, len(framed) - starts) <= MANY_ROOTS:
        return list(inside.edges)
    return [edge for edge in inside.edges if edge.look != "frame"]


def _placed(boxes: list[Card], edges: list[Edge]) -> Placement:
    index = {sized.box.id: place for place, sized in enumerate(boxes)}
    parts = [_part(boxes, part, edges, index) for part in _connected(len(boxes), edges, index)]
    return _rows(parts)


def _connected(count: int, edges: Sequence[Edge], index: dict[str, int]) -> list[list[int]]:
    """The boxes that edges join, by the first declared of each."""
    leader = list(range(count))

    def find(place: int) -> int:
        while leader[place] != place:
            leader[place] = leader[leader[place]]
            place = leader[place]
        return place

    for edge in edges:
        a, b = find(index[edge.source]), find(index[edge.target])
        leader[max(a, b)] = min(a, b)
    parts: dict[int, list[int]] = {}
    for place in range(count):
        parts.setdefault(find(place), []).append(place)
    return [parts[first] for first in sorted(parts)]


def _part(boxes: list[Card], part: list[int], edges: Sequence[Edge], index: dict[str, int]) -> Placement:
    if len(part) == 1:
        only = boxes[part[0]]
        return Placement(only.width, only.height, (only,), ())
    local = {boxes[place].box.id: number for number, place in enumerate(part)}
    own = [edge for edge in edges if edge.source in local]
    forward = list(dict.fromkeys((local[e.source], local[e.target]) for e in own if not e.back))
    faint = [(local[e.source], local[e.target]) for e in own if e.look == "implied"]
    arranged = layers.arrange([Size(boxes[place].width, boxes[place].height) for place in part], forward, faint)
    cards = tuple(_moved(boxes[place], *arranged.corners[number]) for number, place in enumerate(part))
    routes = [
        Route(e, tuple(arranged.routes[local[e.source], local[e.target]]), into_chip=bool(cards[local[e.target]].chip))
        for e in own
        if not e.back
    ]
    beside = lanes.routes(cards, [(e, local[e.source], local[e.target]) for e in own if e.back], arranged.width)
    routes += [Route(edge, tuple(points), around=True) for edge, points in beside.routes]
    part_of = Placement(
        arranged.width + beside.left + beside.right, arranged.height + beside.below, cards, tuple(routes)
    )
    return _moved_right(part_of, beside.left)


def _moved_right(part: Placement, by: float) -> Placement:
    cards = tuple(_moved(card, by, 0) for card in part.cards)
    return replace(part, cards=cards, routes=tuple(_shifted(route, by, 0) for route in part.routes))


def _rows(parts: list[Placement]) -> Placement:
    """Parts that no edge joins stand side by side, in as many even rows as they need."""
    if len(parts) == 1:
        return parts[0]
    rows = _even(parts)
    width = max(map(_width, rows))
    cards: list[Card] = []
    routes: list[Route] = []
    y = 0.0
    for row in rows:
        x = (width - _width(row)) / 2
        for part in row:
            cards += [_moved(card, x, y) for card in part.cards]
            routes += [_shifted(route, x, y) for route in part.routes]
            x += part.width + GAP_X
        y += max(part.height for part in row) + GAP_Y / 2
    return Placement(width, y - GAP_Y / 2, tuple(cards), tuple(routes))


def _even(parts: list[Placement]) -> list[list[Placement]]:
    """The narrowest rows that are no more than rows of full width would be."""
    fewest = len(_filled(parts, ROW))
    widths = (ROW * percent / 100 for percent in range(10, 100, 5))
    return next((rows for rows in (_filled(parts, w) for w in widths) if len(rows) <= fewest), _filled(parts, ROW))


def _filled(parts: list[Placement], width: float) -> list[list[Placement]]:
    rows: list[list[Placement]] = [[]]
    for part in parts:
        full = rows[-1] and _width([*rows[-1], part]) > width
        if rows[-1] and (full or _frames(part) or _frames(rows[-1][-1])):
            rows.append([])
        rows[-1].append(part)
    return rows


def _width(row: list[Placement]) -> float:
    return sum(part.width for part in row) + GAP_X * (len(row) - 1)


def _frames(part: Placement) -> bool:
    """The input and the output alone, joined to nothing: above and below the rest."""
    return len(part.cards) == 1 and part.cards[0].box.kind in ("input", "output")


def _moved(moved: Card, x: float, y: float) -> Card:
    return replace(moved, x=moved.x + x, y=moved.y + y)


def _shifted(route: Route, x: float, y: float) -> Route:
    return replace(route, points=tuple((px + x, py + y) for px, py in route.points))


def texts(placement: Placement) -> Iterator[str]:
    for card in placement.cards:
        yield from (each.text for each in (*card.words, *card.chip))
        if card.inside is not None:
            yield from texts(card.inside)
