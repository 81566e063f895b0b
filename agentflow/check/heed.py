"""Questions whose answer nobody waits for: approvals, `ask`, `fail` with a condition, beside which things happen.

Each is there to stop something. What does not wait for it happens anyway, by the time that it is answered. Branches of
one `parallel` are side by side because somebody wanted that: what happens in them is told, but is no error. A question
inside a group, a branch or a case stops what waits for the whole; where nothing does, the same is asked of what is
around that, as far as a refusal ends it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from agentflow import syntax
from agentflow.check.effects import Call, writes
from agentflow.check.order import Order
from agentflow.check.places import Analysis, Block, Place, named_in
from agentflow.check.proof import proves
from agentflow.check.types import Typed, when_of
from agentflow.diagnostics import Diagnostic, quoted
from agentflow.nodes.approval import ApprovalBody
from agentflow.nodes.parallel import ParallelBody

ASKING = ("approval", "ask")
MOST_PROOFS = 1000  # that two conditions exclude each other; beyond it nothing is held against either


def check(analysis: Analysis, typed: Typed) -> Iterator[Diagnostic]:
    gates = [place for place in analysis.places if _stops(place)]
    if gates:
        heed = _Heed(analysis, typed)
        for gate in gates:
            yield from heed.of(gate)


def _stops(place: Place) -> bool:
    return place.node.kind in ASKING or (place.node.kind == "fail" and place.skippable)


class _Heed:
    def __init__(self, analysis: Analysis, typed: Typed) -> None:
        self.analysis = analysis
        self.typed = typed
        self.blocks: dict[int, _Around] = {}
        self.proofs = 0

    def of(self, gate: Place) -> Iterator[Diagnostic]:
        way = [gate]
        while not self.heeded(way[-1]) and (around := _ended_with(way[-1])) is not None:
            way.append(around)
        beside = (call for here in way for call in self.beside(here) if not _guarded(gate, call))
        branches = (call for here in way for call in self.branches(here) if not _guarded(gate, call))
        heeded = self.heeded(way[-1])
        if not heeded and (call := next(beside, None)) is not None:
            yield _unheeded(self.analysis, gate, call)
            return
        if gate.node.kind in ASKING:
            calls = chain(beside, branches)
            yield from (_beside(self.analysis, gate, call) for call in calls if call.effect != "unknown")
        forgotten = not heeded and gate.block is not None and not self.around(gate.block).mentioned(gate)
        if forgotten and _is_for_its_answer(gate):
            yield _unused(self.analysis, gate)

    def heeded(self, place: Place) -> bool:
        return place.block is not None and self.around(place.block).heeds(place)

    def beside(self, place: Place) -> Iterator[Call]:
        """What is changed beside a node, neither before nor after it."""
        if place.block is not None:
            for other, call in self.around(place.block).unordered(place):
                if not self.exclude(place, other):
                    yield call

    def branches(self, place: Place) -> Iterator[Call]:
        """What is changed in the branches beside one: side by side with it as the author has written it."""
        if (
            _ended_with(place) is not None
            and place.parent is not None
            and isinstance(place.parent.node.body, ParallelBody)
        ):
            for branch in place.parent.branches:
                if branch is not place and branch.always:
                    yield from _first(writes(self.analysis.graph, branch))

    def exclude(self, one: Place, other: Place) -> bool:
        """Whether the conditions of two nodes cannot both hold."""
        first, second = when_of(one), when_of(other)
        if first is None or second is None:
            return False
        self.proofs += 1
        return self.proofs > MOST_PROOFS or proves(
            self.typed.names_world(one.scope), ((first, True),), syntax.Not(second, 0)
        )

    def around(self, block: Block) -> _Around:
        found = self.blocks.get(id(block))
        if found is None:
            found = self.blocks[id(block)] = _Around(self.analysis, self.typed.order, block)
        return found


class _Around:
    """A block as its questions see it: who waits for whom, and what changes something."""

    def __init__(self, analysis: Analysis, order: Order, block: Block) -> None:
        self.waited = {before for edges in block.edges.values() for before in edges}
        self.shown = named_in(block.output)
        self.whole = block.output is None
        self.asked = named_in(block.until) | (_named_after(analysis) if block is analysis.root else set())
        self.places = block.places
        acting = ((place, next(writes(analysis.graph, place), None)) for place in block.places.values())
        self.acting = [(place, call) for place, call in acting if call is not None]
        self.above = _above(order, block)
        self.bits = {name: 1 << at for at, name in enumerate(block.places)}

    def heeds(self, place: Place) -> bool:
        return place.node.name in self.waited or place.node.name in self.shown

    def mentioned(self, place: Place) -> bool:
        """Whether anything asks for its value; without an output, it is part of the value of the whole."""
        return self.whole or self.heeds(place) or place.node.name in self.asked

    def unordered(self, place: Place) -> Iterator[tuple[Place, Call]]:
        name = place.node.name
        for other, call in self.acting:
            after = self.above[other.node.name] & self.bits[name]
            if other is not place and not after and not self.above[name] & self.bits[other.node.name]:
                yield other, call


def _above(order: Order, block: Block) -> dict[str, int]:
    """For each node a bit for each of those that it waits for, directly or not."""
    bits = {name: 1 << at for at, name in enumerate(block.places)}
    above = dict.fromkeys(block.places, 0)
    for name in order.of(block):
        for before in block.edges[name]:
            above[name] |= above[before] | bits[before]
    return above


def _ended_with(place: Place) -> Place | None:
    """What is around a node, where a failure inside it is one of the whole."""
    if place.node.on_error is not None:
        return None
    if place.block is not None:
        return place.block.owner
    parent = place.parent
    if parent is not None and isinstance(parent.node.body, ParallelBody):
        body = parent.node.body
        return parent if body.join == "all" and body.on_failure == "fail_fast" else None
    return parent


def _first(calls: Iterator[Call]) -> Iterator[Call]:
    call = next(calls, None)
    if call is not None:
        yield call


def _guarded(gate: Place, call: Call) -> bool:
    """What is dangerous has to prove that it is approved anyway."""
    return gate.node.kind in ASKING and call.effect == "dangerous"


def _is_for_its_answer(gate: Place) -> bool:
    """Whether a question ends nothing, whatever is answered."""
    body = gate.node.body
    return gate.node.kind == "ask" or (isinstance(body, ApprovalBody) and body.on_reject == "continue")


def _named_after(analysis: Analysis) -> set[str]:
    """The names that `finally` uses."""
    places = analysis.after.places.values() if analysis.after is not None else ()
    return {name for place in places for name, binding in place.refs.items() if binding.ended is not None}


def _unheeded(analysis: Analysis, place: Place, call: Call) -> Diagnostic:
    source, node = analysis.graph.source, place.node
    what = "this condition" if node.kind == "fail" else "the answer"
    message = f"nothing waits for {quoted(node.name)}: {_what(call)} happens whatever {what} is"
    help = f"add needs: [{node.name}] to what it is to stop"
    if not _sees(call.place, place):
        help = "let what it is to stop wait for what it is in"
    related = ((source.span(call.path), "this does not wait for it"),)
    return source.error("unheeded-gate", message, node.path, key=True, help=help, related=related)


def _sees(place: Place, other: Place) -> bool:
    binding = place.scope.find(other.node.name)
    return binding is not None and binding.place is other


def _unused(analysis: Analysis, place: Place) -> Diagnostic:
    source, node = analysis.graph.source, place.node
    message = f"nothing asks what is answered to {quoted(node.name)}, so that it is asked for nothing"
    help = f"refer to {node.name}.approved where it matters" if node.kind == "approval" else f"refer to {node.name}"
    return source.error("unheeded-gate", message, node.path, key=True, help=help)


def _beside(analysis: Analysis, place: Place, call: Call) -> Diagnostic:
    source, gate = analysis.graph.source, place.node.name
    message = f"{_what(call)} may happen while {quoted(gate)} is still being asked"
    related = ((source.key_span(place.node.path), "what waits for this is stopped by it"),)
    help = f"add needs: [{gate}] if it is to wait, or let {quoted(gate)} wait for it"
    if not _sees(call.place, place):
        help = f"let it come after what {quoted(gate)} is in, or {quoted(gate)} after it"
    return source.warning("write-beside-approval", message, call.path, help=help, related=related)


def _what(call: Call) -> str:
    return f"{quoted(call.name)} in {quoted(call.place.node.name)}"
