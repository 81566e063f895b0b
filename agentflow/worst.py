"""The worst case of a graph: how many model calls and tool calls a run may make, how long it may take, which node takes
most of that, and how it compares with the graph's limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from agentflow import ir
from agentflow.costs import MEASURES, NONE, Bound, Cost, Find, Measure, Reckoned, Row, ends, reckoned


@dataclass(frozen=True)
class Verdict:
    """How a limit of the graph compares with the worst case: of a run, or of what follows it, which has it anew."""

    limit: Measure
    of: Literal["run", "finally"]
    most: int  # calls, or ms
    by_default: bool
    bound: Bound  # without the limit
    node: str | None  # the path of who takes most of it
    alone: Bound  # what that one may take by itself
    over: tuple[tuple[str, int], ...]  # who alone may take more than the limit, and has a bound; by path

    @property
    def exceeded(self) -> bool:
        return self.bound.size > self.most


@dataclass(frozen=True)
class Worst(Reckoned):
    dominant: Mapping[Measure, Row | None]
    verdicts: tuple[Verdict, ...]


def worst(program: ir.Program, find: Find) -> Worst:
    known = reckoned(program, find)
    dominant = {one: _dominant(one, program.body, known.rows) for one in MEASURES}
    verdicts = list(_verdicts(program, "run", program.body, known.rows, known.run))
    if program.after is not None:
        verdicts += _verdicts(program, "finally", program.after.body, known.after, known.finish)
    return Worst(**vars(known), dominant=dominant, verdicts=tuple(verdicts))


def _verdicts(
    program: ir.Program, of: Literal["run", "finally"], body: ir.Block, rows: Sequence[Row], cost: Cost
) -> Iterator[Verdict]:
    for measure in MEASURES:
        most: int | None = getattr(program.limits, measure)
        if most is None:
            continue
        row = _dominant(measure, body, rows)
        alone = NONE if row is None else row.cost.of(measure)
        by_default = measure != "time" and measure not in program.exact
        path = None if row is None else row.node.path
        yield Verdict(measure, of, most, by_default, cost.of(measure), path, alone, tuple(_over(rows, measure, most)))


def _over(rows: Sequence[Row], measure: Measure, most: int) -> Iterator[tuple[str, int]]:
    """The innermost of those whose bound alone is above a limit."""
    for row in rows:
        inner = list(_over(row.inside, measure, most))
        bound = row.cost.of(measure).most
        if inner:
            yield from inner
        elif bound is not None and bound > most:
            yield row.node.path, bound


def _dominant(measure: Measure, body: ir.Block, rows: Sequence[Row]) -> Row | None:
    """Who takes most, as deep as it takes at least half of what is around it. Of time, on the longest way."""
    candidates: Sequence[Row] = _critical(body, rows) if measure == "time" else rows
    found: Row | None = max(candidates, key=lambda row: row.cost.of(measure).size, default=None)
    if found is None or not found.cost.of(measure).size:
        return None
    while True:
        inner = max(found.inside, key=lambda row: row.cost.of(measure).size, default=None)
        if inner is None or not inner.cost.of(measure).size:
            return found
        bounded = inner.cost.of(measure).most is not None
        if bounded and (found.repeated or inner.cost.of(measure).size * 2 < found.cost.of(measure).size):
            return found
        found = inner


def _critical(body: ir.Block, rows: Sequence[Row]) -> list[Row]:
    """The nodes on the longest way through a block."""
    known, ended = {row.node.name: row for row in rows}, ends(body, rows)
    way: list[Row] = []
    name = max(ended, key=lambda one: ended[one].size, default=None)
    while name is not None:
        way.append(known[name])
        name = max(known[name].node.needs, key=lambda one: ended[one].size, default=None)
    return way
