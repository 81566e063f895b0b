"""From a checked graph to the IR: references become edges, and edges a plan.

The plan is the program's shape. A node is in line when every other node of its scope is its ancestor
or its descendant: it becomes straight-line code. What lies between runs side by side, in a region.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

from agentflow import expressions, ir
from agentflow.nodes import common
from agentflow.nodes.registry import KINDS
from agentflow.spec.model import MISSING, AgentSpec, BlockSpec, GraphSpec, NodeSpec, PythonToolSpec, UndoSpec
from agentflow.types import ANY, Json, Type

DEFAULTS = ir.Limits(model_calls=200, handoffs=20)


def lower(
    graph: GraphSpec, types: Mapping[tuple[str | int, ...], Type] | None = None, output: Type = ANY
) -> ir.Program:
    """The program of a graph without errors. `types` gives the type of each node's value, by its path."""
    lowering = _Lowering(graph, types or {})
    body = lowering.lower_block(graph.body)
    return ir.Program(
        name=graph.name,
        kind=graph.kind,
        description=graph.description,
        source=_shown(graph),
        digest=sha256(graph.source.text.encode()).hexdigest(),
        input=graph.input,
        output=output,
        types=tuple(ir.TypeDef(name, type, graph.source.line(("types", name))) for name, type in graph.types.items()),
        models=tuple(lowering.models()),
        tools=tuple(lowering.tool(tool) for tool in graph.tools.values()),
        agents=tuple(lowering.agent(agent) for agent in graph.agents.values()),
        body=body,
        limits=_with_defaults(graph.limits),
    )


def _shown(graph: GraphSpec) -> str:
    path = graph.source.path.resolve()
    root = graph.root.resolve()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def _with_defaults(limits: ir.Limits) -> ir.Limits:
    given = {name: value for name, value in vars(limits).items() if value is not None}
    return replace(DEFAULTS, **given)


@dataclass
class _Lowering:
    graph: GraphSpec
    types: Mapping[tuple[str | int, ...], Type]
    _address: tuple[str, ...] = ()
    _names: dict[int, tuple[str, ...]] = field(default_factory=dict)

    # ------------------------------------------------------------ nodes

    def lower_block(self, block: BlockSpec) -> ir.Block:
        nodes = tuple(self.lower_node(node) for node in block.nodes.values())
        edges = _edges(nodes, block, self)
        nodes = tuple(replace(node, needs=edges[node.name]) for node in nodes)
        output = None if block.output is MISSING else ir.Value(block.output)
        return ir.Block(nodes, plan([node.name for node in nodes], edges), output)

    def lower_node(self, node: NodeSpec) -> ir.Node:
        above, self._address = self._address, (*self._address, node.name)
        try:
            return ir.Node(
                name=node.name,
                path=".".join(self._address),
                kind=node.kind,
                op=KINDS[node.kind].lower(node, self),
                line=self.graph.source.line(node.path),
                type=self.types.get(node.path, ANY),
                description=node.description,
                refs=self.references(node),
                when=None if node.when is None else ir.Expr(_expression(node.when)),
                timeout=None if KINDS[node.kind].own_timeout else node.timeout,
                on_error=self._on_error(node),
                undo=None if node.compensate is None else self.undo(node.compensate, own=True),
            )
        finally:
            self._address = above

    def _on_error(self, node: NodeSpec) -> ir.Continue | ir.Use | ir.Run | None:
        if node.on_error is None:
            return None
        if node.on_error.kind == "use":
            return ir.Use(ir.Value(node.on_error.value))
        if node.on_error.node is not None:
            return ir.Run(self.lower_node(node.on_error.node))
        return ir.Continue()

    def references(self, node: NodeSpec) -> tuple[str, ...]:
        """The outer names that a node or anything in it refers to, in the order of the file."""
        found = self._names.get(id(node))
        if found is None:
            found = self._names[id(node)] = tuple(dict.fromkeys(self._references(node)))
        return found

    def _references(self, node: NodeSpec) -> Iterator[str]:
        for template in common.templates(node, self.graph):
            for leaf in expressions.leaves(template.form, template.path, template.data):
                if leaf.tree is not None:
                    for reference in expressions.references(leaf.tree):
                        if reference.name not in template.extra:
                            yield reference.name
        for child in common.children(node):
            if isinstance(child.of, BlockSpec):
                yield from self._of_block(child.of, child.extra)
            else:
                yield from (name for name in self.references(child.of) if name not in child.extra)

    def _of_block(self, block: BlockSpec, extra: Mapping[str, Type]) -> Iterator[str]:
        inner = {*block.nodes, *extra}
        for node in block.nodes.values():
            yield from (name for name in self.references(node) if name not in inner)
        if block.output is not MISSING:
            yield from (name for name in _names_in(block.output) if name not in inner)

    # ------------------------------------------------------------ declarations

    def models(self) -> Iterator[ir.Model]:
        graph = self.graph
        for model in graph.models.values():
            line = graph.source.line(model.path)
            yield ir.Model(model.name, model.model, dict(model.generate), model.retry, line, model.base_url)
        direct = {agent.model: agent for agent in graph.agents.values() if agent.model not in graph.models}
        for name, agent in direct.items():
            yield ir.Model(name, name, {}, None, graph.source.line(agent.path))

    def tool(self, tool: PythonToolSpec) -> ir.PythonTool:
        signature = tool.signature
        assert signature is not None, tool.name
        return ir.PythonTool(
            name=tool.name,
            module=tool.module,
            function=tool.function,
            description=tool.description,
            effect=tool.effect,
            retry=tool.retry,
            timeout=tool.timeout,
            undo=None if tool.compensate is None else self.undo(tool.compensate, own=False),
            line=self.graph.source.line(tool.path),
            keeps_own_journal=signature.keeps_own_journal,
            takes_key=signature.takes_key,
            parameters=signature.schema,
            returns=signature.returns,
        )

    def undo(self, undo: UndoSpec, *, own: bool) -> ir.Undo:
        """`own`: of a node, whose `result` is the node's value."""
        names = dict.fromkeys(_names_in(dict(undo.args)))
        kept = tuple(name for name in names if name not in ("args", "error") and (own or name != "result"))
        return ir.Undo(undo.tool, ir.Value(dict(undo.args)), undo.on, kept)

    def agent(self, agent: AgentSpec) -> ir.Agent:
        agents = self.graph.agents
        return ir.Agent(
            name=agent.name,
            description=agent.description,
            instruction=ir.Text(agent.instruction),
            model=agent.model,
            tools=tuple(name for name in agent.tools if name not in agents),
            agents=tuple(name for name in agent.tools if name in agents),
            handoffs=agent.handoffs,
            returns=agent.returns,
            input=agent.input,
            generate=dict(agent.generate),
            limits=agent.limits,
            line=self.graph.source.line(agent.path),
        )


def _names_in(data: Json) -> Iterator[str]:
    for leaf in expressions.leaves("value", (), data):
        if leaf.tree is not None:
            yield from (reference.name for reference in expressions.references(leaf.tree))


def _expression(when: str | bool) -> str:
    return when if isinstance(when, str) else str(when).lower()


def _edges(nodes: Sequence[ir.Node], block: BlockSpec, lowering: _Lowering) -> dict[str, tuple[str, ...]]:
    """What each node of a scope waits for, in the order of the file."""
    place = {name: at for at, name in enumerate(block.nodes)}
    edges: dict[str, tuple[str, ...]] = {}
    before: str | None = None
    for node in nodes:
        names = {*node.refs, *block.nodes[node.name].needs}
        if block.ordered and before is not None:
            names.add(before)
        edges[node.name] = tuple(sorted((name for name in names if name in place), key=place.__getitem__))
        before = node.name
    return edges


def plan(names: Sequence[str], edges: Mapping[str, Sequence[str]]) -> tuple[ir.Line | ir.Region, ...]:
    """Straight lines and the regions between them, in linear time.

    In a topological order, all that follows a node descends from it exactly when each node that follows has
    something it waits for at or after that node; and the same from the other end. Both together make a line.
    """
    order = topological(names, edges)
    place = {name: at for at, name in enumerate(order)}
    latest = [max((place[one] for one in edges[name]), default=-1) for name in order]
    earliest = [len(order)] * len(order)
    for at, name in enumerate(order):
        for one in edges[name]:
            earliest[place[one]] = min(earliest[place[one]], at)
    all_descend = [True] * len(order)
    floor = len(order)
    for at in reversed(range(len(order))):
        all_descend[at] = floor >= at
        floor = min(floor, latest[at])
    parts: list[ir.Line | ir.Region] = []
    region: list[str] = []
    ceiling = -1
    written = {name: at for at, name in enumerate(names)}

    def close() -> None:
        if region:
            parts.append(ir.Region(tuple(sorted(region, key=written.__getitem__))))
            region.clear()

    for at, name in enumerate(order):
        if all_descend[at] and ceiling <= at:
            close()
            parts.append(ir.Line(name))
        else:
            region.append(name)
        ceiling = max(ceiling, earliest[at])
    close()
    return tuple(parts)


def topological(names: Sequence[str], edges: Mapping[str, Sequence[str]]) -> list[str]:
    """Each node after all that it waits for; among those that could come next, the first in the file."""
    place = {name: at for at, name in enumerate(names)}
    after: dict[str, list[str]] = {name: [] for name in names}
    for name in names:
        for one in edges[name]:
            after[one].append(name)
    missing = {name: len(edges[name]) for name in names}
    ready = [place[name] for name in names if not missing[name]]
    order: list[str] = []
    while ready:
        name = names[heapq.heappop(ready)]
        order.append(name)
        for later in after[name]:
            missing[later] -= 1
            if not missing[later]:
                heapq.heappush(ready, place[later])
    return order
