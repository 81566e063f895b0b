"""From a checked graph to the IR: references become edges, and edges a plan.

The plan is the program's shape. A node is in line when every other node of its scope is its ancestor
or its descendant: it becomes straight-line code. What lies between runs side by side, in a region.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

from agentflow import expressions, ir
from agentflow.check import analysed
from agentflow.check.order import topological
from agentflow.check.places import Place
from agentflow.check.reachability import used_agents
from agentflow.check.types import Typed
from agentflow.codegen.invocations import inner as held
from agentflow.codegen.invocations import walk
from agentflow.nodes.agent import SESSION, AgentBody
from agentflow.nodes.registry import KINDS
from agentflow.source import Source
from agentflow.spec.confirm import lower_confirm
from agentflow.spec.model import MISSING, AgentSpec, BlockSpec, GraphSpec, NodeSpec, ToolSpec, UndoSpec
from agentflow.tools.registry import KINDS as TOOL_KINDS
from agentflow.types import ANY, Json

EXACT = ("model_calls", "tool_calls", "tokens", "cost")
MOST_LISTED = 1_000_000
DEFAULTS = ir.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000)


def lower(graph: GraphSpec) -> ir.Program:
    """The program of a graph without errors."""
    typed = analysed(graph)
    lowering = _Lowering(graph, typed)
    body = lowering.lower_block(graph.body)
    after = lowering.after()
    return ir.Program(
        name=graph.name,
        kind=graph.kind,
        description=graph.description,
        source=_shown(graph, graph.source),
        digest=_digest(graph),
        input=graph.input,
        output=typed.of_block(typed.analysis.root),
        types=tuple(ir.TypeDef(name, type, graph.source.line(("types", name))) for name, type in graph.types.items()),
        models=tuple(lowering.models()),
        tools=tuple(lowering.tool(tool) for tool in graph.tools.values()),
        agents=tuple(lowering.agent(agent) for agent in lowering.agents()),
        body=body,
        limits=_with_defaults(graph.limits, (body, *(() if after is None else (after.body,)))),
        schedule=_schedule(graph),
        includes=tuple(_shown(graph, part) for part in graph.source.included),
        after=after,
        state=graph.state,
        session=_session(graph, typed),
        on_busy=graph.on_busy,
        exact=tuple(name for name in EXACT if getattr(graph.limits, name) is not None),
    )


def _digest(graph: GraphSpec) -> str:
    digest = sha256(graph.source.text.encode())
    for part in graph.source.included:
        digest.update(f"\0{_shown(graph, part)}\0{part.text}".encode())
    return digest.hexdigest()


def _session(graph: GraphSpec, typed: Typed) -> ir.Session | None:
    if graph.session is None:
        return None
    bodies = (place.node.body for place in typed.analysis.places)
    speaking = [body.agent for body in bodies if isinstance(body, AgentBody) and body.conversation == SESSION]
    return ir.Session(graph.session.keep, graph.session.summarize_after, speaking[0]) if speaking else None


def _shown(graph: GraphSpec, source: Source) -> str:
    path = source.path.resolve()
    root = graph.root.resolve()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def _schedule(graph: GraphSpec) -> ir.Schedule | None:
    given = graph.schedule
    if given is None:
        return None
    line = graph.source.line(given.path)
    return ir.Schedule(given.cron, given.timezone, given.every, given.input, line)


def _with_defaults(limits: ir.Limits, blocks: Iterable[ir.Block]) -> ir.Limits:
    """The default of tool calls leaves room for the tools that the graph itself calls for every item of a list."""
    given = {name: value for name, value in vars(limits).items() if value is not None}
    full = replace(DEFAULTS, **given)
    if limits.tool_calls is not None or DEFAULTS.tool_calls is None or full.fan_out is None:
        return full
    listed = sum(_listed(node, full.fan_out) for block in blocks for node in block.nodes)
    return replace(full, tool_calls=DEFAULTS.tool_calls + min(listed, MOST_LISTED))


def _listed(node: ir.Node, fan_out: int) -> int:
    """The tool calls of nodes in lists, were each list as long as it may be."""
    if isinstance(node.op, ir.Each):
        return fan_out * sum(isinstance(one.op, ir.Step) for one in walk((node.op.node,)))
    return sum(_listed(one, fan_out) for one in held(node))


class _Lowering:
    def __init__(self, graph: GraphSpec, typed: Typed) -> None:
        self.graph = graph
        self.places = {id(place.node): place for place in typed.analysis.places}
        self.blocks = {id(block.spec): block for block in typed.analysis.blocks}
        self.tool_refs = {
            tool.name: list(_names_in(dict(tool.compensate.args))) for tool in graph.tools.values() if tool.compensate
        }
        for tool in graph.tools.values():
            if called := TOOL_KINDS[tool.kind].called(tool):
                self.tool_refs[tool.name] = [ref for name in called for ref in self.tool_refs.get(name, ())]
        self.used = used_agents(typed.analysis)
        self._outer = typed.analysis.outer
        self._address: tuple[str, ...] = ()

    # ------------------------------------------------------------ nodes

    def lower_block(self, block: BlockSpec) -> ir.Block:
        place = {name: at for at, name in enumerate(block.nodes)}
        edges = {
            name: tuple(sorted(before, key=place.__getitem__)) for name, before in self.blocks[id(block)].edges.items()
        }
        nodes = tuple(replace(self.lower_node(node), needs=edges[node.name]) for node in block.nodes.values())
        output = None if block.output is MISSING else ir.Value(block.output)
        return ir.Block(nodes, plan(list(block.nodes), edges), output)

    def after(self) -> ir.After | None:
        block = self.graph.after
        if block is None:
            return None
        self._address = ("finally",)
        body = self.lower_block(block)
        self._address = ()
        own = {node.name for node in body.nodes}
        used = dict.fromkeys(name for node in body.nodes for name in node.refs if name not in own)
        # An agent's instruction and a tool's undoing may see the input too.
        return ir.After(body, ("input", *(name for name in used if name not in ("input", "run", "error"))))

    def lower_node(self, node: NodeSpec) -> ir.Node:
        above, self._address = self._address, (*self._address, node.name)
        place = self.places[id(node)]
        try:
            return ir.Node(
                name=node.name,
                path=".".join(self._address),
                kind=node.kind,
                op=KINDS[node.kind].lower(node, self),
                line=self.graph.source.line(node.path),
                type=place.type or ANY,
                description=node.description,
                refs=self.refs(place),
                when=None if node.when is None else ir.Expr(expressions.literal(node.when)),
                timeout=None if KINDS[node.kind].own_timeout else node.timeout,
                on_error=self._on_error(node),
                undo=None if node.compensate is None else self.undo(node.compensate, own=True),
            )
        finally:
            self._address = above

    def refs(self, place: Place) -> tuple[str, ...]:
        """The outer names that a node or anything in it uses, also to undo what it calls; in the order of the file."""
        found = dict(place.refs)
        if self.tool_refs:
            for inner in place.all():
                for name in self.tool_refs.get(KINDS[inner.node.kind].called_tool(inner.node) or "", ()):
                    if (binding := self._outer.find(name)) is not None:
                        found[name] = binding
        return tuple(sorted(found, key=lambda name: found[name].rank))

    def _on_error(self, node: NodeSpec) -> ir.Continue | ir.Use | ir.Run | None:
        if node.on_error is None:
            return None
        if node.on_error.kind == "use":
            return ir.Use(ir.Value(node.on_error.value))
        if node.on_error.node is not None:
            return ir.Run(self.lower_node(node.on_error.node))
        return ir.Continue()

    # ------------------------------------------------------------ declarations

    def agents(self) -> Iterator[AgentSpec]:
        """All but those that the graph does not use, and only has because of the file that it includes."""
        graph = self.graph
        for agent in graph.agents.values():
            if agent.name in self.used or not graph.source.is_included(agent.path):
                yield agent

    def models(self) -> Iterator[ir.Model]:
        graph = self.graph
        for model in graph.models.values():
            line = graph.source.line(model.path)
            generate = dict(model.generate)
            yield ir.Model(
                model.name, model.model, generate, model.retry, line, model.base_url, model.api_key, model.price
            )
        direct = {agent.model: agent for agent in self.agents() if agent.model not in graph.models}
        for name, agent in direct.items():
            yield ir.Model(name, name, {}, None, graph.source.line(agent.path))

    def tool(self, tool: ToolSpec) -> ir.Tool:
        signature = tool.signature
        assert signature is not None, tool.name
        return ir.Tool(
            name=tool.name,
            does=TOOL_KINDS[tool.kind].lower(tool),
            description=tool.description,
            effect=tool.effect,
            retry=tool.retry,
            timeout=tool.timeout or TOOL_KINDS[tool.kind].timeout,
            undo=None if tool.compensate is None else self.undo(tool.compensate, own=False),
            line=self.graph.source.line(tool.path),
            parameters=signature.schema,
            returns=signature.returns,
            confirm=None if tool.confirm is None else lower_confirm(tool.confirm),
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
            tools=tuple(dict.fromkeys(name for _, name in self.graph.tools_of(agent))),
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


def plan(names: Sequence[str], edges: Mapping[str, Sequence[str]]) -> tuple[ir.Line | ir.Region, ...]:
    """Straight lines and the regions between them, in linear time.

    In a topological order, all that follows a node descends from it exactly when each node that follows has
    something it waits for at or after that node; and the same from the other end. Both together make a line.
    """
    order = topological({name: edges[name] for name in names})
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
