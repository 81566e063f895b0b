"""A program as boxes within boxes and the edges between them: what Mermaid, DOT and SVG all draw.

Edges join boxes of the same level only, as in the language, where nothing sees into a group.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal

from agentflow.ir import Agent, Block, Choice, Fan, Group, Node, Program, Run, Turn
from agentflow.types import Object
from agentflow.visualize import order
from agentflow.visualize.facts import Fact, Names, abilities, facts
from agentflow.visualize.words import arguments, fields, literal, one_line, type_name, visible

Look = Literal["order", "implied", "case", "handoff", "asks", "error", "frame"]
FEW_CASES = 6


@dataclass(frozen=True)
class Inside:
    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]


@dataclass(frozen=True)
class Box:
    id: str
    name: str
    kind: str  # the verb, or `input`, `output`, `decision`, `member` (an agent of a team)
    facts: tuple[Fact, ...] = ()  # what is written on it
    title: str = ""  # everything, on several lines
    entry: tuple[str, ...] = ()  # what must hold for it to be entered: a case, a condition
    inside: Inside | None = None
    branch: bool = False  # of a `parallel`: all of them begin at once


@dataclass(frozen=True)
class Edge:
    source: str
    target: str
    look: Look = "order"
    label: str = ""
    conditional: bool = False
    both_ways: bool = False
    back: bool = False  # against the flow: takes no part in the layout


@dataclass(frozen=True)
class Diagram:
    name: str
    kind: str
    description: str
    source: str
    inside: Inside


def diagram(program: Program) -> Diagram:
    return Diagram(
        name=visible(program.name),
        kind=program.kind,
        description=one_line(program.description or ""),
        source=visible(program.source),
        inside=_Drawing(program).program(),
    )


class _Drawing:
    def __init__(self, program: Program) -> None:
        self.source = program
        self.names = Names(program)
        self.numbers = count(1)
        self.teams: set[str] = set()  # drawn already, by their first agent

    def id(self) -> str:
        return f"n{next(self.numbers)}"

    def program(self) -> Inside:
        """The body between a box for the input and one for the output."""
        program = self.source
        has_input = not (isinstance(program.input, Object) and not program.input.fields)
        start = Box(self.id(), "input", "input", (_shape(program.input),), f"input: {_shape(program.input).text}")
        body = self.block(program.body)
        text = arguments(program.body.output.data) if program.body.output is not None else type_name(program.output)
        shape = _shape(program.output)
        end = Box(self.id(), "output", "output", (shape,), f"output: {text}")
        targets, sources = {edge.target for edge in body.edges}, {edge.source for edge in body.edges}
        into = [
            Edge(start.id, box.id, "frame", conditional=bool(box.entry)) for box in body.boxes if box.id not in targets
        ]
        out = [Edge(box.id, end.id, "frame") for box in body.boxes if box.id not in sources and box.kind != "fail"]
        return Inside(
            (*([start] if has_input else []), *body.boxes, end),
            (*(into if has_input else []), *body.edges, *out),
        )

    def block(self, block: Block) -> Inside:
        edges = order.edges_of(block)
        implied = order.implied(len(block.nodes), edges)
        boxes = [self.node(node) for node in block.nodes]
        drawn = [
            Edge(
                boxes[source].id,
                boxes[target].id,
                "implied" if (source, target) in implied else "order",
                conditional=block.nodes[target].when is not None,
            )
            for source, target in edges
        ]
        return self.with_handlers(boxes, drawn, block.nodes)

    def with_handlers(self, boxes: list[Box], edges: list[Edge], nodes: Sequence[Node]) -> Inside:
        """Beside a node with `on_error: {run: ...}` stands what is run then."""
        placed: list[Box] = []
        for box, node in zip(boxes, nodes, strict=True):
            placed.append(box)
            waiting = [edge.target for edge in edges if edge.source == box.id]
            while isinstance(node.on_error, Run):
                node = node.on_error.node
                instead = self.node(node)
                edges.append(Edge(placed[-1].id, instead.id, "error", "on error"))
                edges += [Edge(instead.id, target, "error") for target in waiting]
                placed.append(instead)
        return Inside(tuple(placed), tuple(edges))

    def node(self, node: Node, entry: tuple[str, ...] = (), branch: bool = False) -> Box:
        known = facts(node, self.names)
        if node.when is not None:
            entry = (*entry, one_line(node.when.text))
        return Box(
            id=self.id(),
            name=visible(node.name),
            kind=node.kind,
            facts=tuple(fact for fact in known if not fact.in_title and fact.role != "when"),
            title=_title(node, known),
            entry=entry,
            inside=self.inside(node),
            branch=branch,
        )

    def inside(self, node: Node) -> Inside | None:
        match node.op:
            case Group(body):
                return self.block(body)
            case Fan(branches):
                return self.with_handlers([self.node(each, branch=True) for each in branches], [], branches)
            case Choice():
                return self.choice(node.op)
            case Turn(agent):
                return self.team(agent)
            case _:
                return None

    def choice(self, op: Choice) -> Inside:
        nodes = [case.node for case in op.cases]
        boxes = [self.node(case.node, (literal(case.value),)) for case in op.cases]
        if op.default is not None:
            nodes.append(op.default)
            boxes.append(self.node(op.default, ("else",)))
        inside = self.with_handlers(boxes, [], nodes)
        if len(boxes) > FEW_CASES:
            return inside
        fork = Box(self.id(), "", "decision", title=one_line(op.subject.text))
        edges = [Edge(fork.id, box.id, "case", conditional=True) for box in boxes]
        return Inside((fork, *inside.boxes), (*edges, *inside.edges))

    def team(self, name: str) -> Inside | None:
        """The agents that a turn can reach by handoffs and calls; drawn where they are first used."""
        agents = list(self.reached(name))
        if len(agents) < 2 or name in self.teams:
            return None
        self.teams.add(name)
        ids = {agent.name: self.id() for agent in agents}
        boxes = tuple(self.member(agent, ids[agent.name], agent.name == name) for agent in agents)
        return Inside(boxes, tuple(_links(agents, ids)))

    def reached(self, name: str) -> Iterator[Agent]:
        seen, waiting = {name}, [name]
        while waiting:
            agent = self.names.agent(waiting.pop(0))
            if agent is None:
                continue
            yield agent
            for other in (*agent.handoffs, *agent.agents):
                if other not in seen:
                    seen.add(other)
                    waiting.append(other)

    def member(self, agent: Agent, id: str, first: bool) -> Box:
        model = Fact("does", "", self.names.model(agent.model))
        tools = [fact for fact in abilities(agent) if fact.label == "tools:"]
        about = [Fact("about", "", one_line(agent.description))] if agent.description else []
        title = [f"agent {visible(agent.name)} (line {agent.line})", *map(str, abilities(agent))]
        instruction = f"instruction: {one_line(agent.instruction.template)}"
        entry = ("starts",) if first else ()
        return Box(id, visible(agent.name), "member", (model, *about, *tools), "\n".join([*title, instruction]), entry)


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


def _shape(of: object) -> Fact:
    if isinstance(of, Object):
        return Fact("does", "", fields(of))
    return Fact("does", "", type_name(of))  # type: ignore[arg-type]


def _title(node: Node, known: Sequence[Fact]) -> str:
    place = node.path if node.path != node.name else node.name
    head = f"{visible(place)} ({node.kind}, line {node.line})"
    after = [f"after {visible(', '.join(node.needs))}"] if node.needs else []
    return "\n".join([head, *after, *map(str, known)])
