"""The whole module: header, imports, types, texts, models, tools, agents, nodes, the graph, its services."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import assert_never

from agentflow import __version__, ir, journal
from agentflow.codegen import emit as ops
from agentflow.codegen import operations
from agentflow.codegen.invocations import asks_people, events, everything, has_budget, own, walk
from agentflow.codegen.names import Names, constant_name, identifier
from agentflow.codegen.types import Types
from agentflow.codegen.writer import (
    Arguments,
    Call,
    Expression,
    ListOf,
    Writer,
    data,
    duration,
    literal,
    literals,
    plain,
)
from agentflow.types import ANY, Object, Type

_REVISION = "\0revision\0"  # no text of a graph reaches the module with such characters as they are


def emit(program: ir.Program) -> tuple[str, str]:
    """The module's text, and the revision that it is. The same program gives the same bytes.

    The revision, 8 hex digits, covers the text and the journals that its runtime writes.
    """
    text = Module(program).text_of_module()
    named = text.replace(_REVISION, "<revision>")
    revision = hashlib.sha256(f"{journal.VERSION}\n{named}".encode()).hexdigest()[:8]
    return text.replace(_REVISION, revision), revision


@dataclass
class Module:
    program: ir.Program
    names: Names = field(default_factory=Names)
    model_names: dict[str, str] = field(default_factory=dict)
    set_names: dict[str, str] = field(default_factory=dict)
    tool_names: dict[str, str] = field(default_factory=dict)
    agent_names: dict[str, str] = field(default_factory=dict)
    event_names: dict[str, str] = field(default_factory=dict)
    node_names: dict[str, str] = field(default_factory=dict)  # by path
    round_names: dict[str, str] = field(default_factory=dict)  # by the path of their loop
    needs: dict[str, tuple[str, ...]] = field(default_factory=dict)  # by path, within a region
    uses: dict[str, tuple[str, ...]] = field(default_factory=dict)  # by path, of nodes with invocations of their own
    texts: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        program = self.program
        self.tools = {tool.name: tool for tool in program.tools}
        self.agents = {agent.name: agent for agent in program.agents}
        self.modules = sorted({tool.does.module for tool in program.tools if isinstance(tool.does, ir.Python)})
        for module in self.modules:
            self.names.take(module.partition(".")[0]) if "." in module else self.names.take(module)
        self.types = Types(self.names)
        self.types.declare([(definition.name, definition.type) for definition in program.types])
        self.input = self.types.annotation(program.input, "input")
        self.state = None if program.state is None else self.types.annotation(_unset(program.state), "state")
        self.flow = self.names.take(program.name)
        self.nodes = list(everything(program))
        for model in program.models:
            self.model_names[model.name] = self.names.take(constant_name(model.name))
        for name in operations.shared(program.tools):
            self.set_names[name] = self.names.take(constant_name(name))
        for tool in program.tools:
            self.tool_names[tool.name] = self.names.take(constant_name(tool.name))
        for agent in program.agents:
            self.agent_names[agent.name] = self.names.take(constant_name(agent.name))
        self.events = events(program)
        for event in self.events:
            self.event_names[event] = self.names.take(constant_name(event))
        for node in self.nodes:
            self.node_names[node.path] = self.names.take(identifier(node.path.replace(".", "_")))
        self.emits = any(isinstance(node.op, ir.Emit) for node in self.nodes)
        self.own = own(program)
        for node in self.own:
            self.uses[node.path] = self._used(node)
        for block in program.blocks:
            self._regions(block)
        for node in self.nodes:
            if isinstance(node.op, ir.Group | ir.Loop):
                self._regions(node.op.body)

    def _regions(self, block: ir.Block) -> None:
        for part in block.plan:
            if isinstance(part, ir.Region):
                for node in block.nodes:
                    if node.name in part.nodes:
                        self.needs[node.path] = tuple(name for name in node.needs if name in part.nodes)

    def _used(self, node: ir.Node) -> tuple[str, ...]:
        """What travels with a node. `run` always does; an agent's instruction, a tool's undoing may see the input."""
        ops = [one.op for one in walk((node,))]
        called = [name for op in ops if isinstance(op, ir.Step) for name in (op.tool, *self.tools[op.tool].members)]
        undone = [self.tools[name].undo for name in called]
        inputs = any(isinstance(op, ir.Turn) for op in ops) or any(undo and "input" in undo.refs for undo in undone)
        uses = [name for name in node.refs if name != "run"]
        talks = any(isinstance(op, ir.Turn) for op in ops)
        seen = [name for name, is_seen in (("input", inputs), ("state", talks and self.state is not None)) if is_seen]
        return (*(name for name in seen if name not in uses), *uses)

    def conversations(self, node: ir.Node) -> tuple[str, ...]:
        """Those that agents in a node share with others."""
        ops = [one.op for one in walk((node,))]
        shared = (op.conversation for op in ops if isinstance(op, ir.Turn) and op.conversation is not None)
        return tuple(dict.fromkeys(shared))

    def node_in(self, block: ir.Block, name: str) -> str:
        return self.node_names[next(node.path for node in block.nodes if node.name == name)]

    def text(self, text: ir.Text, *context: str) -> Expression:
        """A text: where it stands when it is short, else as a constant at the top."""
        template = text.template
        if len(template) <= 60 and "\n" not in template:
            return literal(template)
        name = self.names.take(constant_name(*context))
        self.texts.append((name, template))
        return name

    def describe(self, writer: Writer, description: str | None) -> None:
        """A description as a docstring, where it is plain enough to stand there."""
        if description is not None and plain(one_line := " ".join(description.split())):
            writer.line(f'"""{one_line}"""')

    # ------------------------------------------------------------ the parts, in the order of the file

    def _after(self, writer: Writer, after: ir.After) -> None:
        writer.gap()
        writer.statement("@", Call("af.finally_", ["GRAPH", ("uses", literals(after.refs))]))
        writer.line(f"async def {self.names.take(f'{self.flow}_finally')}(run: af.Run) -> af.Json:")
        writer.indent()
        writer.line('"""Once the run has ended, however it did."""')
        ops.block(self, writer, after.body)
        writer.dedent()

    def text_of_module(self) -> str:
        body = Writer()
        self._declarations(body)
        self._all_nodes(body)
        self._graph(body)
        rest = Writer()
        for lines in self.types.classes:
            rest.gap()
            rest.lines += lines
        if self.texts:
            rest.gap()
            for name, text in self.texts:
                rest.constant(name, text)
                rest.gap(1)
        rest.gap()
        rest.lines += body.lines
        while not rest.lines[0]:
            del rest.lines[0]
        top = Writer()
        self._header(top)
        top.gap(2 if rest.lines[0].startswith("class ") else 1)
        top.lines += rest.lines
        return top.text()

    def _header(self, writer: Writer) -> None:
        program = self.program
        about = program.description and " ".join(program.description.split())
        writer.line(f'"""{program.name}: {about}' if about and plain(about) else f'"""The graph {program.name}.')
        writer.line()
        writer.line(f"Made by agentflow {__version__} from {_comment(program.source)},")
        if program.includes:
            writer.line(f"with {_comment(', '.join(program.includes))},")
        writer.line(f"sha256 {program.digest}.")
        writer.line("Change the graph and compile it again: what is changed here is lost.")
        writer.line('"""')
        writer.line()
        writer.line("from __future__ import annotations")
        writer.line()
        if self.types.imports:
            writer.line(f"from typing import {', '.join(sorted(self.types.imports))}")
            writer.line()
        writer.line("from agentflow import runtime as af")
        modules = sorted({*self.modules, *self.types.modules})
        if modules:
            # Whether these are sorted with the import above depends on where the module lies; split, they never are.
            writer.line()
            writer.line("# isort: split")
        for module in modules:
            writer.line(f"import {module}")

    def _declarations(self, writer: Writer) -> None:
        program = self.program
        about: list[tuple[str, Expression]] = [
            ("kind", literal(program.kind)),
            ("revision", f'"{_REVISION}"'),
            ("source", literal(program.source)),
            ("input", self.input),
        ]
        if program.description is not None:
            about.append(("description", literal(program.description)))
        if self.emits:
            about.append(("emits", "True"))
        limits = self._limits(program.limits)
        if limits is not None:
            about.append(("limits", limits))
        if program.schedule is not None:
            about.append(("schedule", self._schedule(program.schedule)))
        if self.state is not None:
            about.append(("state", self.state))
        if program.session is not None:
            about.append(("session", self._session(program.session)))
        if program.on_busy != "queue":
            about.append(("on_busy", literal(program.on_busy)))
        writer.statement("GRAPH = ", Call("af.Graph", [literal(program.name), *about]))
        for model in program.models:
            writer.gap(1)
            self._model(writer, model)
        for name, one in operations.shared(program.tools).items():
            writer.gap(1)
            writer.statement(f"{self.set_names[name]} = ", operations.declared(one))
        for tool in _undo_first(program.tools):
            writer.gap(1)
            self._tool(writer, tool)
        for agent in _callee_first(program.agents):
            writer.gap(1)
            self._agent(writer, agent)
        for name, op in self.events.items():
            writer.gap(1)
            self._event(writer, name, op.type)

    def _schedule(self, schedule: ir.Schedule) -> Expression:
        arguments: Arguments = []
        if schedule.cron is not None:
            arguments += [("cron", literal(schedule.cron)), ("timezone", literal(schedule.timezone))]
        if schedule.every is not None:
            arguments.append(("every", duration(schedule.every)))
        if schedule.input != {}:
            arguments.append(("input", data(schedule.input)))
        return Call("af.Schedule", arguments)

    def _session(self, session: ir.Session) -> Expression:
        arguments: Arguments = [("keep", str(session.keep))]
        if session.summarize_after is not None:
            arguments.append(("summarize_after", str(session.summarize_after)))
        arguments.append(("agent", literal(session.agent)))
        return Call("af.Session", arguments)

    def _limits(self, limits: ir.Limits) -> Expression | None:
        arguments: Arguments = []
        for name, value in vars(limits).items():
            if value is not None:
                arguments.append((name, duration(value) if name == "time" else literal(value)))
        return Call("af.Limits", arguments) if arguments else None

    def _model(self, writer: Writer, model: ir.Model) -> None:
        arguments: Arguments = [literal(model.name), literal(model.model)]
        if model.generate:
            arguments.append(("generate", data(model.generate)))
        if model.retry is not None:
            arguments.append(("retry", ops.retry(model.retry)))
        if model.base_url is not None:
            arguments.append(("base_url", literal(model.base_url)))
        if model.api_key is not None:
            arguments.append(("api_key", Call("af.Env", [literal(model.api_key)])))
        if model.price is not None:
            prices = [("input", literal(model.price.input)), ("output", literal(model.price.output))]
            arguments.append(("price", Call("af.Price", prices)))
        writer.statement(f"{self.model_names[model.name]} = ", Call("af.Model", arguments))

    def _tool(self, writer: Writer, tool: ir.Tool) -> None:
        arguments: Arguments = [literal(tool.name), self._does(tool)]
        if tool.effect != "write":
            arguments.append(("effect", literal(tool.effect)))
        if tool.description is not None:
            arguments.append(("description", literal(tool.description)))
        if tool.retry is not None:
            arguments.append(("retry", ops.retry(tool.retry)))
        if tool.timeout is not None and not isinstance(tool.does, ir.Asking):  # there it is people's time
            arguments.append(("timeout", duration(tool.timeout)))
        if tool.undo is not None:
            arguments.append(("undo", ops.undo(self, tool.undo)))
        if tool.confirm is not None:
            arguments.append(("confirm", ops.confirm(tool.confirm)))
        if isinstance(tool.does, ir.Python) and tool.does.takes_state:
            arguments.append(("takes_state", "True"))
        name = self.tool_names[tool.name]
        writer.statement(f"{name} = ", Call("GRAPH.tool", [Call("af.Tool", arguments)]))

    def _does(self, tool: ir.Tool) -> Expression:
        does = tool.does
        match does:
            case ir.Python():
                return f"{does.module}.{does.function}"
            case ir.Http():
                return operations.http(self.types, tool.name, does)
            case ir.ApiOperation():
                return operations.operation(self.types, tool.name, does, self.set_names[does.api.name])
            case ir.McpTool():
                return operations.mcp_tool(does, self.set_names[does.server.name])
            case ir.CalledGraph() | ir.CalledService() | ir.Asking():
                return operations.remote(self.types, tool.name, does)
            case ir.Together():
                return operations.together(self.types, tool.name, does, self.tool_names)
            case ir.Command():
                return operations.command(self.types, tool.name, does)
            case _:
                assert_never(does)

    def _agent(self, writer: Writer, agent: ir.Agent) -> None:
        tools: list[Expression] = [self.tool_names[name] for name in agent.tools]
        tools += [self.agent_names[name] for name in agent.agents]
        arguments: Arguments = [
            literal(agent.name),
            self.model_names[agent.model],
            self.text(agent.instruction, agent.name, "instruction"),
        ]
        if agent.description is not None:
            arguments.append(("description", literal(agent.description)))
        if tools:
            arguments.append(("tools", ListOf(tools)))
        if agent.handoffs:
            arguments.append(("handoffs", literals(agent.handoffs)))
        if agent.returns is not None:
            arguments.append(("returns", self.types.annotation(agent.returns, agent.name, "returns")))
        if agent.input is not None:
            arguments.append(("input", self.types.annotation(agent.input, agent.name, "input")))
        if agent.generate:
            arguments.append(("generate", data(agent.generate)))
        limits = self._limits(agent.limits)
        if limits is not None:
            arguments.append(("limits", limits))
        name = self.agent_names[agent.name]
        writer.statement(f"{name} = ", Call("GRAPH.agent", [Call("af.Agent", arguments)]))

    def _event(self, writer: Writer, name: str, type: Type) -> None:
        arguments: Arguments = [literal(name)]
        if type != ANY:
            arguments.append(self.types.annotation(type, name, "event"))
        writer.statement(f"{self.event_names[name]} = ", Call("GRAPH.event", [Call("af.Event", arguments)]))

    def _all_nodes(self, writer: Writer) -> None:
        """Each node in file order, but what takes a failed node's place before it: a decorator names it."""
        written: set[str] = set()

        def write(node: ir.Node) -> None:
            if node.path in written:
                return
            written.add(node.path)
            if isinstance(node.on_error, ir.Run):
                write(node.on_error.node)
            writer.gap()
            ops.node(self, writer, node)

        for node in self.nodes:
            write(node)

    def _graph(self, writer: Writer) -> None:
        writer.gap()
        writer.line(f"async def {self.flow}(run: af.Run) -> af.Json:")
        writer.indent()
        writer.line('"""The nodes in the order in which they run."""')
        ops.block(self, writer, self.program.body)
        writer.dedent()
        if self.program.after is not None:
            self._after(writer, self.program.after)
        writer.gap()
        services: list[Expression] = [f"af.{self.program.kind}(GRAPH, {self.flow})"]
        if self.own or self.program.after is not None:
            handlers: list[tuple[str, Expression]] = [
                (identifier(node.path.replace(".", "__")), self.node_names[node.path]) for node in self.own
            ]
            services.append(Call("af.own_invocations", ["GRAPH", *handlers]))
        if has_budget(self.program):
            services.append(Call("af.budget", ["GRAPH", *(literal(name) for name in self.program.exact)]))
        if asks_people(self.program):
            services.append("af.approvals(GRAPH)")
        if self.program.schedule is not None:
            services.append("af.schedule(GRAPH)")
        if self.emits:
            services.append("af.stream(GRAPH)")
        if self.events:
            services.append("af.inbox(GRAPH)")
        if self.program.on_busy == "interrupt":
            services.append("af.door(GRAPH)")
        writer.statement("SERVICES = ", ListOf(services))


def _unset(state: Object) -> Object:
    """What is kept may be missing: before it is first set, and after a new revision has declared more."""
    return Object(tuple(one if one.has_default else replace(one, optional=True) for one in state.fields))


def _comment(text: str) -> str:
    return text if plain(text) else ascii(text).replace('"', "'")


def _undo_first(tools: tuple[ir.Tool, ...]) -> list[ir.Tool]:
    """Tools in file order, but each after the one that undoes it, and those that it runs."""
    by_name = {tool.name: tool for tool in tools}
    ordered: dict[str, ir.Tool] = {}

    def add(tool: ir.Tool, above: frozenset[str]) -> None:
        for name in (*tool.members, *((tool.undo.tool,) if tool.undo is not None else ())):
            if name in by_name and name not in above:
                add(by_name[name], above | {tool.name})
        ordered.setdefault(tool.name, tool)

    for tool in tools:
        add(tool, frozenset({tool.name}))
    return list(ordered.values())


def _callee_first(agents: tuple[ir.Agent, ...]) -> list[ir.Agent]:
    """Agents in file order, but each after those that it calls as tools."""
    by_name = {agent.name: agent for agent in agents}
    ordered: dict[str, ir.Agent] = {}

    def add(agent: ir.Agent, above: frozenset[str]) -> None:
        for name in agent.agents:
            if name in by_name and name not in above:
                add(by_name[name], above | {agent.name})
        ordered.setdefault(agent.name, agent)

    for agent in agents:
        add(agent, frozenset({agent.name}))
    return list(ordered.values())
