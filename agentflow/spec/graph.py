"""A whole graph: its own keys, and everything named in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypedDict

from agentflow.diagnostics import Diagnostic, Path, choices_help, quoted
from agentflow.nodes.agent import SESSION, AgentBody
from agentflow.project import project_root
from agentflow.source import Source
from agentflow.spec.agents import check_references, read_agents, read_models
from agentflow.spec.include import include, is_part, not_a_graph
from agentflow.spec.model import MISSING, AgentSpec, BlockSpec, GraphSpec, NodeSpec, SessionSpec, ToolSpec
from agentflow.spec.names import bad_name
from agentflow.spec.nodes import NodeReader
from agentflow.spec.objects import read_session, read_state
from agentflow.spec.reader import Reader, Reading
from agentflow.spec.schedule import read_schedule
from agentflow.spec.settings import read_limits
from agentflow.spec.tools import check_undo, read_tools
from agentflow.spec.types import read_object, read_types
from agentflow.types import STRING, Field, Object, Type

KEYS = (
    "agentflow",
    "graph",
    "description",
    "kind",
    "input",
    "types",
    "models",
    "tools",
    "agents",
    "nodes",
    "steps",
    "entry",
    "output",
    "finally",
    "limits",
    "schedule",
    "include",
    "state",
    "session",
    "on_busy",
)
VERSION = 1
MESSAGE = Object((Field("message", STRING),))

GraphKind = Literal["workflow", "service", "object"]


def parse(source: Source) -> tuple[GraphSpec | None, list[Diagnostic]]:
    """The graph, as far as it can be made out, and everything that is wrong with how it is written."""
    reading = Reading(source, project_root(source.path))
    if is_part(source.data):
        return None, [not_a_graph(source)]
    if not include(reading, KEYS):
        return None, reading.problems
    reader = reading.reader((), source.data, "the graph")
    if reader is None:
        return None, reading.problems
    names = source.data.get("types") if isinstance(source.data, dict) else None
    reading.type_names = frozenset(names) if isinstance(names, dict) else frozenset()
    return _graph(reader), reading.problems


@dataclass(frozen=True)
class Interface:
    """The head of a graph: what there is to know before it is called."""

    name: str
    kind: str
    description: str | None
    input: Type
    types: Mapping[str, Type]


def interface(source: Source) -> tuple[Interface | None, list[Diagnostic]]:
    """The head of a graph, without a look at its nodes, tools or agents."""
    reading = Reading(source, project_root(source.path))
    reader = reading.reader((), source.data, "the graph")
    if reader is None:
        return None, reading.problems
    names = source.data.get("types") if isinstance(source.data, dict) else None
    reading.type_names = frozenset(names) if isinstance(names, dict) else frozenset()
    name, description, kind = _name(reader), reader.text("description"), _kind(reader)
    types = reading.types = read_types(reader, "types")
    entry = None if reader.has("nodes") or reader.has("steps") else "entry"
    return Interface(name, kind, description, _input(reader, entry), types), reading.problems


def _graph(reader: Reader) -> GraphSpec:
    _version(reader)
    reader.take("include")
    name, description, kind = _name(reader), reader.text("description"), _kind(reader)
    reader.reading.stateful = kind == "object" and reader.has("state")
    types = reader.reading.types = read_types(reader, "types")
    models = read_models(reader)
    read = read_tools(reader)
    tools, broken = read.found, frozenset(read.broken)
    agents = read_agents(reader, models)
    _check_names(reader, agents, tools, broken)
    check_references(reader, agents, {**tools, **read.sets}, broken)
    entry, body = _body(reader, agents, kind)
    input = _input(reader, entry)
    graph = GraphSpec(
        name=name,
        kind=kind,
        description=description,
        source=reader.reading.source,
        root=reader.reading.root,
        input=input,
        types=types,
        models=models,
        tools=tools,
        tool_sets=read.sets,
        agents=agents,
        body=body,
        entry=entry,
        after=_after(reader),
        limits=read_limits(reader),
        schedule=read_schedule(reader, input),
        broken=broken,
        **_of_objects(reader, kind),
    )
    reader.finish(known=KEYS)
    return graph


def _version(reader: Reader) -> None:
    version = reader.take("agentflow")
    if not reader.require("agentflow", help="begin the file with agentflow: 1"):
        return
    if version != VERSION or isinstance(version, bool):
        shown = quoted(version) if isinstance(version, str | int | float) else "this"
        message = f"the version of the language is {VERSION}, and not {shown}"
        reader.error("bad-version", message, reader.at("agentflow"), help=f"write agentflow: {VERSION}")
    first = next(iter(reader.data))
    if first != "agentflow":
        message = "the version of the language is the first key of a graph"
        reader.error("bad-version", message, reader.at("agentflow"), key=True, help=f'move it above "{first}"')


def _name(reader: Reader) -> str:
    name = reader.string("graph", "a name") if reader.require("graph", "name it: graph: my_graph") else None
    if name is None:
        return reader.reading.source.path.stem
    problem = bad_name(name, "a graph", reserved=False)
    if problem is None and (name.startswith("restate") or name == "openapi"):
        problem = f"{quoted(name)} cannot name a graph: Restate keeps the name for itself", None
    if problem is not None:
        reader.error("bad-name", problem[0], reader.at("graph"), help=problem[1])
    return name


def _kind(reader: Reader) -> GraphKind:
    match reader.choice("kind", ("workflow", "service", "object"), "workflow"):
        case "service":
            return "service"
        case "object":
            return "object"
        case _:
            return "workflow"


class _OfObjects(TypedDict):
    state: Object | None
    session: SessionSpec | None
    on_busy: Literal["queue", "interrupt"]


def _of_objects(reader: Reader, kind: GraphKind) -> _OfObjects:
    """What only an object has: its state, its conversation, and what it does with a message while it is busy."""
    for key in ("state", "session", "on_busy"):
        if reader.has(key) and kind != "object":
            message = f"{quoted(key)} belongs to graphs of the kind object, and this one is a {kind}"
            reader.error("misplaced-key", message, reader.at(key), key=True, help="write kind: object")
    on_busy = reader.choice("on_busy", ("queue", "interrupt"), "queue")
    session = read_session(reader)
    return {
        "state": read_state(reader) if reader.has("state") else None,
        "session": session if kind == "object" else None,
        "on_busy": "interrupt" if on_busy == "interrupt" else "queue",
    }


def _input(reader: Reader, entry: str | None) -> Type:
    data = reader.take("input")
    if entry is not None:
        if reader.has("input"):
            message = "a graph without nodes takes {message: string}, and declares no input"
            reader.error("misplaced-key", message, reader.at("input"), key=True)
        return MESSAGE
    return read_object(reader.reading, reader.at("input"), data) if reader.has("input") else Object(())


def _body(reader: Reader, agents: Mapping[str, AgentSpec], kind: GraphKind) -> tuple[str | None, BlockSpec]:
    """The graph's nodes; without any, its entry agent as its one node."""
    nodes = NodeReader(reader.reading)
    keys = [key for key in ("nodes", "steps") if reader.has(key)]
    entry = reader.string("entry", "an agent's name")
    if keys:
        if len(keys) > 1:
            message = 'a graph has either "nodes" or "steps"'
            related = [(reader.at("nodes"), "nodes are given here")]
            reader.error("misplaced-key", message, reader.at("steps"), key=True, related=related)
            reader.take("steps")
        if reader.has("entry"):
            message = '"entry" is for a graph without nodes, which is its entry agent'
            reader.error("misplaced-key", message, reader.at("entry"), key=True)
        return None, nodes.block(reader, keys[0])
    if reader.has("output"):
        message = "a graph without nodes yields what its agent says, and declares no output"
        reader.error("misplaced-key", message, reader.at("output"), key=True)
        reader.take("output")
    return _entry(reader, agents, entry, kind)


def _after(reader: Reader) -> BlockSpec | None:
    if not reader.has("finally"):
        return None
    block = NodeReader(reader.reading).block(reader, "finally")
    return replace(block, output=MISSING)  # the output beside it is the graph's


def _entry(
    reader: Reader, agents: Mapping[str, AgentSpec], entry: str | None, kind: GraphKind
) -> tuple[str | None, BlockSpec]:
    empty = BlockSpec((), {}, False, MISSING, ("output",))
    if entry is None and len(agents) == 1:
        entry = next(iter(agents))
    if entry is None:
        if not reader.has("entry"):
            lacking = "entry" if agents else "nodes"
            help = "name the agent that answers, or give the graph nodes" if agents else None
            reader.error("missing-key", f"the graph lacks {quoted(lacking)}", ("graph",), key=True, help=help)
        return None, empty
    if entry not in agents:
        message, help = f"there is no agent {quoted(entry)}", choices_help(entry, agents)
        reader.error("unknown-agent", message, reader.at("entry"), note="not in agents", help=help)
        return None, empty
    path: Path = agents[entry].path
    conversation = SESSION if kind == "object" else None
    node = NodeSpec(entry, path, "agent", AgentBody(entry, "{{ input.message }}", None, conversation))
    return entry, BlockSpec((), {entry: node}, False, MISSING, ("output",))


def _check_names(
    reader: Reader,
    agents: Mapping[str, AgentSpec],
    tools: Mapping[str, ToolSpec],
    broken: frozenset[str],
) -> None:
    """Agents and tools share the names by which an agent calls them; compensations name tools that there are."""
    for name in agents:
        if name in tools or name in broken:
            message = f"{quoted(name)} names a tool and an agent"
            related = [(reader.at("tools", name), "it names a tool here")]
            reader.error("duplicate-name", message, reader.at("agents", name), key=True, related=related)
    for tool in tools.values():
        if tool.compensate is not None:
            reader.reading.problems.extend(check_undo(tool.compensate, tools, broken, reader.reading))
