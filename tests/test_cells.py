"""How wide texts are."""

from __future__ import annotations

import pytest

from agentflow.cells import cells
from agentflow.codegen.writer import Call, broken, literal


@pytest.mark.parametrize(("text", "wide"), [("", 0), ("plain", 5), ("né", 2), ("ne\u0301", 2), ("漢字", 4), ("😀", 2)])
def test_wide_characters_have_two_cells(text: str, wide: int) -> None:
    assert cells(text) == wide


def test_a_line_of_wide_characters_is_broken_where_it_is_too_wide() -> None:
    short, long = (Call("f", [literal("漢" * many)]) for many in (40, 45))
    assert len(broken("", short, "", 0)) == 1
    assert len(broken("", long, "", 0)) == 3
