"""The agents that a turn can reach by handoffs and calls, as boxes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from agentflow.ir import Agent
from agentflow.visualize.boxes import Box, Edge, Inside
from agentflow.visualize.facts import Fact, Names, abilities, undone
from agentflow.visualize.words import one_line, visible


def team(name: str, names: Names, new_id: Callable[[], str]) -> Inside | None:
    """None where the agent is alone."""
    agents = list(_reached(name, names))
    if len(agents) < 2:
        return None
    ids = {agent.name: new_id() for agent in agents}
    boxes = tuple(_member(agent, ids[agent.name], names, agent.name == name) for agent in agents)
    return Inside(boxes, tuple(_links(agents, ids)))


def _reached(name: str, names: Names) -> Iterator[Agent]:
    seen, waiting = {name}, [name]
    while waiting:
        agent = names.agent(waiting.pop(0))
        if agent is None:
            continue
        yield agent
        for other in (*agent.handoffs, *agent.agents):
            if other not in seen:
                seen.add(other)
                waiting.append(other)


def _member(agent: Agent, id: str, names: Names, first: bool) -> Box:
    can = [*abilities(agent), *undone(agent, names)]
    facts = [Fact("does", "", names.model(agent.model))]
    facts += [Fact("about", "", one_line(agent.description))] if agent.description else []
    facts += [fact for fact in can if fact.label in ("tools:", "undone:")]
    title = [f"agent {visible(agent.name)} (line {agent.line})", *map(str, can)]
    title.append(f"instruction: {one_line(agent.instruction.template)}")
    return Box(id, visible(agent.name), "member", tuple(facts), "\n".join(title), ("starts",) if first else ())


def _links(agents: Sequence[Agent], ids: dict[str, str]) -> Iterator[Edge]:
    """Handoffs and calls; there and back is one edge with two heads.

    Who is reached first stands above: only the edges that go one level down take part in the layout, so cycles need
    not be cut at an arbitrary place.
    """
    level = _levels(agents)
    handoffs = {(agent.name, other) for agent in agents for other in agent.handoffs}
    for agent in agents:
        for other in agent.handoffs:
            back = level.get(other) != level[agent.name] + 1
            if other not in ids or other == agent.name:
                continue
            both = (other, agent.name) in handoffs
            if both and list(ids).index(other) < list(ids).index(agent.name):
                continue
            label = "asks too" if other in agent.agents else ""
            yield Edge(ids[agent.name], ids[other], "handoff", label, both_ways=both, back=back)
        for other in agent.agents:
            if other in ids and other != agent.name and (agent.name, other) not in handoffs:
                back = level[other] != level[agent.name] + 1
                yield Edge(ids[agent.name], ids[other], "asks", "asks", back=back)


def _levels(agents: Sequence[Agent]) -> dict[str, int]:
    """How many handoffs or calls lead to each, the first being where the turn begins; they come in that order."""
    level = {agents[0].name: 0}
    for agent in agents:
        for other in (*agent.handoffs, *agent.agents):
            level.setdefault(other, level[agent.name] + 1)
    return level
