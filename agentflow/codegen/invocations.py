"""Which nodes run in an invocation of their own: those that run beside others and take more than one durable step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from agentflow import ir


def inner(node: ir.Node) -> Iterator[ir.Node]:
    """The nodes that a node holds, in file order."""
    match node.op:
        case ir.Fan(branches=branches):
            yield from branches
        case ir.Choice(cases=cases, default=default):
            yield from (case.node for case in cases)
            if default is not None:
                yield default
        case ir.Group(body=body) | ir.Loop(body=body):
            yield from body.nodes
        case ir.Each(node=one):
            yield one
    if isinstance(node.on_error, ir.Run):
        yield node.on_error.node


def walk(nodes: tuple[ir.Node, ...]) -> Iterator[ir.Node]:
    """All nodes, each before what it holds."""
    for node in nodes:
        yield node
        yield from walk(tuple(inner(node)))


def everything(program: ir.Program) -> Iterator[ir.Node]:
    """All nodes of a program, in file order."""
    for block in program.blocks:
        yield from walk(block.nodes)


def asks_people(program: ir.Program) -> bool:
    if any(tool.confirm is not None or isinstance(tool.does, ir.Asking) for tool in program.tools):
        return True
    return any(isinstance(node.op, ir.Gate | ir.Question) for node in everything(program))


def events(program: ir.Program) -> dict[str, ir.Receive]:
    """The messages that a run may wait for, by name."""
    found: dict[str, ir.Receive] = {}
    for node in everything(program):
        if isinstance(node.op, ir.Receive):
            found.setdefault(node.op.event, node.op)
    return found


def called_graphs(program: ir.Program) -> list[str]:
    """The graphs of the project that a run may call or start."""
    nodes = [node.op.callee for node in everything(program) if isinstance(node.op, ir.Call)]
    names = [callee.name for callee in nodes if isinstance(callee, ir.Graph)]
    names += [tool.does.graph for tool in program.tools if isinstance(tool.does, ir.CalledGraph)]
    return list(dict.fromkeys(names))


def own(program: ir.Program) -> list[ir.Node]:
    """The nodes with invocations of their own, in file order. Of a long list each part has one."""
    tools = {tool.name: tool for tool in program.tools}
    beside = {id(node) for block in program.blocks for node in _beside(block)}
    return [
        node
        for node in everything(program)
        if isinstance(node.op, ir.Each) or (id(node) in beside and _needs_own(node, tools))
    ]


def has_budget(program: ir.Program) -> bool:
    """Whether a limit that the author set must hold over nodes that each count by themselves."""
    return bool(program.exact) and bool(own(program))


def _beside(block: ir.Block) -> Iterator[ir.Node]:
    """The nodes that run while others do."""
    yield from _regions(block)
    for node in walk(block.nodes):
        if isinstance(node.op, ir.Fan):
            yield from node.op.branches
        elif isinstance(node.op, ir.Each):
            yield node.op.node
        elif isinstance(node.op, ir.Group | ir.Loop):
            yield from _regions(node.op.body)


def _regions(block: ir.Block) -> Iterator[ir.Node]:
    by_name = {node.name: node for node in block.nodes}
    for part in block.plan:
        if isinstance(part, ir.Region):
            yield from (by_name[name] for name in part.nodes)


def _needs_own(node: ir.Node, tools: Mapping[str, ir.Tool]) -> bool:
    if isinstance(node.on_error, ir.Run) or node.timeout is not None:
        return True
    match node.op:
        case ir.Step(tool=name):
            tool = tools[name]
            undone_when_failed = tool.undo is not None and tool.undo.on == "attempted"
            return not tool.one_step or (node.on_error is not None and undone_when_failed)
        case ir.Gate() | ir.Wait() | ir.Let() | ir.Put() | ir.Emit() | ir.Fail() | ir.Question() | ir.Receive():
            return False
        case ir.Call(one_wait=True, mode="call"):
            return node.on_error is not None and node.undo is not None and node.undo.on == "attempted"
        case ir.Call():
            return not node.op.one_wait
        case _:
            return True
