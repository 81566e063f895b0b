"""Dangerous tools: nobody calls one unless a person may have stopped it.

A node is guarded by an approval that it waits for, if that approval ends the run unless approved, or if the node's
`when` proves that it was approved, or skipped. An approval whose failure is continued with another value proves
nothing. An agent decides by itself when it calls a tool, so it may hold a dangerous one only with a `confirm`.
"""

from __future__ import annotations

from collections.abc import Iterator

from agentflow.check.cases import names_in
from agentflow.check.order import Order
from agentflow.check.places import Analysis, Block, Place
from agentflow.check.proof import Counterexample, counterexample
from agentflow.check.types import Typed, approved_or_skipped
from agentflow.diagnostics import Diagnostic, Path, quoted
from agentflow.nodes.approval import ApprovalBody
from agentflow.nodes.parallel import ParallelBody
from agentflow.nodes.registry import KINDS
from agentflow.types import Json

LONGEST_WAY = 8  # nodes that are shown
MOST_ASKED = 10  # approvals of which a node's conditions may ask
HELP = "wait for an approval that ends the run unless approved, or add when: x is skipped or x.approved"


def check(analysis: Analysis, typed: Typed) -> Iterator[Diagnostic]:
    dangerous = {tool.name for tool in analysis.graph.tools.values() if tool.effect == "dangerous" and not tool.confirm}
    if not dangerous:
        return
    yield from _agents(analysis, dangerous)
    gates = _Gates(typed.order)
    for place in analysis.places:
        called = KINDS[place.node.kind].called_tool(place.node)
        if called in dangerous:
            yield from _node(typed, place, gates, called, (*place.node.path, place.node.kind))
        notify = place.node.body.notify if isinstance(place.node.body, ApprovalBody) else None
        if notify is not None and notify.tool in dangerous:
            yield from _node(typed, place, gates, notify.tool, (*place.node.path, "notify", "tool"))


def _agents(analysis: Analysis, dangerous: set[str]) -> Iterator[Diagnostic]:
    source = analysis.graph.source
    for agent in analysis.graph.agents.values():
        for written, name in analysis.graph.tools_of(agent):
            if name in dangerous:
                tool = analysis.graph.tools[name]
                message = f"the agent {quoted(agent.name)} could call the dangerous tool {quoted(name)} unasked"
                help = "give the tool a confirm, or call it in a node behind an approval"
                related = (
                    (source.span((*tool.path, "effect" if tool.kind != "parallel" else tool.kind)), "it is dangerous"),
                )
                place = (*agent.path, "tools", index_of(source.data, (*agent.path, "tools"), written))
                yield source.error("dangerous-tool-in-agent", message, place, help=help, related=related)


def index_of(data: Json, path: Path, name: str) -> int:
    for step in path:
        data = data[step] if isinstance(data, dict) and isinstance(step, str) else None
    return data.index(name) if isinstance(data, list) and name in data else 0


def _node(typed: Typed, place: Place, before: _Gates, tool: str, path: Path) -> Iterator[Diagnostic]:
    gates = list(before.before(place))
    if any(_ends_the_run(gate) and not _approves_late(gate) for gate in gates):
        return
    facts = typed.facts(place)
    named = {name for of, _ in facts[:MOST_ASKED] for name in names_in(of)}
    asked = [gate for gate in gates if _proves_something(gate, place)]
    # Those that the conditions name come first; of the others, the last may be proved to be skipped.
    asked = [gate for gate in asked if gate.node.name in named][-MOST_ASKED:][::-1] + asked[-2:]
    open_case: Counterexample | None = None
    late: Place | None = None  # an approval that would do, if time did not approve
    for gate in asked:
        found = counterexample(typed.names_world(place.scope), facts, approved_or_skipped(gate.node.name))
        if found is None:
            if not _approves_late(gate):
                return
            late = late or gate
        else:
            open_case = open_case or found
    late = late or next((gate for gate in gates if _ends_the_run(gate)), None)
    if late is not None:
        yield _approved_by_time(typed.analysis, place, tool, path, late)
        return
    yield _unguarded(typed.analysis, place, tool, path, gates, asked, open_case)


def _approves_late(gate: Place) -> bool:
    return isinstance(gate.node.body, ApprovalBody) and gate.node.body.on_timeout == "approve"


def _approved_by_time(analysis: Analysis, place: Place, tool: str, path: Path, gate: Place) -> Diagnostic:
    source = analysis.graph.source
    message = f"the dangerous tool {quoted(tool)} runs when nobody answers: {quoted(gate.node.name)} then approves"
    related = ((source.span(path), f"{quoted(place.node.name)} calls it"),)
    help = "on_timeout: reject or fail; or escalate to somebody who answers"
    return source.error("approved-by-time", message, (*gate.node.path, "on_timeout"), help=help, related=related)


def _unguarded(
    analysis: Analysis,
    place: Place,
    tool: str,
    path: Path,
    gates: list[Place],
    asked: list[Place],
    open_case: Counterexample | None,
) -> Diagnostic:
    source = analysis.graph.source
    message = f"the dangerous tool {quoted(tool)} can run without approval"
    names = _way(place)
    way = " -> ".join(names)
    if open_case is not None:
        gate = asked[0].node
        related = ((source.key_span(gate.path), "its approval does not end the run, and is not asked for"),)
        if not open_case.tried:
            note = f"that it waits for {quoted(gate.name)} cannot be proved: too much depends on it"
        elif open_case.words:
            note = f"it runs when {' and '.join(open_case.words)}"
        else:
            note = f"its condition does not ask for {gate.name}.approved"
        help = f"add when: {gate.name} is skipped or {gate.name}.approved"
        return source.error("unguarded-tool", message, path, note=note, help=help, related=related)
    if gates:
        gate = gates[0].node
        related = ((source.key_span(gate.path), "a failure of this approval is continued, so it proves nothing"),)
        return source.error("unguarded-tool", message, path, note=f"on the way {way}", help=HELP, related=related)
    note = f"no approval on the way {way}" if len(names) > 1 else "no approval comes before it"
    return source.error("unguarded-tool", message, path, note=note, help=HELP)


def _way(place: Place) -> list[str]:
    """One way to a node from a start: the first of what each waits for."""
    names = [place.node.name]
    here: Place | None = place
    seen: set[int] = set()
    while here is not None and id(here) not in seen:
        if len(names) > LONGEST_WAY:
            return ["...", *names[::-1]]
        seen.add(id(here))
        before = next(iter(here.block.edges[here.node.name]), None) if here.block is not None else None
        if before is not None and here.block is not None:
            here = here.block.places[before]
            names.append(here.node.name)
        else:
            here = _around(here)
            if here is not None:
                names.append(here.node.name)
    return names[::-1]


def _around(place: Place) -> Place | None:
    return place.parent if place.block is None else place.block.owner


# ---------------------------------------------------------------- approvals on the way


class _Gates:
    """Approvals that are decided before a node runs: among its ancestors, and inside those that always run whole."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.above: dict[int, dict[str, int]] = {}  # of each block, by name: a bit for each gate
        self.gates: dict[int, list[Place]] = {}

    def before(self, place: Place) -> Iterator[Place]:
        here: Place | None = place
        while here is not None:
            if here.block is not None:
                mask = self._of(here.block)[here.node.name]
                yield from (gate for at, gate in enumerate(self.gates[id(here.block)]) if mask >> at & 1)
            here = _around(here)

    def _of(self, block: Block) -> dict[str, int]:
        found = self.above.get(id(block))
        if found is None:
            found = self.above[id(block)] = {}
            gates = self.gates[id(block)] = []
            own: dict[str, int] = {}
            for name in self.order.of(block):
                inside = list(_gates_in(block.places[name]))
                own[name] = ((1 << len(inside)) - 1) << len(gates)
                gates += inside
                mask = 0
                for before in block.edges[name]:
                    mask |= found.get(before, 0) | own.get(before, 0)
                found[name] = mask
        return found


def _gates_in(place: Place) -> Iterator[Place]:
    if isinstance(place.node.body, ApprovalBody):
        yield place
    if place.node.on_error is not None:
        return  # what fails inside does not end the run
    for block in place.blocks:
        for inner in block.places.values():
            yield from _gates_in(inner)
    body = place.node.body
    if isinstance(body, ParallelBody) and body.join == "all" and body.on_failure == "fail_fast":
        for branch in place.branches:
            if branch.always:
                yield from _gates_in(branch)


def _ends_the_run(gate: Place) -> bool:
    body = gate.node.body
    return isinstance(body, ApprovalBody) and body.on_reject == "fail" and gate.node.on_error is None


def _proves_something(gate: Place, place: Place) -> bool:
    """Whether the node can ask for the decision: it sees the approval, and no other value takes its place."""
    binding = place.scope.find(gate.node.name)
    replaced = gate.node.on_error is not None and gate.node.on_error.kind != "continue"
    return binding is not None and binding.place is gate and not replaced
