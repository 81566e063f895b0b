"""A diagram with sizes and places: cards with their lines of text, boxes around groups, edges as lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from agentflow.visualize import fonts, lanes, layers
from agentflow.visualize.diagram import Box, Edge, Inside
from agentflow.visualize.layers import GAP_X, GAP_Y, Point, Size

NAME, SMALL, CHIP = 13.0, 11.0, 10.5  # font sizes
LEADING: Final = 15.0
CARD: Final = 216.0  # the widest a card's text may be
PAD: Final = 12.0
ARROW: Final = 16.0  # between a condition and its card
ROW: Final = 1240.0  # the widest row of boxes that no edge joins
MANY_ROOTS: Final = 6


@dataclass(frozen=True)
class Words:
    """One line of text, placed by its left end and its baseline."""

    x: float
    y: float
    text: str
    role: str  # name, kind, chip, or a fact's role
    width: float


@dataclass(frozen=True)
class Card:
    """A box in its place; `chips` says on what condition it is entered, above it."""

    box: Box
    x: float
    y: float
    width: float
    height: float
    words: tuple[Words, ...] = ()
    chip: tuple[Words, ...] = ()
    chip_size: Size = Size(0, 0)
    inside: Placement | None = None
    inside_at: Point = (0, 0)

    @property
    def top(self) -> float:
        """Where the card itself begins, below its condition."""
        return self.y + (self.chip_size.height + ARROW if self.chip else 0.0)


@dataclass(frozen=True)
class Route:
    edge: Edge
    points: tuple[Point, ...]
    around: bool = False  # beside the boxes instead of down through the layers
    into_chip: bool = False


@dataclass(frozen=True)
class Placement:
    width: float
    height: float
    cards: tuple[Card, ...]
    routes: tuple[Route, ...]


def place(inside: Inside) -> Placement:
    return _placed([_card(box) for box in inside.boxes], _drawn(inside))


def _drawn(inside: Inside) -> list[Edge]:
    """Where many nodes start at once, the input's and the output's edges would hide the others."""
    framed = [edge for edge in inside.edges if edge.look == "frame"]
    starts = sum(inside.boxes[0].id == edge.source for edge in framed)
    if max(starts, len(framed) - starts) <= MANY_ROOTS:
        return list(inside.edges)
    return [edge for edge in inside.edges if edge.look != "frame"]


# ---------------------------------------------------------------- one box


def _card(box: Box) -> Card:
    """A card of the right size, not yet in its place."""
    if box.kind == "decision":
        return Card(box, 0, 0, 20, 20)
    inside = place(box.inside) if box.inside is not None and box.inside.boxes else None
    words, size = _words(box, max(CARD, inside.width) if inside is not None else CARD)
    inside_at = (0.0, 0.0)
    if inside is not None:
        width = max(size.width, inside.width + 2 * PAD + 4)
        inside_at = ((width - inside.width) / 2, size.height + 4)
        size = Size(width, size.height + inside.height + PAD + 8)
    chip, chip_size = _chip(box)
    if chip:
        size = Size(max(size.width, chip_size.width), size.height + chip_size.height + ARROW)
    words = _kind_at_the_right(words, size.width)
    return Card(box, 0, 0, size.width, size.height, words, chip, chip_size, inside, inside_at)


def _words(box: Box, room: float) -> tuple[tuple[Words, ...], Size]:
    """Name and kind on the first line, the facts below."""
    bold, plain = fonts.medium(), fonts.regular()
    kind = "" if box.kind in ("input", "output") else "agent" if box.kind == "member" else box.kind
    kind_width = plain.width(kind, CHIP)
    words: list[Words] = []
    y = PAD + 10.0
    names = fonts.wrap(box.name, bold, NAME, room - (kind_width + 14 if kind else 0), 2)
    for index, line in enumerate(names):
        width = bold.width(line, NAME)
        words.append(Words(PAD, y, line, "name", width))
        if index == 0 and kind:
            words.append(Words(PAD + width + 14, y, kind, "kind", kind_width))
        y += LEADING + 1
    for fact in box.facts:
        for line in fonts.wrap(str(fact), plain, SMALL, room, 2 if fact.role in ("says", "about") else 3):
            words.append(Words(PAD, y, line, fact.role, plain.width(line, SMALL)))
            y += LEADING
    width = max((each.x + each.width for each in words), default=0.0) + PAD
    return tuple(words), Size(max(width, 96.0), y - LEADING + PAD - 2)


def _kind_at_the_right(words: tuple[Words, ...], width: float) -> tuple[Words, ...]:
    return tuple(replace(each, x=width - PAD - each.width) if each.role == "kind" else each for each in words)


def _chip(box: Box) -> tuple[tuple[Words, ...], Size]:
    face = fonts.regular()
    lines = [line for each in box.entry for line in fonts.wrap(each, face, CHIP, CARD - 10, 2)]
    if not lines:
        return (), Size(0, 0)
    widths = [face.width(line, CHIP) for line in lines]
    width = max(widths) + 16
    words = [
        Words((width - own) / 2, 13.5 + 13 * index, line, "chip", own)
        for index, (line, own) in enumerate(zip(lines, widths, strict=True))
    ]
    return tuple(words), Size(width, 13.0 * len(lines) + 6)


# ---------------------------------------------------------------- many boxes


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
    arranged = layers.arrange([Size(boxes[place].width, boxes[place].height) for place in part], forward)
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
    total = sum(part.width + GAP_X for part in parts)
    limit = max(total / -(-total // ROW), *(part.width for part in parts)) + 1
    rows: list[list[Placement]] = [[]]
    used = 0.0
    for part in parts:
        if rows[-1] and used + part.width > limit:
            rows.append([])
            used = 0.0
        rows[-1].append(part)
        used += part.width + GAP_X
    width = max(sum(part.width + GAP_X for part in row) - GAP_X for row in rows)
    cards: list[Card] = []
    routes: list[Route] = []
    y = 0.0
    for row in rows:
        x = (width - sum(part.width + GAP_X for part in row) + GAP_X) / 2
        for part in row:
            cards += [_moved(card, x, y) for card in part.cards]
            routes += [_shifted(route, x, y) for route in part.routes]
            x += part.width + GAP_X
        y += max(part.height for part in row) + GAP_Y / 2
    return Placement(width, y - GAP_Y / 2, tuple(cards), tuple(routes))


def _moved(card: Card, x: float, y: float) -> Card:
    return replace(card, x=card.x + x, y=card.y + y)


def _shifted(route: Route, x: float, y: float) -> Route:
    return replace(route, points=tuple((px + x, py + y) for px, py in route.points))


def texts(placement: Placement) -> Iterator[str]:
    for card in placement.cards:
        yield from (each.text for each in (*card.words, *card.chip))
        if card.inside is not None:
            yield from texts(card.inside)
