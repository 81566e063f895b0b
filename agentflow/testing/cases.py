"""Test files: what their cases say, and everything that is wrong with how they say it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path as FilePath
from typing import Literal

from agentflow import ir
from agentflow.codegen.invocations import called_graphs, events, everything
from agentflow.diagnostics import Diagnostic, Path, choices_help, quoted
from agentflow.durations import BadDuration, milliseconds
from agentflow.project import project_root
from agentflow.runtime.errors import ModelRefused
from agentflow.runtime.replies import ReplyReader
from agentflow.source import Source, read
from agentflow.spec.fit import misfit
from agentflow.spec.reader import Reader, Reading
from agentflow.testing.stubs import read_stubs
from agentflow.types import Json, Type

SUFFIX = ".test.yaml"
CONFIRM = ".confirm"  # what the question of a tool's `confirm` is called, after the call
STARTED = datetime.fromisoformat("2026-01-01T00:00:00+00:00").timestamp()

KEYS = (
    "description",
    "input",
    "messages",
    "key",
    "now",
    "replies",
    "tools",
    "services",
    "approvals",
    "asks",
    "events",
    "cancel",
    "expect",
)
STATES = ("succeeded", "failed", "rejected", "cancelled", "waiting", "running")
SPENT = ("model_calls", "tool_calls", "tokens", "cost", "handoffs")
NODE_STATES = ("running", "waiting", "succeeded", "failed", "skipped", "cancelled", "not reached")
LISTS = ("skipped", "failed", "succeeded", "cancelled", "waiting")  # of nodes
EXPECTED = (
    "state",
    "output",
    "outputs",
    "kept",
    "error",
    "nodes",
    *LISTS,
    "calls",
    "undone",
    "not_undone",
    "compensation",
    "elapsed",
    "spent",
)
Verb = Literal["approve", "reject", "answer", "silence"]


@dataclass(frozen=True)
class Decision:
    """What a person does who is asked, `after` so many milliseconds."""

    verb: Verb
    path: Path
    by: str | None = None
    comment: str | None = None
    form: Json = None
    after: int = 0


@dataclass(frozen=True)
class Sent:
    """A message from outside, `after` so many milliseconds of the run."""

    name: str
    data: Json
    after: int
    path: Path


@dataclass(frozen=True)
class Message:
    """What an object is told: so long after the first, in milliseconds; else when all before it have been answered."""

    input: Json
    after: int | None


@dataclass(frozen=True)
class Case:
    name: str
    path: Path
    source: Source
    graph: FilePath
    program: ir.Program
    messages: Sequence[Message]  # one, but for an object
    key: str | None
    now: float  # seconds since 1970 when the run begins
    decisions: Mapping[str, Decision | Sequence[Decision]] = field(default_factory=dict)  # by node
    events: Sequence[Sent] = ()
    cancel: int | None = None  # ms
    expect: Mapping[str, Json] = field(default_factory=dict)
    nodes: Mapping[str, ir.Node] = field(default_factory=dict)  # by path, of the graph and of those that it calls
    keyed: frozenset[str] = frozenset()  # graphs whose runs have keys that other cases may use too

    @property
    def title(self) -> str:
        return f"{self.program.name}: {self.name}"

    def at(self, *steps: str | int) -> Path:
        return (*self.path, *steps)


def callees(program: ir.Program) -> list[tuple[ir.Graph | ir.Service, bool]]:
    """What a graph calls beside its tools, and whether by a key."""
    calls = [node.op for node in everything(program) if isinstance(node.op, ir.Call)]
    tools = [tool.does for tool in program.tools]
    found: list[tuple[ir.Graph | ir.Service, bool]] = [(call.callee, call.key is not None) for call in calls]
    found += [(ir.Graph(does.graph, does.kind), False) for does in tools if isinstance(does, ir.CalledGraph)]
    return found + [(does.service, False) for does in tools if isinstance(does, ir.CalledService)]


def _services(programs: Sequence[ir.Program]) -> dict[str, Type | None]:
    """The handlers elsewhere, and what each gives; where callers differ in what they take, that is open."""
    found: dict[str, Type | None] = {}
    for callee in (callee for program in programs for callee, _ in callees(program)):
        if isinstance(callee, ir.Service):
            name = f"{callee.name}/{callee.handler}"
            found[name] = callee.returns if found.get(name, callee.returns) == callee.returns else None
    return found


@dataclass
class Names:
    """What a test of a graph may mention, of that graph and of those that it calls."""

    nodes: Mapping[str, ir.Node]  # by path
    tools: Mapping[str, ir.Tool]
    agents: frozenset[str]
    types: Mapping[str, Type]
    services: Mapping[str, Type | None]  # handlers elsewhere, `Name/handler`, and what they give
    graphs: frozenset[str]  # those that are called
    keyed: frozenset[str]  # those that are called by a key of the author's

    @property
    def callable(self) -> set[str]:
        return {*self.tools, *self.services, *self.graphs}

    @classmethod
    def of(cls, programs: Sequence[ir.Program]) -> Names:
        return cls(
            {node.path: node for program in reversed(programs) for node in everything(program)},
            {tool.name: tool for program in reversed(programs) for tool in program.tools},
            frozenset(agent.name for program in programs for agent in program.agents),
            {type.name: type.type for program in reversed(programs) for type in program.types},
            _services(programs),
            frozenset(name for program in programs for name in called_graphs(program)),
            frozenset(
                callee.name
                for program in programs
                for callee, key in callees(program)
                if isinstance(callee, ir.Graph) and key
            ),
        )


def bare(path: str) -> str:
    """Without numbers: `improve.write` of `improve[3].write`, `desk.pay` of the call `desk.pay#2`."""
    return re.sub(r"\[\d+\]|#\d+", "", path)


def static(path: str, nodes: Mapping[str, ir.Node]) -> str:
    """The node's address in its graph: of `checks[2].book` it is `checks.do.book`, of a loop's `improve[3].write`
    `improve.write`. What is no node's is returned without its numbers."""
    here = ""
    for part in path.split("."):
        here = f"{here}.{bare(part)}".lstrip(".")
        if "[" in part and here in nodes and isinstance(nodes[here].op, ir.Each):
            here += ".do"
    return here


def files_of(graph: FilePath) -> list[FilePath]:
    """The test files of a graph: `claim.test.yaml`, and `claim.more.test.yaml` if one is not enough."""
    own = graph.with_name(graph.stem + SUFFIX)
    return [file for file in (own, *sorted(graph.parent.glob(f"{graph.stem}.*{SUFFIX}"))) if file.is_file()]


def graph_of(file: FilePath) -> FilePath:
    """The graph that a test file is about."""
    return file.with_name(file.name.partition(".")[0] + ".yaml")


def read_cases(
    file: FilePath, graph: FilePath, programs: Sequence[ir.Program]
) -> tuple[list[Case], list[Diagnostic], Source | None]:
    """The cases of a file, and what is wrong with it. `programs`: the graph's, then of the graphs that it calls."""
    source, problems = read(file)
    if source is None:
        return [], problems, None
    reading = Reading(source, project_root(file))
    reading.problems += problems
    names = Names.of(programs)
    if not isinstance(source.data, dict):
        reading.error("wrong-type", "a test file must be a mapping", ())
        return [], reading.problems, source
    reader = Reader(reading, (), source.data, "a test file")
    reader.take("description")
    _replies(reader, names)
    _stubs(reader, names)
    reader.require("cases", help="cases: {a_name: {input: {...}, expect: {...}}}")
    found = []
    for name, data in reader.entries("cases", "a mapping from the names of cases to cases").items():
        path: Path = ("cases", name)
        if not isinstance(name, str):  # which cases of a switch may be
            reading.error("wrong-type", "the name of a case must be text", path, key=True)
            continue
        inner = reading.reader(path, data, f"the case {quoted(name)}")
        if inner is not None:
            found.append(_case(inner, name, source, graph, programs[0], names))
    reader.finish()
    return found, reading.problems, source


def _case(reader: Reader, name: str, source: Source, graph: FilePath, program: ir.Program, names: Names) -> Case:
    reader.take("description")
    _replies(reader, names)
    _stubs(reader, names)
    expect = _expect(reader, program, names)
    case = Case(
        name=name,
        path=reader.path,
        source=source,
        graph=graph,
        program=program,
        messages=_messages(reader, program, names, expect),
        key=reader.string("key", "a run's key"),
        now=_now(reader),
        decisions=_decisions(reader, names),
        events=_events(reader, program, names),
        cancel=reader.duration("cancel"),
        expect=expect,
        nodes=names.nodes,
        keyed=names.keyed | ({program.name} if reader.has("key") else set()),
    )
    reader.finish(known=KEYS)
    return case


def _stubs(reader: Reader, names: Names) -> None:
    returns = {tool.name: tool.returns for tool in names.tools.values()}
    instead = {tool.name: why for tool in names.tools.values() if (why := _instead(tool)) is not None}
    python = {name: tool.does for name, tool in names.tools.items() if isinstance(tool.does, ir.Python)}
    stateful = {name for name, does in python.items() if does.takes_state}
    read_stubs(reader, "tools", returns, names.types, instead, stateful)
    read_stubs(reader, "services", names.services, names.types, {})


def _instead(tool: ir.Tool) -> tuple[str, str] | None:
    """Of a tool that does nothing itself: what it does, and where a case says what comes of that."""
    match tool.does:
        case ir.Together():
            return "it runs several tools at once", f"say what these do: {', '.join(tool.members)}"
        case ir.CalledGraph(graph=graph):
            return f"it runs the graph {quoted(graph)}", f"say what the models and tools of {graph} do"
        case ir.CalledService(service=service):
            name = f"{service.name}/{service.handler}"
            return f"it calls {quoted(name)}", f'say what that gives: services: {{"{name}": {{return: ...}}}}'
        case ir.Asking(form=form):
            say = "approvals: {NODE.%s: approve}" if form is None else "asks: {NODE.%s: {answer: {form: {...}}}}"
            return "it asks a person", f"say what people do: {say % tool.name}"
    return None


def _messages(reader: Reader, program: ir.Program, names: Names, expect: Mapping[str, Json]) -> Sequence[Message]:
    if program.kind != "object" or not reader.has("messages"):
        return [Message(_input(reader, program, names, expect), None)]
    given = reader.take("messages")
    if not isinstance(given, list) or not given:
        reader.reading.wrong(reader.at("messages"), "a list of {input, after}", given)
        return [Message({}, None)]
    found = []
    for at, data in enumerate(given):
        message = reader.reading.reader(reader.at("messages", at), data, "a message")
        if message is not None:
            message.require("input")
            found.append(Message(_input(message, program, names, expect), message.duration("after")))
            message.finish()
    return found


def _input(reader: Reader, program: ir.Program, names: Names, expect: Mapping[str, Json]) -> Json:
    given = reader.take("input") if reader.has("input") else {}
    error = expect.get("error")
    if isinstance(error, dict) and error.get("code") == 400:
        return given  # what the door says to it is the point
    problem = misfit(given, program.input, names.types)
    if problem is not None:
        help = "a case that expects error: {code: 400} may give what does not fit"
        place = reader.at("input") if reader.has("input") else reader.path
        message = f"the input does not fit {program.name}: {problem}"
        reader.error("argument-type", message, place, key=not reader.has("input"), help=help)
    return given


def _now(reader: Reader) -> float:
    given = reader.string("now", "a time like 2026-01-31T08:00:00Z")
    if given is None:
        return STARTED
    try:
        moment = datetime.fromisoformat(given)
        if moment.tzinfo is None:
            raise ValueError
    except ValueError:
        help = "write it like 2026-01-31T08:00:00Z"
        reader.error("bad-time", f"{quoted(given)} is not a time with its zone", reader.at("now"), help=help)
        return STARTED
    return moment.timestamp()


def _replies(reader: Reader, names: Names) -> None:
    """Reports what is wrong; the lists themselves are read again where they are used (`runtime.replies`)."""
    known = names.agents | {path.rpartition(".")[2] for path in names.nodes}
    for name, given in reader.entries("replies", "a mapping from agents and nodes to lists of replies").items():
        path = reader.at("replies", name)
        place = static(name.rpartition("/")[2], names.nodes)
        above, _, agent = place.rpartition(".")
        if place not in known and place not in names.nodes and not (above and agent in names.agents):
            help = choices_help(name, known)
            reader.error("unknown-agent", f"there is no agent and no node {quoted(name)}", path, key=True, help=help)
        try:
            _Located(reader.reading.source).list(path, given)
        except _BadReply as bad:
            reader.error("bad-reply", bad.message, bad.place)


class _BadReply(ModelRefused):
    def __init__(self, place: Path, message: str) -> None:
        super().__init__(message)
        self.place = place


class _Located(ReplyReader):
    def wrong(self, place: Path, message: str) -> ModelRefused:
        return _BadReply(place, message)


# ---------------------------------------------------------------- people, and the world outside


def _decisions(reader: Reader, names: Names) -> dict[str, Decision | Sequence[Decision]]:
    found: dict[str, Decision | Sequence[Decision]] = {}
    for key in ("approvals", "asks"):
        for node, data in reader.entries(key, f"a mapping from nodes to what people {_DO[key]}").items():
            path = reader.at(key, node)
            _check_asks(reader, key, node, path, names)
            if isinstance(data, list):
                several = [_decision(reader, key, (*path, at), each) for at, each in enumerate(data)]
                found[node] = [decision for decision in several if decision is not None]
            elif (decision := _decision(reader, key, path, data)) is not None:
                found[node] = decision
    return found


_DO = {"approvals": "decide", "asks": "answer"}
_WORDS = {"approvals": "approve, reject, silence", "asks": "{answer: {...}}, silence"}


def _check_asks(reader: Reader, key: str, node: str, path: Path, names: Names) -> None:
    """That the node is there, and asks: itself, or by a tool that it calls."""
    place = static((node.partition("/")[2] or node).removesuffix(CONFIRM), names.nodes)
    known = names.nodes.get(place)
    asks = ir.Gate if key == "approvals" else ir.Question
    asking = [at for at, one in names.nodes.items() if isinstance(one.op, asks)]
    above, _, tool = place.rpartition(".")
    if known is not None and isinstance(known.op, asks):
        return
    if tool in names.tools and (above in names.nodes or not above):
        return
    called = names.tools.get(tool_of(known) or "") if known is not None else None
    if called is not None and (called.confirm is not None or isinstance(called.does, ir.Asking)):
        return
    if known is not None:
        message = f"{quoted(node)} {_DOES_NOT[key]}: it is {_article(known.kind)}"
        reader.error("not-a-node", message, path, key=True, help=choices_help(place, asking))
    else:
        message = f"there is no node {quoted(node)}"
        reader.error("unknown-name", message, path, key=True, help=choices_help(place, asking or names.nodes))


_DOES_NOT = {"approvals": "is no approval", "asks": "asks for no answer"}


def tool_of(node: ir.Node) -> str | None:
    return node.op.tool if isinstance(node.op, ir.Step) else None


def _article(kind: str) -> str:
    return f"an {kind} node" if kind[0] in "aeiou" else f"a {kind} node"


def _decision(reader: Reader, key: str, path: Path, data: Json) -> Decision | None:
    if data == "silence":
        return Decision("silence", path)
    if key == "approvals" and data in ("approve", "reject"):
        return Decision("approve" if data == "approve" else "reject", path)
    verbs = ("approve", "reject") if key == "approvals" else ("answer",)
    verb = next((one for one in verbs if isinstance(data, dict) and one in data), None)
    if verb is None or not isinstance(data, dict) or len(data) != 1:
        long = "{approve: {by, form, comment, after}}" if key == "approvals" else "{answer: {form, by, after}}"
        reader.reading.wrong(path, f"one of {_WORDS[key]}, or {long}", data)
        return None
    about = reader.reading.reader((*path, verb), data[verb], quoted(verb))
    if about is None:
        return None
    made = Decision(
        "approve" if verb == "approve" else "reject" if verb == "reject" else "answer",
        path,
        by=about.string("by", "a name"),
        comment=about.string("comment"),
        form=about.take("form") if verb != "reject" else None,
        after=_after(about),
    )
    about.finish()
    return made


def _events(reader: Reader, program: ir.Program, names: Names) -> list[Sent]:
    given = reader.take("events")
    if given is None:
        return []
    if not isinstance(given, list):
        reader.reading.wrong(reader.at("events"), "a list of {name, data, after}", given)
        return []
    found, known = [], events(program)
    for at, data in enumerate(given):
        path = reader.at("events", at)
        event = reader.reading.reader(path, data, "an event")
        if event is None:
            continue
        event.require("name")
        name = event.string("name", "a name")
        if name is not None and name not in known:
            message = f"{program.name} takes no event {quoted(name)}"
            reader.error("unknown-name", message, event.at("name"), help=choices_help(name, known))
        sent = event.take("data")
        found.append(Sent(name or "", sent, _after(event), path))
        event.finish()
    return found


def _after(reader: Reader) -> int:
    return reader.duration("after") or 0


# ---------------------------------------------------------------- what is expected


def _expect(reader: Reader, program: ir.Program, names: Names) -> Mapping[str, Json]:
    if not reader.require("expect", help="say what comes of it: expect: {state: succeeded}"):
        return {}
    expect = reader.mapping("expect")
    if expect is None:
        return {}
    if not expect.data:
        reader.error("empty-block", '"expect" expects nothing', reader.at("expect"))
    expect.choice("state", STATES)
    expect.take("output")
    for key in ("outputs", "kept") if program.kind == "object" else ():
        expect.take(key)
    _error(expect)
    _of_nodes(expect, names)
    _calls(expect, names)
    for key in ("undone", "not_undone"):
        if not isinstance(expect.take(key) or [], list):
            expect.reading.wrong(expect.at(key), "a list", expect.data[key])
    expect.choice("compensation", ("none", "done", "failed"))
    _elapsed(expect)
    for name in expect.entries("spent", "a mapping like {model_calls: 3}"):
        if name not in SPENT:
            message = f"nothing that is called {quoted(name)} is spent"
            expect.error("unknown-key", message, expect.at("spent", name), key=True, help=choices_help(name, SPENT))
    expect.finish(known=(*EXPECTED[:2], *EXPECTED[4:]) if program.kind != "object" else EXPECTED)
    return expect.data


def _error(expect: Reader) -> None:
    error = expect.mapping("error")
    if error is not None:
        for key in ("kind", "code", "message", "node"):
            error.take(key)
        error.finish()


def _of_nodes(expect: Reader, names: Names) -> None:
    for key in LISTS:
        given = expect.take(key)
        if given is not None and not isinstance(given, list):
            expect.reading.wrong(expect.at(key), "a list of nodes", given)
            continue
        for at, name in enumerate(given or []):
            _known_node(expect, expect.at(key, at), name, names, key=False)
    for name, given in expect.entries("nodes", "a mapping from nodes to their states").items():
        _known_node(expect, expect.at("nodes", name), name, names, key=True)
        state = given.get("state", "succeeded") if isinstance(given, dict) else given
        if state not in NODE_STATES:
            message = f"a node is one of {', '.join(NODE_STATES)}, and not {state!r}".replace("'", '"')
            path = expect.at("nodes", name, "state") if isinstance(given, dict) else expect.at("nodes", name)
            expect.error("bad-choice", message, path)


def _known_node(expect: Reader, path: Path, name: Json, names: Names, *, key: bool) -> None:
    if isinstance(name, str) and static(name, names.nodes) in names.nodes:
        return
    help = choices_help(str(name), names.nodes)
    expect.error("unknown-name", f"there is no node {quoted(name)}", path, key=key, help=help)


def _calls(expect: Reader, names: Names) -> None:
    must = "a mapping from tools, services and graphs to how often they are called"
    for tool, wanted in expect.entries("calls", must).items():
        path = expect.at("calls", tool)
        if tool not in names.callable:
            help = choices_help(tool, names.callable)
            message = f"there is no tool {quoted(tool)}, and no service or graph that is called so"
            expect.error("unknown-tool", message, path, key=True, help=help)
        number = isinstance(wanted, int) and not isinstance(wanted, bool) and wanted >= 0
        if not number and not isinstance(wanted, list):
            expect.reading.wrong(path, "a number of calls, or the list of their arguments", wanted)


def _elapsed(expect: Reader) -> None:
    """Unlike elsewhere a duration may be nothing: `0s`."""
    given = expect.take("elapsed")
    if given is None:
        return
    try:
        length(given)
    except BadDuration as problem:
        expect.error("bad-duration", f"{problem}: {quoted(given)}", expect.at("elapsed"), help=problem.help)


def length(duration: Json) -> int:
    """A duration in milliseconds, nothing included."""
    text = duration.strip() if isinstance(duration, str) else str(duration)
    return 0 if re.fullmatch(r"0(ms|s|m|h|d)", text) else milliseconds(text)
