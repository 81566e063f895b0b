"""A diagram as one SVG document: plain shapes and texts, no script, nothing from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from agentflow.visualize import fonts
from agentflow.visualize.boxes import Diagram, Edge
from agentflow.visualize.cards import CHIP, NAME, SMALL, Card, Placement, Route, Words
from agentflow.visualize.layout import place
from agentflow.visualize.look import COLORS, EDGES, LINE
from agentflow.visualize.net import Point

MARGIN: Final = 24.0
HEADING: Final = 17.0
INK, QUIET = "#1f2733", "#5f6c7a"
_FAMILY: Final = f"{fonts.FAMILY}, 'Segoe UI', 'Helvetica Neue', Helvetica, Arial, sans-serif"
_INK: Final = {
    "heading": INK,
    "name": INK,
    "kind": QUIET,
    "does": INK,
    "danger": "#b42318",
    "error": "#a33a32",
    "asks": "#8a5a00",
    "limit": QUIET,
    "undo": "#8a3ffc",
    "about": QUIET,
    "says": QUIET,
    "has": QUIET,
    "chip": "#6b4e00",
}


def svg(diagram: Diagram) -> str:
    return document(diagram, place(diagram.inside))


def document(diagram: Diagram, placement: Placement, *, heading: bool = True) -> str:
    above = _heading(diagram, max(placement.width, 320.0)) if heading else []
    top = MARGIN + (20.0 + 16.0 * len(above) if above else 0.0)
    widest = max([placement.width, *(words.width for words in above)])
    width, height = widest + 2 * MARGIN, placement.height + top + MARGIN
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_n(width)}" height="{_n(height)}" '
        f'viewBox="0 0 {_n(width)} {_n(height)}" font-family="{_FAMILY}" role="img" '
        f"aria-label={quoteattr(f'the graph {diagram.name}')}>"
    )
    body = [f'<rect width="{_n(width)}" height="{_n(height)}" fill="#ffffff"/>']
    body += [_words(words, MARGIN, MARGIN) for words in above]
    return "\n".join([head, *body, *_placement(placement, (width - placement.width) / 2, top), "</svg>"]) + "\n"


def _heading(diagram: Diagram, room: float) -> list[Words]:
    bold, plain = fonts.medium(), fonts.regular()
    name = fonts.wrap(diagram.name, bold, HEADING, room, 1)[0]
    lines = [Words(0, 12, name, "heading", bold.width(name, HEADING))]
    if diagram.description:
        for line in fonts.wrap(diagram.description, plain, SMALL, room, 3):
            lines.append(Words(0, 16 + 16.0 * len(lines), line, "about", plain.width(line, SMALL)))
    return lines


def _placement(placement: Placement, x: float, y: float) -> Iterator[str]:
    yield f'<g transform="translate({_n(x)} {_n(y)})">'
    for card in placement.cards:
        yield from _card(card)
    pale_first = sorted(placement.routes, key=lambda route: route.edge.look != "implied")
    for route in pale_first:
        yield from _route(route)
    for card in placement.cards:
        yield from _chip(card)
    yield "</g>"


# ---------------------------------------------------------------- boxes


def _card(card: Card) -> Iterator[str]:
    fill, stroke = COLORS[card.box.kind]
    top, height = card.top, card.y + card.height - card.top
    yield '<g class="node">'
    yield _title(card.box.title)
    if card.box.kind == "decision":
        x, y, half = card.x + card.width / 2, top + height / 2, card.width / 2
        shape = f"M{_n(x)} {_n(y - half)}L{_n(x + half)} {_n(y)}L{_n(x)} {_n(y + half)}L{_n(x - half)} {_n(y)}Z"
        yield f'<path d="{shape}" fill="{fill}" stroke="{stroke}" stroke-width="1.4"/>'
        yield "</g>"
        return
    group = card.inside is not None
    rounded = 16 if card.box.kind in ("input", "output") else 8
    yield _rect(card.x, top, card.width, height, rounded, fill, stroke, 'stroke-width="1.2"')
    if not group and card.box.kind not in ("input", "output"):
        yield f'<path d="{_strip(card.x, top, height, rounded)}" fill="{stroke}"/>'
    yield from (_words(words, card.x, top) for words in card.words)
    yield "</g>"
    if card.inside is not None:
        yield from _placement(card.inside, card.x + card.inside_at[0], top + card.inside_at[1])


def _strip(x: float, y: float, height: float, r: float) -> str:
    """The left edge of a card in the colour of its kind."""
    return f"M{_n(x + r)} {_n(y)}A{r} {r} 0 0 0 {_n(x)} {_n(y + r)}V{_n(y + height - r)}A{r} {r} 0 0 0 {_n(x + r)} {_n(y + height)}A{_n(r - 4)} {r} 0 0 1 {_n(x + 4)} {_n(y + height - r)}V{_n(y + r)}A{_n(r - 4)} {r} 0 0 1 {_n(x + r)} {_n(y)}Z"  # noqa: E501  one path


def _chip(card: Card) -> Iterator[str]:
    """The condition above a card, with an arrow into it."""
    if not card.chip:
        return
    middle, size = card.x + card.width / 2, card.chip_size
    left = middle - size.width / 2
    yield "<g>"
    yield _title("\n".join(card.box.entry))
    yield _line([(middle, card.y + size.height), (middle, card.top)], LINE, dashed=False)
    yield _head((middle, card.top), (0, 1), LINE)
    fill, stroke = ("#ffffff", "#a995dd") if card.box.kind == "member" else ("#fffbea", "#e0bd5a")
    yield _rect(left, card.y, size.width, size.height, 9, fill, stroke, 'stroke-width="1"')
    yield from (_words(words, left, card.y) for words in card.chip)
    yield "</g>"


def _words(words: Words, x: float, y: float) -> str:
    """`textLength` keeps a text within its box where another font than ours draws it."""
    size = {"heading": HEADING, "name": NAME, "kind": CHIP, "chip": CHIP}.get(words.role, SMALL)
    weight = ' font-weight="500"' if words.role in ("heading", "name") else ""
    return (
        f'<text x="{_n(x + words.x)}" y="{_n(y + words.y)}" font-size="{_n(size)}"{weight} fill="{_INK[words.role]}" '
        f'textLength="{_n(words.width)}" lengthAdjust="spacingAndGlyphs" xml:space="preserve">'
        f"{escape(words.text)}</text>"
    )


# ---------------------------------------------------------------- edges


def _route(route: Route) -> Iterator[str]:
    edge, points = route.edge, list(route.points)
    color, dashed, _ = EDGES[edge.look]
    dashed = dashed or edge.conditional
    yield '<g class="edge">'
    yield _title(_edge_title(edge))
    yield _around(points, color, dashed=dashed) if route.around else _line(points, color, dashed=dashed)
    down, up = (0.0, 1.0), (0.0, -1.0)
    if not route.into_chip:
        yield _head(points[-1], _way(points[-2], points[-1]) if route.around else down, color)
    if edge.both_ways:
        yield _head(points[0], _way(points[1], points[0]) if route.around else up, color)
    if edge.label:
        yield _label(edge.label, points, color)
    yield "</g>"


def _edge_title(edge: Edge) -> str:
    meaning = EDGES[edge.look][2] if edge.look not in ("order", "frame") else ""
    return f"{meaning}, there and back" if edge.both_ways else meaning


def _line(points: list[Point], color: str, *, dashed: bool) -> str:
    """Down through the points: straight beside boxes, curved between the layers."""
    (x, y), *rest = points
    path = f"M{_n(x)} {_n(y)}"
    for px, py in rest:
        if abs(px - x) < 0.5:
            path += f"V{_n(py)}" if abs(py - y) > 0.01 else ""
            x, y = x, py
            continue
        bend = (py - y) * 0.55
        path += f"C{_n(x)} {_n(y + bend)} {_n(px)} {_n(py - bend)} {_n(px)} {_n(py)}"
        x, y = px, py
    dashes = ' stroke-dasharray="5 4"' if dashed else ""
    return f'<path d="{path}" fill="none" stroke="{color}" stroke-width="1.4"{dashes}/>'


def _around(points: list[Point], color: str, *, dashed: bool) -> str:
    """Straight lines with rounded corners."""
    path = f"M{_n(points[0][0])} {_n(points[0][1])}"
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        (x, y), r = corner, min(8.0, math.dist(before, corner) / 2, math.dist(corner, after) / 2)
        (ax, ay), (bx, by) = _way(corner, before), _way(corner, after)
        path += f"L{_n(x + ax * r)} {_n(y + ay * r)}Q{_n(x)} {_n(y)} {_n(x + bx * r)} {_n(y + by * r)}"
    path += f"L{_n(points[-1][0])} {_n(points[-1][1])}"
    dashes = ' stroke-dasharray="5 4"' if dashed else ""
    return f'<path d="{path}" fill="none" stroke="{color}" stroke-width="1.4"{dashes}/>'


def _way(start: Point, end: Point) -> Point:
    """The direction of a line that is level or upright."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    return (0.0, math.copysign(1.0, dy)) if abs(dy) > abs(dx) else (math.copysign(1.0, dx), 0.0)


def _head(tip: Point, way: Point, color: str) -> str:
    (x, y), (dx, dy) = tip, way
    left, right = (x - 7 * dx - 4 * dy, y - 7 * dy - 4 * dx), (x - 7 * dx + 4 * dy, y - 7 * dy + 4 * dx)
    return f'<path d="M{_n(x)} {_n(y)}L{_n(left[0])} {_n(left[1])}L{_n(right[0])} {_n(right[1])}Z" fill="{color}"/>'


def _label(text: str, points: list[Point], color: str) -> str:
    (x0, y0), (x1, y1) = (points[-3], points[-2]) if len(points) > 2 else points
    return (
        f'<text x="{_n((x0 + x1) / 2)}" y="{_n((y0 + y1) / 2 + 3)}" font-size="{_n(CHIP)}" text-anchor="middle" '
        f'fill="{color}" stroke="#ffffff" stroke-width="4" paint-order="stroke" stroke-linejoin="round">'
        f"{escape(text)}</text>"
    )


# ---------------------------------------------------------------- XML


def _rect(x: float, y: float, width: float, height: float, r: float, fill: str, stroke: str, rest: str) -> str:
    return (
        f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" rx="{_n(r)}" '
        f'fill="{fill}" stroke="{stroke}" {rest}/>'
    )


def _title(text: str) -> str:
    return f"<title>{escape(text)}</title>" if text else ""


def _n(number: float) -> str:
    """Numbers as short as they are exact to a tenth: the same bytes on every machine."""
    text = f"{number:.1f}"
    return text.removesuffix(".0") if text != "-0.0" else "0"
