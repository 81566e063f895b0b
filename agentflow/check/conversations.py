"""Agent nodes that share a conversation: one speaks after the other, or only one of them speaks at all."""

from __future__ import annotations

from collections.abc import Iterator

from agentflow import syntax
from agentflow.check.places import Analysis, Block, Place
from agentflow.check.proof import proves
from agentflow.check.types import Typed, when_of
from agentflow.diagnostics import Diagnostic, quoted
from agentflow.nodes.agent import SESSION, AgentBody
from agentflow.nodes.registry import KINDS
from agentflow.spec.model import GraphSpec, NodeSpec

BESIDE = ("parallel", "for_each")  # kinds whose children run at the same time


def check(analysis: Analysis, typed: Typed) -> Iterator[Diagnostic]:
    shared: dict[str, list[Place]] = {}
    for place in analysis.places:
        if isinstance(place.node.body, AgentBody) and (name := place.node.body.conversation) is not None:
            shared.setdefault(name, []).append(place)
    for name, places in shared.items():
        for at, place in enumerate(places):
            yield from _with_itself(analysis, name, place)
            for other in places[:at]:
                if _together(typed, other, place):
                    yield _unordered(analysis, name, other, place)
                    break
    yield from _unheard(analysis, SESSION in shared)
    yield from _afterwards(analysis)


def _with_itself(analysis: Analysis, name: str, place: Place) -> Iterator[Diagnostic]:
    """A node that is done for many items at once."""
    around: Place | None = place
    while around is not None:
        parent = _parent(around)
        if parent is not None and parent.node.kind == "for_each":
            source = analysis.graph.source
            message = f"the conversation {quoted(name)} would be held for several items at once"
            related = ((source.key_span(parent.node.path), "the items run side by side here"),)
            help = "leave the conversation out: each item then begins afresh; or use a loop, whose rounds are ordered"
            yield source.error(
                "unordered-conversation", message, (*place.node.path, "conversation"), help=help, related=related
            )
            return
        around = parent


def _unordered(analysis: Analysis, name: str, first: Place, second: Place) -> Diagnostic:
    source = analysis.graph.source
    message = (
        f"{quoted(first.node.name)} and {quoted(second.node.name)} share the conversation {quoted(name)}, "
        "and may run at the same time"
    )
    related = ((source.span((*first.node.path, "conversation")), f"{quoted(first.node.name)} joins it here"),)
    help = f"let one wait for the other: needs: [{first.node.name}]; or give each a conversation of its own"
    if first.block is None:  # branches cannot wait for each other
        help = "give each a conversation of its own"
    return source.error(
        "unordered-conversation", message, (*second.node.path, "conversation"), help=help, related=related
    )


def _parent(place: Place) -> Place | None:
    return place.block.owner if place.block is not None else place.parent


def _way(place: Place) -> list[Place]:
    """The nodes around a place, the outermost first, and itself."""
    way = [place]
    while (parent := _parent(way[-1])) is not None:
        way.append(parent)
    return way[::-1]


def _together(typed: Typed, one: Place, other: Place) -> bool:
    """Whether two nodes may run at the same time."""
    for left, right in zip(_way(one), _way(other), strict=False):
        if left is right:
            continue
        if left.block is not None and left.block is right.block:
            return not (_ordered(left.block, left, right) or _exclusive(typed, left.block, left, right))
        parent = _parent(left)
        return parent is not None and parent.node.kind in BESIDE
    return False


def _ordered(block: Block, one: Place, other: Place) -> bool:
    return _waits(block, one.node.name, other.node.name) or _waits(block, other.node.name, one.node.name)


def _waits(block: Block, name: str, before: str) -> bool:
    """Whether a node of a block waits for another, directly or not."""
    seen, stack = {name}, [name]
    while stack:
        for one in block.edges[stack.pop()]:
            if one == before:
                return True
            if one not in seen:
                seen.add(one)
                stack.append(one)
    return False


def _exclusive(typed: Typed, block: Block, one: Place, other: Place) -> bool:
    """Whether the conditions of two nodes never hold together."""
    world = typed.names_world(block.scope)
    return any(
        (when := when_of(right)) is not None and proves(world, typed.facts(left), syntax.Not(when, 0))
        for left, right in ((one, other), (other, one))
    )


def _unheard(analysis: Analysis, heard: bool) -> Iterator[Diagnostic]:
    """A session in which nobody speaks keeps nothing."""
    source = analysis.graph.source
    declared = isinstance(source.data, dict) and "session" in source.data and analysis.graph.kind == "object"
    if declared and not heard and analysis.places:
        message = "no agent speaks in the session, so that there is nothing to keep"
        help = "let an agent node join it: conversation: session"
        yield source.error("unheard-session", message, ("session",), key=True, help=help)


def _afterwards(analysis: Analysis) -> Iterator[Diagnostic]:
    """What a run cannot do in `finally`, when the turn is over and perhaps the next one has begun."""
    graph = analysis.graph
    for place in analysis.places:
        top = _way(place)[0]
        if top.block is not analysis.after or analysis.after is None:
            continue
        node = place.node
        if node.kind == "set":
            message = "set cannot stand in finally: the turn is over, and the next may have begun"
            yield graph.source.error("misplaced-key", message, (*node.path, "set"), key=True)
        if isinstance(node.body, AgentBody) and node.body.conversation is not None:
            message = "an agent in finally begins afresh: the conversations of the run are over"
            yield graph.source.error("misplaced-key", message, (*node.path, "conversation"), key=True)
        for name in sorted(_stateful(graph, node)):
            message = f"the tool {quoted(name)} takes the state of the object, which finally has no part in"
            yield graph.source.error("misplaced-key", message, (*node.path, node.kind))


def _stateful(graph: GraphSpec, node: NodeSpec) -> set[str]:
    """The tools that a node itself, or its agent and those that work for it, may call with the object's state."""
    if isinstance(node.body, AgentBody):
        seen, stack = {node.body.agent}, [node.body.agent]
        called: set[str] = set()
        while stack:
            agent = graph.agents.get(stack.pop())
            if agent is None:
                continue
            called |= {name for _, name in graph.tools_of(agent)}
            more = {*agent.handoffs, *(name for name in agent.tools if name in graph.agents)} - seen
            seen |= more
            stack += more
    else:
        called = {KINDS[node.kind].called_tool(node) or ""}
    return {
        name for name in called if (tool := graph.tools.get(name)) and tool.signature and tool.signature.takes_state
    }
