"""A program as a diagram."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from agentflow.ir import Block, Choice, Each, Fan, Group, Loop, Node, Program, Run, Turn
from agentflow.types import ANY, Object, Type
from agentflow.visualize import order
from agentflow.visualize.boxes import Box, Diagram, Edge, Inside
from agentflow.visualize.facts import Fact, Names, facts
from agentflow.visualize.team import team
from agentflow.visualize.words import arguments, fields, literal, one_line, timetable, type_name, visible

FEW_CASES = 6
ON_ERROR = "on error"


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
        empty = isinstance(program.input, Object) and not program.input.fields
        has_input = not empty or program.schedule is not None
        given = () if empty else (_shape(program.input),)
        starts = () if program.schedule is None else (Fact("limit", "starts", timetable(program.schedule)),)
        said = "\n".join([f"input: {_shape(program.input).text}", *map(str, starts)])
        start = Box(self.id(), "input", "input", (*given, *starts), said)
        body = self.block(program.body)
        text = arguments(program.body.output.data) if program.body.output is not None else type_name(program.output)
        shape = _shape(program.output)
        if program.output == ANY and program.body.output is not None and isinstance(program.body.output.data, dict):
            shape = Fact("does", "", visible(", ".join(program.body.output.data)))
        end = Box(self.id(), "output", "output", (shape,), f"output: {text}")
        targets = {edge.target for edge in body.edges}
        sources = {edge.source for edge in body.edges if edge.label != ON_ERROR}
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
                edges.append(Edge(placed[-1].id, instead.id, "error", ON_ERROR))
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
            case Group(body) | Loop(body):
                return self.block(body)
            case Each(node=each):
                return self.with_handlers([self.node(each, branch=True)], [], [each])
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
        """Drawn where it is first used."""
        if name in self.teams:
            return None
        self.teams.add(name)
        return team(name, self.names, self.id)


def _shape(of: Type) -> Fact:
    if isinstance(of, Object):
        return Fact("does", "", fields(of))
    return Fact("does", "", type_name(of))


def _title(node: Node, known: Sequence[Fact]) -> str:
    place = node.path if node.path != node.name else node.name
    head = f"{visible(place)} ({node.kind}, line {node.line})"
    after = [f"after {visible(', '.join(node.needs))}"] if node.needs else []
    return "\n".join([head, *after, *map(str, known)])
