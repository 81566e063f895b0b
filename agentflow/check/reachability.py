"""What can never run: nodes behind one that always ends the run, and agents that nothing leads to."""

from __future__ import annotations

from collections.abc import Iterator

from agentflow.check.order import Order
from agentflow.check.places import Analysis, Place
from agentflow.diagnostics import Diagnostic, quoted
from agentflow.nodes.parallel import ParallelBody


def check(analysis: Analysis, order: Order) -> Iterator[Diagnostic]:
    yield from _nodes(analysis, order)
    yield from _agents(analysis)


def _nodes(analysis: Analysis, order: Order) -> Iterator[Diagnostic]:
    source = analysis.graph.source
    for block in analysis.blocks:
        ends = {name: fails for name, place in block.places.items() if (fails := always_fails(place))}
        if not ends:
            continue
        behind: dict[str, str] = {name: name for name in ends}
        for name in order.of(block):
            if order.is_circular(block.places[name]):
                continue
            end = next((behind[before] for before in block.edges[name] if before in behind), None)
            if end is None:
                continue
            behind[name] = end
            message = f"the node {quoted(name)} is never reached: it waits for {quoted(end)}, which always fails"
            related = ((source.key_span(ends[end].node.path), "this has no condition"),)
            yield source.error("unreachable-node", message, block.places[name].node.path, key=True, related=related)


def always_fails(place: Place) -> Place | None:
    """The `fail` because of which a node always fails; None: it may succeed, as far as can be seen."""
    node, body = place.node, place.node.body
    if place.skippable or node.on_error is not None:
        return None
    if node.kind == "fail":
        return place
    if node.kind in ("nodes", "steps", "loop"):
        return next(
            (end for block in place.blocks for one in block.places.values() if (end := always_fails(one))), None
        )
    ends = [end for branch in place.branches if branch.label != "on_error" and (end := always_fails(branch))]
    if isinstance(body, ParallelBody) and body.join == "all" and body.on_failure == "fail_fast":
        return ends[0] if ends else None
    every = bool(ends) and len(ends) == len(place.branches)
    return ends[0] if every and (node.kind == "switch" or getattr(body, "join", "all") in ("any", "first")) else None


def _agents(analysis: Analysis) -> Iterator[Diagnostic]:
    """An agent is used by a node, or by an agent that is: as a tool, or by handing over to it."""
    graph, used = analysis.graph, used_agents(analysis)
    named = {name for agent in graph.agents.values() for name in (*agent.tools, *agent.handoffs)} | used
    unread = any(place.node.kind == "" for place in analysis.places) or not analysis.places
    if unread or not named <= {*graph.agents, *graph.tools, *graph.tool_sets, *graph.broken}:
        return  # what could not be read, or is misspelt, may be what uses an agent
    for agent in graph.agents.values():
        if agent.name not in used and not graph.source.is_included(agent.path):
            message = f"nothing uses the agent {quoted(agent.name)}"
            help = "name it in a node, or in the tools or handoffs of an agent that is used"
            yield graph.source.error("unreachable-agent", message, agent.path, key=True, help=help)


def used_agents(analysis: Analysis) -> set[str]:
    """The agents that nodes name, and those that these name."""
    graph = analysis.graph
    used = {name for place in analysis.places if (name := getattr(place.node.body, "agent", None)) is not None}
    left = [name for name in used if name in graph.agents]
    while left:
        agent = graph.agents[left.pop()]
        for name in (*agent.tools, *agent.handoffs):
            if name in graph.agents and name not in used:
                used.add(name)
                left.append(name)
    return used
