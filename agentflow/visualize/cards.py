"""One box as a card: its lines of text, its size, and what must hold for it to be entered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from agentflow.visualize import fonts
from agentflow.visualize.boxes import Box, Edge
from agentflow.visualize.net import Point, Size

NAME, SMALL, CHIP = 13.0, 11.0, 10.5  # font sizes
LEADING: Final = 15.0
CARD: Final = 216.0  # the widest a card's text may be
PAD: Final = 12.0
ARROW: Final = 16.0  # between a condition and its card
NOTHING: Final = Size(0.0, 0.0)


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
    chip_size: Size = NOTHING
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


def card_of(box: Box, inside: Placement | None) -> Card:
    """A card of the right size, not yet in its place."""
    if box.kind == "decision":
        return Card(box, 0, 0, 20, 20)
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
    names = fonts.wrap(box.name, bold, NAME, room - (kind_width + 14 if kind else 0), 3)
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
    lines = [line for each in box.entry for line in fonts.balanced(each, face, CHIP, CARD - 10, 3)]
    if not lines:
        return (), NOTHING
    widths = [face.width(line, CHIP) for line in lines]
    width = max(widths) + 16
    words = [
        Words((width - own) / 2, 13.5 + 13 * index, line, "chip", own)
        for index, (line, own) in enumerate(zip(lines, widths, strict=True))
    ]
    return tuple(words), Size(width, 13.0 * len(lines) + 6)
