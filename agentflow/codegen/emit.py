"""One function an operation: the body of a node's function."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from agentflow import ir
from agentflow.codegen.writer import Arguments, Call, Expression, ListOf, Writer, data, duration, literal, literals
from agentflow.types import STRING

if TYPE_CHECKING:
    from agentflow.codegen.module import Module


def retry(policy: ir.Retry) -> Expression:
    arguments: Arguments = []
    for name, value in vars(policy).items():
        if value is not None:
            arguments.append((name, duration(value) if name in ("initial", "max", "within") else repr(value)))
    return Call("af.Retry", arguments)


def confirm(of: ir.Confirm) -> Expression:
    arguments: Arguments = [literal(of.message.template), ("approvers", data(of.approvers.data))]
    if of.when is not True:
        arguments.append(("when", literal(of.when)))
    return Call("af.Confirm", [*arguments, *_time_for_people(of)])


def _time_for_people(of: ir.Confirm | ir.Gate) -> Arguments:
    """How long people have, who is asked after them, and what follows when nobody has decided."""
    arguments: Arguments = []
    if of.timeout is not None:
        arguments.append(("timeout", duration(of.timeout)))
    if of.escalate:
        steps = [Call("af.Escalation", [data(step.to.data), duration(step.timeout)]) for step in of.escalate]
        arguments.append(("escalate", ListOf(steps)))
    if of.on_timeout is not None:
        arguments.append(("on_timeout", literal(of.on_timeout)))
    return arguments


def undo(module: Module, compensation: ir.Undo) -> Expression:
    arguments: Arguments = [module.tool_names[compensation.tool], data(compensation.args.data)]
    if compensation.on != "completed":
        arguments.append(("on", literal(compensation.on)))
    if compensation.refs:
        arguments.append(("uses", literals(compensation.refs)))
    return Call("af.Undo", arguments)


def node(module: Module, writer: Writer, one: ir.Node) -> None:
    """A node's function, with what is said about the node in its decorator."""
    if isinstance(one.op, ir.Loop):
        _round(module, writer, one, one.op)
    arguments: Arguments = [literal(one.name), ("line", str(one.line))]
    if one.when is not None:
        arguments.append(("when", literal(one.when.text)))
    needs = module.needs.get(one.path, ())
    if needs:
        arguments.append(("needs", literals(needs)))
    if one.path in module.uses:
        arguments.append(("uses", literals(module.uses[one.path])))
        if shared := module.conversations(one):
            arguments.append(("conversations", literals(shared)))
    if one.timeout is not None:
        arguments.append(("timeout", duration(one.timeout)))
    match one.on_error:
        case None:
            pass
        case ir.Continue():
            arguments.append(("on_error", '"continue"'))
        case ir.Use(value):
            arguments.append(("on_error", Call("af.Use", [data(value.data)])))
        case ir.Run(other):
            arguments.append(("on_error", Call("af.Otherwise", [module.node_names[other.path]])))
        case _:
            assert_never(one.on_error)
    if one.undo is not None and not _undoes_itself(module, one.op):
        arguments.append(("undo", undo(module, one.undo)))
    writer.statement("@", Call("af.node", arguments))
    kind, returns = _signature(module, one.op)
    writer.line(f"{kind} {module.node_names[one.path]}(run: af.Run) -> {returns}:")
    writer.indent()
    module.describe(writer, one.description)
    _body(module, writer, one)
    writer.dedent()


def _undoes_itself(module: Module, op: ir.Op) -> bool:
    """Whether its flight holds the node's compensation, and knows whether it is due."""
    if isinstance(op, ir.Step):
        return not module.tools[op.tool].members
    return isinstance(op, ir.Call)


def _signature(module: Module, op: ir.Op) -> tuple[str, str]:
    match op:
        case ir.Step(tool=tool):
            return ("def", "af.Flight") if module.tools[tool].one_step else ("async def", "af.Json")
        case ir.Gate() | ir.Wait() | ir.Question() | ir.Receive():
            return "def", "af.Flight"
        case ir.Let() | ir.Put() | ir.Emit() | ir.Fail():
            return "def", "af.Json"
        case ir.Call(one_wait=True):
            return ("def", "af.Json") if op.mode == "send" else ("def", "af.Flight")
        case _:
            return "async def", "af.Json"


def _body(module: Module, writer: Writer, one: ir.Node) -> None:
    match one.op:
        case ir.Step():
            _step(module, writer, one, one.op)
        case ir.Turn():
            _turn(module, writer, one, one.op)
        case ir.Gate():
            _gate(module, writer, one, one.op)
        case ir.Question():
            _question(module, writer, one, one.op)
        case ir.Receive():
            _receive(module, writer, one.op)
        case ir.Call():
            _call(module, writer, one, one.op)
        case ir.Fan():
            _fan(module, writer, one.op)
        case ir.Each():
            _each(module, writer, one.op)
        case ir.Choice():
            _choice(module, writer, one.op)
        case ir.Loop():
            _loop(module, writer, one, one.op)
        case ir.Group(body=body):
            block(module, writer, body)
        case ir.Let(value=value):
            writer.statement("return ", Call("run.value", [data(value.data)]))
        case ir.Wait():
            _wait(module, writer, one, one.op)
        case ir.Emit(topic=topic, data=told):
            writer.statement("return ", Call("run.emit", [literal(topic), data(told.data)]))
        case ir.Put(values=values):
            writer.statement("return ", Call("run.set_state", [data(values.data)]))
        case ir.Fail(message=message, code=code):
            arguments: Arguments = [module.text(message, one.path, "message")]
            if code != 500:
                arguments.append(("code", str(code)))
            writer.statement("return ", Call("run.fail", arguments))
        case _:
            assert_never(one.op)


def _step(module: Module, writer: Writer, one: ir.Node, op: ir.Step) -> None:
    tool = module.tools[op.tool]
    together = bool(tool.members)
    journaling = isinstance(tool.does, ir.Python) and tool.does.keeps_own_journal and tool.confirm is None
    arguments: Arguments = [module.tool_names[op.tool], data(op.args.data)]
    if op.retry is not None:
        arguments.append(("retry", retry(op.retry)))
    if one.undo is not None and not together:
        arguments.append(("undo", undo(module, one.undo)))
    if together and tool.confirm is None:
        writer.statement("return await ", Call("run.tools", arguments))
    elif journaling:
        writer.statement("return await ", Call("run.journaling_tool", arguments))
    elif not tool.one_step:
        writer.statement("return await ", Call("run.confirmed_tool", arguments))
    else:
        writer.statement("return ", Call("run.tool", arguments))


def _turn(module: Module, writer: Writer, one: ir.Node, op: ir.Turn) -> None:
    agent = module.agents[op.agent]
    arguments: Arguments = [module.agent_names[op.agent], module.text(op.prompt, one.path, "prompt")]
    wanted, given = op.returns or STRING, agent.returns or STRING
    if wanted != given:
        arguments.append(("returns", module.types.annotation(wanted, *one.path.split("."), "returns")))
    if op.retry is not None:
        arguments.append(("retry", retry(op.retry)))
    if op.conversation is not None:
        arguments.append(("conversation", literal(op.conversation)))
    writer.statement("return await ", Call("run.agent", arguments))


def _gate(module: Module, writer: Writer, one: ir.Node, op: ir.Gate) -> None:
    arguments: Arguments = [
        module.text(op.message, one.path, "message"),
        ("approvers", data(op.approvers.data)),
        *_time_for_people(op),
    ]
    arguments.append(("on_reject", literal(op.on_reject)))
    if op.form is not None:
        arguments.append(("form", module.types.annotation(op.form, *one.path.split("."), "form")))
    if op.notify is not None:
        arguments.append(("notify", notify(module, one, op.notify)))
    writer.statement("return ", Call("run.approval", arguments))


def _wait(module: Module, writer: Writer, one: ir.Node, op: ir.Wait) -> None:
    arguments: Arguments = []
    if op.duration is not None:
        arguments.append(module.text(op.duration, one.path, "wait"))
    if op.until is not None:
        arguments.append(("until", literal(op.until.text)))
    writer.statement("return ", Call("run.wait", arguments))


def notify(module: Module, one: ir.Node, op: ir.Notify) -> Expression:
    told: Arguments = [module.tool_names[op.tool], data(op.args.data)]
    uses = tuple(name for name in one.refs if name not in ("approver", "link", "message"))
    if uses:
        told.append(("uses", literals(uses)))
    return Call("af.Notify", told)


def _question(module: Module, writer: Writer, one: ir.Node, op: ir.Question) -> None:
    arguments: Arguments = [
        module.text(op.message, one.path, "message"),
        ("to", data(op.to.data)),
        ("form", module.types.annotation(op.form, *one.path.split("."), "form")),
        *_time_out(op),
    ]
    if op.notify is not None:
        arguments.append(("notify", notify(module, one, op.notify)))
    writer.statement("return ", Call("run.ask", arguments))


def _receive(module: Module, writer: Writer, op: ir.Receive) -> None:
    writer.statement("return ", Call("run.event", [module.event_names[op.event], *_time_out(op)]))


def _time_out(op: ir.Question | ir.Receive) -> Arguments:
    if op.timeout is None or op.on_timeout is None:
        return []
    return [("timeout", duration(op.timeout)), ("on_timeout", literal(op.on_timeout))]


def _call(module: Module, writer: Writer, one: ir.Node, op: ir.Call) -> None:
    target, known = callee(module, one, op.callee), "callee"
    if op.unknown:
        writer.statement("callee = await ", Call("run.known", [target]))
    arguments: Arguments = [known if op.unknown else target]
    if op.args is not None:
        arguments.append(data(op.args.data))
    if op.key is not None:
        arguments.append(("key", module.text(op.key, one.path, "key")))
    if one.undo is not None:
        arguments.append(("undo", undo(module, one.undo)))
    if op.mode == "send":
        if op.delay is not None:
            arguments.append(("delay", duration(op.delay)))
        if op.until is not None:
            arguments.append(("until", literal(op.until.text)))
        writer.statement("return ", Call("run.send", arguments))
    elif op.retry is not None:
        writer.statement("return await ", Call("run.call_again", [*arguments, ("retry", retry(op.retry))]))
    else:
        flight = Call("run.call_out", arguments)
        writer.statement("return ", flight) if op.one_wait else writer.statement(
            "return await ", Call("run.land", [flight])
        )


def callee(module: Module, one: ir.Node, of: ir.Graph | ir.Service) -> Expression:
    if isinstance(of, ir.Graph):
        return Call("af.CalledGraph", [literal(of.name), ("kind", literal(of.kind))])
    arguments: Arguments = [literal(f"{of.name}/{of.handler}")]
    if of.returns is not None:
        arguments.append(("returns", module.types.annotation(of.returns, *one.path.split("."), "returns")))
    return Call("af.CalledService", arguments)


def _fan(module: Module, writer: Writer, op: ir.Fan) -> None:
    arguments: Arguments = [module.node_names[branch.path] for branch in op.branches]
    if op.join != "all":
        arguments.append(("join", literal(op.join)))
    if op.on_failure != "fail_fast":
        arguments.append(("on_failure", literal(op.on_failure)))
    writer.statement("return await ", Call("run.parallel", arguments))


def _each(module: Module, writer: Writer, op: ir.Each) -> None:
    over = literal(op.over.text) if isinstance(op.over, ir.Expr) else data(op.over.data)
    arguments: Arguments = [over, module.node_names[op.node.path]]
    if op.item != "item":
        arguments.append(("item", literal(op.item)))
    arguments.append(("max_parallel", str(op.max_parallel)))
    if op.join != "all":
        arguments.append(("join", literal(op.join)))
    if op.on_failure != "fail_fast":
        arguments.append(("on_failure", literal(op.on_failure)))
    writer.statement("return await ", Call("run.for_each", arguments))


def _round(module: Module, writer: Writer, one: ir.Node, op: ir.Loop) -> None:
    """The function of one round of a loop, before that of the loop."""
    name = module.round_names[one.path] = module.names.take(f"{module.node_names[one.path]}_round")
    writer.line(f"async def {name}(run: af.Run) -> af.Json:")
    writer.indent()
    block(module, writer, op.body)
    writer.dedent()
    writer.gap()


def _loop(module: Module, writer: Writer, one: ir.Node, op: ir.Loop) -> None:
    arguments: Arguments = [module.round_names[one.path], ("until", literal(op.until.text)), ("max", str(op.max))]
    if op.start is not None:
        arguments.append(("start", data(op.start.data)))
    if op.every is not None:
        arguments.append(("every", duration(op.every)))
    if op.on_max != "fail":
        arguments.append(("on_max", literal(op.on_max)))
    writer.statement("return await ", Call("run.loop", arguments))


def _choice(module: Module, writer: Writer, op: ir.Choice) -> None:
    # To Python, true is equal to 1 and false to 0.
    truths = {at: f" if subject is not {bool(case.value)}" for at, case in enumerate(op.cases) if _is_bit(case.value)}
    subject = f"run.expression({literal(op.subject.text)})"
    writer.line(f"match subject := {subject}:" if truths else f"match {subject}:")
    writer.indent()
    for at, case in enumerate(op.cases):
        writer.line(f"case {literal(case.value)}{truths.get(at, '')}:")
        writer.indent().line(f"return await run.branch({module.node_names[case.node.path]})")
        writer.dedent()
    if op.default is not None:
        writer.line("case _:")
        writer.indent().line(f"return await run.branch({module.node_names[op.default.path]})")
    else:
        writer.line("case other:")
        writer.indent().line("return run.no_case(other)")
    writer.dedent().dedent()


def _is_bit(value: str | int | bool) -> bool:
    return value in (0, 1) and not isinstance(value, bool)


def block(module: Module, writer: Writer, body: ir.Block) -> None:
    """The order of a scope: straight lines, and regions whose nodes run side by side."""
    for part in body.plan:
        match part:
            case ir.Line(node=name):
                writer.line(f"await run.one({module.node_in(body, name)})")
            case ir.Region(nodes=together):
                writer.statement("await ", Call("run.together", [module.node_in(body, name) for name in together]))
            case _:
                assert_never(part)
    if body.output is not None:
        writer.statement("return ", Call("run.value", [data(body.output.data)]))
    elif len(body.nodes) == 1:
        writer.line(f"return run.value({literal('{{ ' + body.nodes[0].name + ' }}')})")
    else:
        writer.statement("return ", Call("run.values", [literal(one.name) for one in body.nodes]))
