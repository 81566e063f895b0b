"""What nodes do to the world: by the tools that they call, themselves or through agents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from agentflow.check.places import Place
from agentflow.diagnostics import Path
from agentflow.nodes.agent import AgentBody
from agentflow.nodes.registry import KINDS
from agentflow.spec.model import GraphSpec, ToolSpec
from agentflow.spec.tools import acting
from agentflow.tools.asking import AskingBody


@dataclass(frozen=True)
class Call:
    """What changes something: a tool that a node calls, itself or through an agent, or a call of what is elsewhere."""

    place: Place
    name: str
    effect: Literal["write", "dangerous", "unknown"]  # unknown: elsewhere, where nothing says what it does
    path: Path
    undone: bool  # what it did, where that has to be


def writes(graph: GraphSpec, place: Place) -> Iterator[Call]:
    """The calls of a node, and of all that is inside it, that change something."""
    for inner in place.all():
        node = inner.node
        called = graph.tools.get(KINDS[node.kind].called_tool(node) or "")
        for tool in acting(called, graph.tools) if called is not None else ():
            if _changes(tool):
                yield _call(inner, tool, (*node.path, node.kind))
        elsewhere = KINDS[node.kind].acts_elsewhere(node, graph)
        if elsewhere is not None:
            name, effect, undone = elsewhere
            yield Call(inner, name, effect, (*node.path, node.kind), undone)
        if isinstance(node.body, AgentBody):
            for tool in of_agent(graph, node.body.agent):
                yield _call(inner, tool, (*node.path, "agent"))


def _changes(tool: ToolSpec) -> bool:
    """Who asks a person leaves nothing behind: what is open when it ends is withdrawn."""
    return tool.effect != "read" and not isinstance(tool.body, AskingBody)


def _call(place: Place, tool: ToolSpec, path: Path) -> Call:
    return Call(
        place, tool.name, "dangerous" if tool.effect == "dangerous" else "write", path, tool.compensate is not None
    )


def of_agent(graph: GraphSpec, name: str) -> Iterator[ToolSpec]:
    """The tools that change something, of an agent and of those that it calls or hands over to."""
    seen, left = {name}, [name]
    found: dict[str, ToolSpec] = {}
    while left:
        agent = graph.agents.get(left.pop())
        if agent is None:
            continue
        for _, tool in graph.tools_of(agent):
            for one in acting(graph.tools[tool], graph.tools):
                if _changes(one):
                    found.setdefault(one.name, one)
        for other in (*agent.tools, *agent.handoffs):
            if other in graph.agents and other not in seen:
                seen.add(other)
                left.append(other)
    yield from found.values()
