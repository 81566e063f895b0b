"""Boxes do not overlap, edges go down, the file's order decides where nothing else does, cycles do no harm."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentflow.ir import Line
from agentflow.visualize import fonts, order
from agentflow.visualize.cards import Card, Placement
from agentflow.visualize.diagram import diagram
from agentflow.visualize.layers import arrange
from agentflow.visualize.layout import place
from agentflow.visualize.net import Size
from agentflow.visualize.words import duration, shorten, visible
from tests.visualize import drawn


def placements(placement: Placement) -> Iterator[Placement]:
    yield placement
    for card in placement.cards:
        if card.inside is not None:
            yield from placements(card.inside)


def apart(a: Card, b: Card) -> bool:
    beside = a.x + a.width <= b.x + 0.01 or b.x + b.width <= a.x + 0.01
    return beside or a.y + a.height <= b.y + 0.01 or b.y + b.height <= a.y + 0.01


@pytest.mark.parametrize("name", drawn.ALL)
def test_cards_are_apart_and_hold_their_words(name: str) -> None:
    for part in placements(place(diagram(drawn.ALL[name]()).inside)):
        cards = part.cards
        assert all(apart(a, b) for at, a in enumerate(cards) for b in cards[:at])
        for card in cards:
            assert card.x >= -0.01 and card.x + card.width <= part.width + 0.01
            assert all(words.x + words.width <= card.width for words in card.words)
            if card.inside is not None:
                assert card.inside_at[0] + card.inside.width <= card.width
                assert card.top + card.inside_at[1] + card.inside.height <= card.y + card.height


def places(name: str) -> dict[str, Card]:
    parts = placements(place(diagram(drawn.ALL[name]()).inside))
    return {card.box.name: card for part in parts for card in part.cards}


def test_declaration_order_breaks_ties() -> None:
    claim = places("claim")
    assert claim["medical_review"].x < claim["fraud_review"].x
    trip = places("nested")
    assert trip["route"].x < trip["papers"].x < trip["guess"].x
    assert [trip[name].x for name in ("nothing", "esta", "refuse", "ask_embassy")] == sorted(
        trip[name].x for name in ("nothing", "esta", "refuse", "ask_embassy")
    )


def test_the_straight_path_is_drawn_straight() -> None:
    claim = places("claim")
    middles = [claim[name].x + claim[name].width / 2 for name in ("decide", "sign_off", "payment", "letter", "output")]
    assert max(middles) - min(middles) < 1


def test_handoffs_back_take_no_part_in_the_ranking() -> None:
    team = places("support")
    assert team["triage"].y < team["billing"].y == team["technical"].y < team["engineer"].y == team["translator"].y


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Size], list[tuple[int, int]]]:
    """Connected, without cycles; the places in the file say nothing of the order."""
    count = draw(st.integers(2, 24))
    named = draw(st.permutations(range(count)))
    edges = {(draw(st.integers(0, target - 1)), target) for target in range(1, count)}
    more = draw(st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=40))
    edges |= {(min(a, b), max(a, b)) for a, b in more if a != b}
    sizes = draw(st.lists(st.tuples(st.integers(20, 300), st.integers(20, 200)), min_size=count, max_size=count))
    return [Size(*map(float, size)) for size in sizes], [(named[a], named[b]) for a, b in sorted(edges)]


@given(graphs())
@settings(max_examples=150, deadline=None)
def test_any_graph_is_arranged_downward_and_apart(graph: tuple[list[Size], list[tuple[int, int]]]) -> None:
    sizes, edges = graph
    arranged = arrange(sizes, edges)
    assert set(arranged.routes) == set(edges)
    for source, target in edges:
        assert arranged.corners[source][1] + sizes[source].height < arranged.corners[target][1]
        assert arranged.routes[source, target] == sorted(arranged.routes[source, target], key=lambda point: point[1])
    boxes = [(x, y, x + size.width, y + size.height) for (x, y), size in zip(arranged.corners, sizes, strict=True)]
    for at, (left, top, right, bottom) in enumerate(boxes):
        for other in boxes[:at]:
            assert right < other[0] or other[2] < left or bottom < other[1] or other[3] < top


def test_steps_are_ordered_by_the_plan_and_edges_that_others_imply_are_known() -> None:
    nodes = [drawn.step(name, "t") for name in ("a", "b", "c")]
    assert order.edges_of(drawn.block(*nodes, plan=tuple(map(Line, "abc")))) == [(0, 1), (1, 2)]
    assert order.edges_of(drawn.block(*nodes)) == []
    assert order.implied(3, [(0, 1), (1, 2), (0, 2)]) == {(0, 2)}


@given(st.text(max_size=200), st.integers(40, 300))
@settings(deadline=None)
def test_wrapped_lines_fit(text: str, width: int) -> None:
    face = fonts.regular()
    lines = fonts.wrap(text, face, 11, width, 3)
    assert 1 <= len(lines) <= 3
    assert all(face.width(line, 11) <= width for line in lines)
    assert all(face.width(line, 11) <= width for line in fonts.balanced(text, face, 11, width, 3))


@given(st.text())
def test_what_is_shown_is_printable(text: str) -> None:
    assert all(char.isprintable() or char in "\n\t\u200c\u200d" or char.isspace() for char in visible(text))
    assert len(shorten(text, 20)) <= 20


@pytest.mark.parametrize(
    ("ms", "said"),
    [(0, "0s"), (500, "500ms"), (90_000, "1m30s"), (86_400_000, "24h"), (172_800_000, "2d"), (91_800_000, "25h30m")],
)
def test_durations_are_said_as_in_graph_files(ms: int, said: str) -> None:
    assert duration(ms) == said
