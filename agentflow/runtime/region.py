"""A region: nodes that run side by side, each from the moment when what it needs is done."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import TYPE_CHECKING

from agentflow.runtime.errors import Interruption, NodeError, TimedOut
from agentflow.runtime.flights import Flight, abandon
from agentflow.runtime.graph import Node
from agentflow.runtime.invocation import Future

if TYPE_CHECKING:
    from agentflow.runtime.flow import Run


class Region:
    """The scheduler: starts what is ready in file order, waits for all that flies, takes in what is done, again."""

    def __init__(self, run: Run, nodes: Sequence[Node]) -> None:
        self.run = run
        self.invocation = run.invocation
        self.nodes = nodes
        self.missing = {node.name: len(node.needs) for node in nodes}
        self.after: dict[str, list[int]] = {node.name: [] for node in nodes}
        for at, node in enumerate(nodes):
            for need in node.needs:
                self.after[need].append(at)
        self.ready = [at for at, node in enumerate(nodes) if not node.needs]
        self.flying: dict[Future, tuple[Node, Run, Flight]] = {}

    async def finish(self) -> None:
        try:
            await self._start()
            while self.flying:
                for future in await self.invocation.wait(*self.flying):
                    await self._land(*self.flying.pop(future))
                await self._start()
        except (NodeError, Interruption) as end:
            await self._end(cut=isinstance(end, TimedOut))
            raise

    async def _start(self) -> None:
        while self.ready:
            node = self.nodes[heapq.heappop(self.ready)]
            place = self.run.inside(node.name)
            try:
                skipped = self.run.skips(node, place)
            except NodeError as error:
                await self.run.undecided(node, place, error)
                skipped = True
            if skipped:
                self._over(node)
                continue
            try:
                begun = self.run.begin(node, place)
                if isinstance(begun, Flight):
                    await begun.prepare(beside=True)
            except NodeError as error:
                await self.run.failed_aside(node, place, error)
                self._over(node)
                continue
            if isinstance(begun, Flight):
                self.flying[begun.future] = (node, place, begun)
            else:
                self.run.done(node, place, begun)
                self._over(node)

    async def _land(self, node: Node, place: Run, flight: Flight) -> None:
        try:
            value = await flight.take()
        except NodeError as error:
            await self.run.failed_aside(node, place, error, flight.undo)
        else:
            self.invocation.undo.extend(flight.undo)
            self.run.landed(node, place, flight, value)
        self._over(node)

    def _over(self, node: Node) -> None:
        for at in self.after[node.name]:
            name = self.nodes[at].name
            self.missing[name] -= 1
            if not self.missing[name]:
                heapq.heappush(self.ready, at)

    async def _end(self, *, cut: bool) -> None:
        """Something ended the region: what flies is cancelled, and what it did joins the list to undo."""
        flying = list(self.flying.values())
        await abandon(self.invocation, [flight for _, _, flight in flying], cut=cut)
        for node, place, flight in flying:
            self.invocation.undo.extend(flight.undo)
            if node not in self.invocation.graph.handlers:  # in an invocation of its own, that has been seen to
                self.run.attempted(node, place)
            self.invocation.report.ended(place.path, "cancelled", self.invocation.now)
