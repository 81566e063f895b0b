"""How the branches of a `parallel` come together: all, any, first, or a quorum."""

from __future__ import annotations

from collections.abc import Sequence
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


async def race(run: Run, branches: Sequence[Node], join: Join, on_failure: str) -> Json:
    """Starts every branch in file order and waits for as many as the join needs.

    The result is the object of the branches' values in file order, a loser's null; for `any` and
    `first`, `{winner, value}`. Losers are cancelled, and what they did is undone before this returns.
    """
    return await _Race(run, branches, join, on_failure).result()


class _Race:
    def __init__(self, run: Run, branches: Sequence[Node], join: Join, on_failure: str) -> None:
        self.run = run
        self.invocation = run.invocation
        self.branches = branches
        self.join = join
        self.collect = on_failure == "collect"
        self.values: dict[str, Json] = {}
        self.winners: list[str] = []
        self.errors: list[NodeError] = []
        self.out = 0  # branches that cannot win: skipped or failed
        self.flying: dict[Future, tuple[Node, Run, Flight]] = {}

    async def result(self) -> Json:
        try:
            await self._start()
            while self.flying and not self._decided():
                for future in await self.invocation.wait(*self.flying):
                    await self._land(*self.flying.pop(future))
                    if self._decided():
                        break
        except (NodeError, Interruption) as end:
            await self._end_rest(cut=isinstance(end, TimedOut), undo=False)
            raise
        await self._end_rest(cut=False, undo=True)
        return self._value()

    async def _start(self) -> None:
        for node in self.branches:
            branch = self.run.block()
            place = branch.inside(node.name)
            if self._decided():
                break
            try:
                skipped = branch.skips(node, place)
            except NodeError as error:
                if node.on_error is None:
                    await self._failed(node, branch, place, error, [])
                else:
                    self._succeeded(node, await branch.undecided(node, place, error))
                continue
            if skipped:
                self.values[node.name] = None
                self.out += 1
                self._check_reachable()
                continue
            try:
                begun = branch.begin(node, place)
            except NodeError as error:
                await self._failed(node, branch, place, error, [])
                continue
            if isinstance(begun, Flight):
                self.flying[begun.future] = (node, place, begun)
            else:
                branch.done(node, place, begun)
                self._succeeded(node, begun)

    async def _land(self, node: Node, place: Run, flight: Flight) -> None:
        branch = self.run.block()
        try:
            value = await flight.take()
        except NodeError as error:
            await self._failed(node, branch, place, error, flight.undo)
        else:
            self.invocation.undo.extend(flight.undo)
            branch.landed(node, place, flight, value)
            self._succeeded(node, value)

    def _succeeded(self, node: Node, value: Json) -> None:
        self.values[node.name] = value
        self.winners.append(node.name)

    async def _failed(self, node: Node, branch: Run, place: Run, error: NodeError, undo: list[saga.Entry]) -> None:
        self.invocation.report.ended(place.path, "failed", self.invocation.now, error.as_json())
        if node.on_error is not None and node not in self.invocation.graph.handlers:
            await saga.undo(self.invocation, undo, error.as_json())
            self._succeeded(node, await branch.instead(node, place, error))
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
        if isinstance(needed, int) and len(self.branches) - self.out < needed:
            reasons = "; ".join(f"{error.node}: {error.message}" for error in self.errors) or "the others were skipped"
            raise NodeError(
                "join",
                f"{self.run.path}: {needed} of {len(self.branches)} branches cannot succeed any more: {reasons}",
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
        await abandon(self.invocation, [flight for _, _, flight in rest], cut=cut)
        for _, place, _ in rest:
            self.invocation.report.ended(place.path, "cancelled", self.invocation.now)
        entries = [entry for _, _, flight in rest for entry in flight.undo]
        if undo:
            lost = NodeError("cancelled", "another branch was faster", code=499, node=self.run.path)
            await saga.undo(self.invocation, entries, lost.as_json())
        else:
            self.invocation.undo.extend(entries)

    def _value(self) -> Json:
        if self.join in ("any", "first"):
            return {"winner": self.winners[0], "value": self.values[self.winners[0]]}
        kept = self.winners[: self.join] if isinstance(self.join, int) else self.winners
        return {node.name: self.values.get(node.name) if node.name in kept else None for node in self.branches}
