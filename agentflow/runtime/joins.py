"""How what runs side by side comes together: all, any, first, or a quorum; of branches, or of the items of a list."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from agentflow.runtime import saga
from agentflow.runtime.errors import Interruption, NodeError, TimedOut
from agentflow.runtime.flights import Flight, abandon
from agentflow.runtime.graph import Node
from agentflow.runtime.invocation import Future
from agentflow.types import Json

if TYPE_CHECKING:
    from agentflow.runtime.flow import Run

Join = Literal["all", "any", "first"] | int
OnFailure = Literal["fail_fast", "collect"]


@dataclass(frozen=True)
class Entrant:
    """One that runs beside others, in a scope of its own."""

    label: Hashable  # a branch's name, an item's index
    node: Node
    scope: Run  # its scope, at the place of the node that holds it
    place: Run  # its own place


async def parallel(run: Run, branches: Sequence[Node], join: Join, on_failure: OnFailure) -> Json:
    """Starts every branch in file order and waits for as many as the join needs.

    The result is the object of the branches' values in file order, a loser's null; for `any` and
    `first`, `{winner, value}`. Losers are cancelled, and what they did is undone before this returns.
    """
    entrants: list[Entrant] = []
    for node in branches:
        scope = run.block()
        entrants.append(Entrant(node.name, node, scope, scope.inside(node.name)))
    race = Race(run, entrants, join, on_failure, what="branches")
    await race.finish()
    if join in ("any", "first"):
        return race.won()
    return {node.name: race.value(node.name) for node in branches}


class Race:
    """Runs entrants, `width` at a time and in their order, until the join is decided."""

    def __init__(
        self,
        run: Run,
        entrants: Sequence[Entrant],
        join: Join,
        on_failure: OnFailure,
        *,
        width: int | None = None,
        what: str = "items",
    ) -> None:
        self.run = run
        self.invocation = run.invocation
        self.join = join
        self.collect = on_failure == "collect"
        self.width = width or len(entrants)
        self.what = what
        self.entrants = len(entrants)
        self.waiting: Iterator[Entrant] = iter(entrants)
        self.values: dict[Hashable, Json] = {}
        self.winners: list[Hashable] = []
        self.errors: list[NodeError] = []
        self.out = 0  # entrants that cannot win: skipped or failed
        self.flying: dict[Future, tuple[Entrant, Flight]] = {}

    async def finish(self) -> None:
        """Raises NodeError where the join is out of reach, or one failed that must not."""
        try:
            self._check_reachable()
            await self._start()
            while self.flying and not self._decided():
                for future in await self.invocation.wait(*self.flying):
                    await self._land(*self.flying.pop(future))
                    if self._decided():
                        break
                await self._start()
        except (NodeError, Interruption) as end:
            await self._end_rest(cut=isinstance(end, TimedOut), undo=False)
            raise
        await self._end_rest(cut=False, undo=True)

    def value(self, label: Hashable) -> Json:
        """Null for a loser of a quorum, and for one that failed or was skipped."""
        kept = self.winners[: self.join] if isinstance(self.join, int) else self.winners
        return self.values.get(label) if label in kept else None

    def won(self) -> Json:
        """`{winner, value}` of `any` and `first`."""
        winner = self.winners[0]
        assert isinstance(winner, str | int)
        return {"winner": winner, "value": self.values[winner]}

    async def _start(self) -> None:
        """Starts as many as there is room for."""
        while len(self.flying) < self.width and not self._decided():
            entrant = next(self.waiting, None)
            if entrant is None:
                return
            await self._enter(entrant)

    async def _enter(self, entrant: Entrant) -> None:
        node, scope, place = entrant.node, entrant.scope, entrant.place
        try:
            skipped = scope.skips(node, place)
        except NodeError as error:
            if node.on_error is None:
                await self._failed(entrant, error, [])
            else:
                self._succeeded(entrant, await scope.undecided(node, place, error))
            return
        if skipped:
            self.values[entrant.label] = None
            self.out += 1
            self._check_reachable()
            return
        try:
            begun = scope.begin(node, place)
            if isinstance(begun, Flight):
                await begun.prepare(beside=True)
        except NodeError as error:
            await self._failed(entrant, error, self._tried(entrant))
            return
        if isinstance(begun, Flight):
            self.flying[begun.future] = (entrant, begun)
        else:
            scope.done(node, place, begun)
            self._succeeded(entrant, begun)

    async def _land(self, entrant: Entrant, flight: Flight) -> None:
        try:
            value = await flight.take()
        except NodeError as error:
            await self._failed(entrant, error, [*flight.undo, *self._tried(entrant)])
        else:
            self.invocation.undo.extend(flight.undo)
            entrant.scope.landed(entrant.node, entrant.place, flight, value)
            self._succeeded(entrant, value)

    def _tried(self, entrant: Entrant) -> list[saga.Entry]:
        """What is to be undone of one that did not complete; in an invocation of its own, that has been seen to."""
        if entrant.node in self.invocation.graph.handlers:
            return []
        return entrant.scope.tried(entrant.node, entrant.place)

    def _succeeded(self, entrant: Entrant, value: Json) -> None:
        self.values[entrant.label] = value
        self.winners.append(entrant.label)

    async def _failed(self, entrant: Entrant, error: NodeError, undo: list[saga.Entry]) -> None:
        node, place = entrant.node, entrant.place
        self.invocation.report.ended(place.path, "failed", self.invocation.now, error.as_json())
        if node.on_error is not None and node not in self.invocation.graph.handlers:
            await saga.undo(self.invocation, undo, error.as_json())
            self._succeeded(entrant, await entrant.scope.instead(node, place, error))
            return
        tolerant = self.join == "any" or isinstance(self.join, int) or (self.join == "all" and self.collect)
        if not tolerant:
            self.invocation.undo.extend(undo)
            raise error
        self.errors.append(error)
        self.out += 1
        await saga.undo(self.invocation, undo, error.as_json())
        self._check_reachable()

    def _check_reachable(self) -> None:
        needed = 1 if self.join in ("any", "first") else self.join
        if isinstance(needed, int) and self.entrants - self.out < needed:
            if not self.entrants:
                reasons = "there are none"
            else:
                reasons = "; ".join(f"{one.node}: {one.message}" for one in self.errors) or "the others were skipped"
            raise NodeError(
                "join",
                f"{self.run.path}: {needed} of {self.entrants} {self.what} cannot succeed any more: {reasons}",
                node=self.run.path,
            )

    def _decided(self) -> bool:
        if self.join in ("any", "first"):
            return bool(self.winners)
        return isinstance(self.join, int) and len(self.winners) >= self.join

    async def _end_rest(self, *, cut: bool, undo: bool) -> None:
        """Cancels what still flies. Losers of a decided race are undone here; else their undoing is the owner's."""
        rest = list(self.flying.values())
        self.flying.clear()
        await abandon(self.invocation, [flight for _, flight in rest], cut=cut)
        for entrant, _ in rest:
            self.invocation.report.ended(entrant.place.path, "cancelled", self.invocation.now)
        entries = [entry for entrant, flight in rest for entry in [*flight.undo, *self._tried(entrant)]]
        if undo:
            lost = NodeError("cancelled", "another branch was faster", code=499, node=self.run.path)
            await saga.undo(self.invocation, entries, lost.as_json())
        else:
            self.invocation.undo.extend(entries)
