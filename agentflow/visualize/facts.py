"""What there is to say of a node, in one place: the tree prints these facts and the pictures write them on cards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, assert_never

from agentflow.ir import (
    Agent,
    ApiOperation,
    Asking,
    Call,
    CalledGraph,
    CalledService,
    Choice,
    Command,
    Continue,
    Each,
    Emit,
    Expr,
    Fail,
    Fan,
    Gate,
    Graph,
    Group,
    Http,
    Let,
    Loop,
    McpTool,
    Node,
    Program,
    Put,
    Python,
    Question,
    Receive,
    Run,
    Secret,
    Step,
    Together,
    Tool,
    Turn,
    Use,
    Value,
    Wait,
)
from agentflow.types import Object
from agentflow.visualize.words import (
    arguments,
    duration,
    fields,
    literal,
    one_line,
    type_name,
    visible,
    without_braces,
    words,
)

Role = Literal["does", "danger", "says", "asks", "has", "when", "limit", "error", "undo", "about"]


@dataclass(frozen=True)
class Fact:
    role: Role
    label: str
    text: str  # one line, however long
    in_title: bool = False  # said only where there is room

    def __str__(self) -> str:
        return f"{self.label} {self.text}".strip()


@dataclass(frozen=True)
class Names:
    """The declarations of a program by name."""

    program: Program

    def agent(self, name: str) -> Agent | None:
        return next((agent for agent in self.program.agents if agent.name == name), None)

    def tool(self, name: str) -> Tool | None:
        return next((tool for tool in self.program.tools if tool.name == name), None)

    def model(self, name: str) -> str:
        """The model behind a name; the name too, where it says more than the model."""
        model = next((model.model for model in self.program.models if model.name == name), name)
        return one_line(model if name in (model, "default") else f"{name}, {model}")


def place_of(tool: Tool) -> str:
    """Where what a tool does is found: `tools.insurance:pay`."""
    match tool.does:
        case Python(module=module, function=function):
            return f"{module}:{function}"
        case Http(method=method, url=url):
            return f"{method} {url}"
        case ApiOperation(api=api, method=method, path=path):
            base = api.base_url if isinstance(api.base_url, str) else f"${api.base_url.name}"
            return f"{method} {base}{path}"
        case McpTool(server=server, tool=name):
            address = server.url.name if isinstance(server.url, Secret) else server.url
            return f"{name} of {address or ' '.join(server.command)}"
        case Command(words=words_):
            return " ".join(one_line(without_braces(word)) for word in words_)
        case CalledGraph(graph=graph):
            return f"graph {graph}"
        case CalledService(service=service):
            return f"{service.name}/{service.handler}"
        case Asking(form=form):
            return "asks a person" if form is not None else "asks for approval"
        case Together():
            return f"{', '.join(tool.members)} at once"
        case _:
            assert_never(tool.does)


def facts(node: Node, names: Names) -> tuple[Fact, ...]:
    return tuple(_facts(node, names))


def _facts(node: Node, names: Names) -> Iterator[Fact]:
    if node.description:
        yield Fact("about", "", one_line(node.description))
    yield from _operation(node, names)
    if node.when is not None:
        yield Fact("when", "when", one_line(node.when.text))
    yield from _limits(node, names)
    yield from _on_error(node)
    yield from _undo(node, names)


def _operation(node: Node, names: Names) -> Iterator[Fact]:
    match node.op:
        case Step():
            yield from _step(node.op, names)
        case Turn():
            yield from _turn(node.op, names)
        case Gate():
            yield from _gate(node.op)
        case Call():
            yield from _call(node.op)
        case Question():
            yield from _question(node.op)
        case Receive(event=event, timeout=timeout):
            yield Fact("asks", "waits for", visible(event) + _for(timeout))
            yield from _unanswered(node.op)
        case Fan():
            yield Fact("does", "", join(node.op))
            if node.op.on_failure == "collect":
                yield Fact("error", "if a branch fails:", "null in its place")
        case Each():
            yield from _each(node.op)
        case Loop():
            yield from _loop(node.op)
        case Choice():
            yield Fact("does", "", one_line(node.op.subject.text))
        case Group():
            if node.op.ordered and node.kind != "steps":
                yield Fact("does", "", "one after the other")
            if node.op.body.output is not None:
                yield Fact("says", "value", arguments(node.op.body.output.data), in_title=True)
        case Let():
            yield Fact("says", "", _value(node.op.value))
        case Wait(duration=length, until=until):
            if length is not None:
                yield Fact("limit", "for", one_line(without_braces(length.template)))
            if until is not None:
                yield Fact("limit", "until", one_line(until.text).strip("'"))
        case Emit():
            yield Fact("does", "", f"tells {visible(node.op.topic)}")
            yield Fact("says", "data", _value(node.op.data), in_title=True)
        case Put(values=values):
            yield Fact("says", "", without_braces(arguments(values.data)))
        case Fail():
            yield Fact("says", str(node.op.code), one_line(without_braces(node.op.message.template)))
        case _:
            assert_never(node.op)


def _each(op: Each) -> Iterator[Fact]:
    over = one_line(op.over.text) if isinstance(op.over, Expr) else without_braces(arguments(op.over.data))
    yield Fact("does", "", f"{visible(op.item)} in {over}")
    if op.join != "all":
        yield Fact("limit", "", join(op))
    yield Fact("limit", "at most", f"{op.max_parallel} at a time")
    if op.on_failure == "collect":
        yield Fact("error", "if an item fails:", "null in its place")


def _loop(op: Loop) -> Iterator[Fact]:
    yield Fact("does", "", f"until {one_line(op.until.text)}")
    yield Fact("limit", "at most", f"{op.max} {'round' if op.max == 1 else 'rounds'}")
    if op.every is not None:
        yield Fact("limit", "every", duration(op.every))
    if op.on_max == "continue":
        yield Fact("error", "after the last round:", "goes on")
    if op.start is not None:
        yield Fact("says", "start", without_braces(arguments(op.start.data)), in_title=True)


def join(fan: Fan | Each) -> str:
    if isinstance(fan.join, int):
        of = f" of {len(fan.branches)}" if isinstance(fan, Fan) else ""
        return f"the first {fan.join}{of} to succeed"
    return {"all": "waits for all", "any": "the first to succeed", "first": "the first to finish"}[fan.join]


def _value(value: Value) -> str:
    data = value.data
    return one_line(without_braces(data)) if isinstance(data, str) else without_braces(arguments(data))


def _step(op: Step, names: Names) -> Iterator[Fact]:
    tool = names.tool(op.tool)
    if tool is not None and tool.effect == "dangerous":
        yield Fact("danger", "", f"{visible(op.tool)}, dangerous")
    else:
        yield Fact("does", "", visible(op.tool))
    if op.args.data:
        yield Fact("says", "with", arguments(op.args.data), in_title=True)


def _turn(op: Turn, names: Names) -> Iterator[Fact]:
    agent = names.agent(op.agent)
    model = f" ({names.model(agent.model)})" if agent is not None else ""
    yield Fact("does", "", visible(op.agent) + model)
    if agent is not None:
        yield from abilities(agent)
        yield from undone(agent, names)
    if op.conversation is not None:
        yield Fact("has", "conversation:", visible(op.conversation))
    if op.returns is not None and (agent is None or op.returns != agent.returns):
        yield Fact("says", "returns", type_name(op.returns), in_title=True)
    yield Fact("says", "prompt", one_line(op.prompt.template), in_title=True)


def abilities(agent: Agent) -> Iterator[Fact]:
    if agent.tools:
        yield Fact("has", "tools:", visible(", ".join(agent.tools)))
    if agent.agents:
        yield Fact("has", "asks:", visible(", ".join(agent.agents)))
    if agent.handoffs:
        yield Fact("has", "hands off to:", visible(", ".join(agent.handoffs)))


def undone(agent: Agent, names: Names) -> Iterator[Fact]:
    """The compensations of the tools that an agent may call."""
    tools = [tool for tool in map(names.tool, agent.tools) if tool is not None and tool.undo is not None]
    said = [f"{visible(tool.name)} by {visible(tool.undo.tool)}" for tool in tools if tool.undo is not None]
    if said:
        yield Fact("undo", "undone:", ", ".join(said))


def _gate(op: Gate) -> Iterator[Fact]:
    yield Fact("says", "", f'"{one_line(without_braces(op.message.template))}"')
    yield Fact("asks", "asks", words(op.approvers.data) + _for(op.timeout))
    for step in op.escalate:
        yield Fact("asks", "then", words(step.to.data) + _for(step.timeout))
    if op.on_timeout is not None:
        counts = {"reject": "counts as rejected", "approve": "counts as approved", "fail": "fails"}
        yield Fact("limit", "no answer:", counts[op.on_timeout])
    yield Fact("error", "if rejected:", "fails" if op.on_reject == "fail" else "goes on")
    if isinstance(op.form, Object):
        yield Fact("has", "form:", ", ".join(visible(field.name) for field in op.form.fields))
    if isinstance(op.form, Object):
        yield Fact("says", "form", fields(op.form), in_title=True)
    if op.notify is not None:
        yield Fact("has", "notifies by", visible(op.notify.tool))


def _call(op: Call) -> Iterator[Fact]:
    name = op.callee.name if isinstance(op.callee, Graph) else f"{op.callee.name}/{op.callee.handler}"
    held = f", after {duration(op.delay)}" if op.delay is not None else ""
    held = f", at {one_line(op.until.text)}" if op.until is not None else held
    yield Fact("does", "starts" if op.mode == "send" else "", visible(name) + held)
    if op.key is not None:
        yield Fact("says", "key", one_line(without_braces(op.key.template)), in_title=True)
    if op.args is not None and op.args.data:
        yield Fact("says", "with", arguments(op.args.data), in_title=True)


def _question(op: Question) -> Iterator[Fact]:
    yield Fact("says", "", f'"{one_line(without_braces(op.message.template))}"')
    yield Fact("asks", "asks", words(op.to.data) + _for(op.timeout))
    yield from _unanswered(op)
    if isinstance(op.form, Object):
        yield Fact("has", "form:", ", ".join(visible(field.name) for field in op.form.fields))
        yield Fact("says", "form", fields(op.form), in_title=True)
    if op.notify is not None:
        yield Fact("has", "notifies by", visible(op.notify.tool))


def _unanswered(op: Question | Receive) -> Iterator[Fact]:
    if op.on_timeout is not None:
        yield Fact("limit", "no answer:", "fails" if op.on_timeout == "fail" else "null, goes on")


def _for(timeout: int | None) -> str:
    return "" if timeout is None else f", {duration(timeout)}"


def _limits(node: Node, names: Names) -> Iterator[Fact]:
    if node.timeout is not None and not isinstance(node.op, Gate):
        yield Fact("limit", "within", duration(node.timeout))
    tool = names.tool(node.op.tool) if isinstance(node.op, Step) else None
    retry = node.op.retry if isinstance(node.op, Step | Turn | Call) else None
    retry = retry or (tool.retry if tool is not None else None)
    if retry is not None and retry.attempts is not None:
        yield Fact("limit", "at most", "1 try" if retry.attempts == 1 else f"{retry.attempts} tries")
    if retry is not None and retry.within is not None:
        yield Fact("limit", "tries for", duration(retry.within))


def _on_error(node: Node) -> Iterator[Fact]:
    match node.on_error:
        case None:
            return
        case Continue():
            yield Fact("error", "on error:", "null, goes on")
        case Use(value):
            yield Fact("error", "on error:", f"uses {without_braces(literal(value.data))}")
        case Run(instead):
            yield Fact("error", "on error:", f"runs {visible(instead.name)}", in_title=True)
        case _:
            assert_never(node.on_error)


def _undo(node: Node, names: Names) -> Iterator[Fact]:
    tool = names.tool(node.op.tool) if isinstance(node.op, Step) else None
    undo = node.undo or (tool.undo if tool is not None else None)
    if undo is not None:
        attempted = ", also if only attempted" if undo.on == "attempted" else ""
        yield Fact("undo", "undone by", visible(undo.tool) + attempted)
