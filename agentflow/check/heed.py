"""Questions whose answer nobody waits for: approvals, `ask`, `fail` with a condition, beside which things happen.

Each is there to stop something. What does not wait for it happens anyway, by the time that it is answered.
"""

from __future__ import annotations

from collections.abc import Iterator

from agentflow import syntax
from agentflow.check.effects import Call, writes
from agentflow.check.order import Order
from agentflow.check.places import Analysis, Block, Place
from agentflow.check.proof import proves
from agentflow.check.types import Typed, when_of
from agentflow.diagnostics import Diagnostic, quoted

ASKING = ("approval", "ask")


def check(analysis: Analysis, typed: Typed) -> Iterator[Diagnostic]:
    for block in analysis.blocks:
        gates = [name for name, place in block.places.items() if _stops(place)]
        if gates:
            yield from _block(analysis, typed, block, gates)


def _stops(place: Place) -> bool:
    return place.node.kind in ASKING or (place.node.kind == "fail" and place.skippable)


def _block(analysis: Analysis, typed: Typed, block: Block, gates: list[str]) -> Iterator[Diagnostic]:
    above, below = _reach(typed.order, block, gates)
    waited = {before for edges in block.edges.values() for before in edges}
    shown = set(block.output.scope.names) & _in_output(block) if block.output is not None else set()
    acting = {name: call for name, place in block.places.items() if (call := next(writes(analysis.graph, place), None))}
    for at, gate in enumerate(gates):
        bit = 1 << at
        # What is dangerous has to prove that it is approved anyway.
        guarded = block.places[gate].node.kind in ASKING
        beside = [
            call
            for name, call in acting.items()
            if name != gate and not above[name] & bit and not below[name] & bit
            if not (guarded and call.tool.effect == "dangerous")
            and not _exclude(typed, block.places[gate], block.places[name])
        ]
        if not beside:
            continue
        place = block.places[gate]
        if gate not in waited and gate not in shown:
            yield _unheeded(analysis, place, beside[0])
        elif place.node.kind in ASKING:
            for call in beside:
                yield _beside(analysis, place, call)


def _exclude(typed: Typed, one: Place, other: Place) -> bool:
    """Whether the conditions of two nodes cannot both hold."""
    first, second = when_of(one), when_of(other)
    if first is None or second is None:
        return False
    return proves(typed.names_world(one.scope), ((first, True),), syntax.Not(second, 0))


def _in_output(block: Block) -> set[str]:
    from agentflow import expressions

    assert block.output is not None
    trees = [leaf.tree for leaf in block.output.leaves if leaf.tree is not None]
    return {reference.name for tree in trees for reference in expressions.references(tree)}


def _reach(order: Order, block: Block, gates: list[str]) -> tuple[dict[str, int], dict[str, int]]:
    """For each node a bit for each gate: that is among what it waits for; that waits for it."""
    bits = {name: 1 << at for at, name in enumerate(gates)}
    above: dict[str, int] = dict.fromkeys(block.places, 0)
    below: dict[str, int] = dict.fromkeys(block.places, 0)
    for name in order.of(block):
        for before in block.edges[name]:
            above[name] |= above[before] | bits.get(before, 0)
    for name in reversed(order.of(block)):
        for before in block.edges[name]:
            below[before] |= below[name] | bits.get(name, 0)
    return above, below


def _unheeded(analysis: Analysis, place: Place, call: Call) -> Diagnostic:
    source, node = analysis.graph.source, place.node
    what = "this condition" if node.kind == "fail" else "the answer"
    message = f"nothing waits for {quoted(node.name)}: {_what(call)} happens whatever {what} is"
    help = f"add needs: [{node.name}] to what it is to stop"
    related = ((source.span(call.path), "this does not wait for it"),)
    return source.error("unheeded-gate", message, node.path, key=True, help=help, related=related)


def _beside(analysis: Analysis, place: Place, call: Call) -> Diagnostic:
    source, gate = analysis.graph.source, place.node.name
    message = f"{_what(call)} may happen while {quoted(gate)} is still being asked"
    related = ((source.key_span(place.node.path), "what waits for this is stopped by it"),)
    help = f"add needs: [{gate}] if it is to wait, or let {quoted(gate)} wait for it"
    return source.warning("write-beside-approval", message, call.path, help=help, related=related)


def _what(call: Call) -> str:
    return f"{quoted(call.tool.name)} in {quoted(call.place.node.name)}"
