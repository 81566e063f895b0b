"""`for_each`: a node for every item of a list, so many at a time.

A long list is cut into parts, each in an invocation of its own: whoever resumes a handler replays its whole journal,
and one that holds a thousand items would replay thousands of entries for each of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentflow.runtime.errors import NodeError
from agentflow.runtime.graph import Node
from agentflow.runtime.joins import Entrant, Join, OnFailure, Race
from agentflow.types import Json

if TYPE_CHECKING:
    from agentflow.runtime.flow import Run

PART = 100  # items of one invocation


@dataclass(frozen=True)
class Part:
    """Some of a list's items; `after` is how many come before them."""

    items: list[Json]
    after: int
    width: int


async def for_each(
    run: Run, over: object, do: Node, item: str, max_parallel: int, join: Join, on_failure: OnFailure
) -> Json:
    """The values in the order of the items, null for one that failed or lost; for `any`, `first` `{winner, value}`."""
    if run.part is not None:
        return await _items(run, do, item, run.part, join, on_failure)
    items = over if isinstance(over, list) else None
    if items is None:
        shown = json.dumps(over, ensure_ascii=False)[:80]
        raise NodeError("fail", f"{run.path}: what it goes through is no list: {shown}", node=run.path)
    most = run.invocation.graph.limits.fan_out
    if most is not None and len(items) > most:
        message = f"{run.path}: {len(items)} items, and at most {most} are allowed (limits.fan_out)"
        raise NodeError("limit", message, node=run.path)
    if len(items) > PART and join == "all":
        return await _parts(run, items, max_parallel)
    return await _items(run, do, item, Part(items, 0, max_parallel), join, on_failure)


async def _items(run: Run, do: Node, item: str, part: Part, join: Join, on_failure: OnFailure) -> Json:
    entrants = [_entrant(run, do, part.after + at, {item: value}) for at, value in enumerate(part.items, 1)]
    race = Race(run, entrants, join, on_failure, width=part.width)
    await race.finish()
    if join in ("any", "first"):
        return race.won()
    return [race.value(entrant.label) for entrant in entrants]


def _entrant(run: Run, do: Node, index: int, names: dict[str, Json]) -> Entrant:
    scope = run.block_with(index=index, **names)
    return Entrant(index, do, scope, scope.at(f"{run.path}[{index}]"))


async def _parts(run: Run, items: Sequence[Json], max_parallel: int) -> Json:
    """The parts side by side, each with its share of what may run at a time."""
    number = -(-len(items) // PART)
    size = -(-len(items) // number)
    width = max(1, max_parallel // number)
    entrants: list[Entrant] = []
    for after in range(0, len(items), size):
        own = list(items[after : after + size])
        scope = run.block()
        entrants.append(Entrant(after, _part(run, own, after, width), scope, scope.at(_path(run, after, own))))
    race = Race(run, entrants, "all", "fail_fast", width=max_parallel)
    await race.finish()
    values: list[Json] = []
    for entrant in entrants:
        part = race.value(entrant.label)
        assert isinstance(part, list)
        values += part
    return values


def _path(run: Run, after: int, items: Sequence[Json]) -> str:
    return f"{run.path}[{after + 1}-{after + len(items)}]"


def _part(run: Run, items: list[Json], after: int, width: int) -> Node:
    """What starts a part: a call of the handler of the `for_each` itself."""
    node = run.node
    assert node is not None

    def start(place: Run) -> Any:
        return place.call(node, run.path, part={"items": items, "after": after, "width": width})

    return Node("part", start, node.line)
