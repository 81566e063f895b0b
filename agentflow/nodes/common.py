"""What every node has, whatever its kind: the templates and the children of the common keys."""

from __future__ import annotations

from collections.abc import Iterator

from agentflow.nodes.kind import Child, Template
from agentflow.nodes.registry import KINDS
from agentflow.spec.model import GraphSpec, NodeSpec, UndoSpec
from agentflow.tools.signature import Signature
from agentflow.types import ANY, BOOLEAN, INTEGER, STRING, Enumeration, Field, Nullable, Object, Type

ERROR_KINDS = (
    "tool",
    "model",
    "output",
    "timeout",
    "expired",
    "rejected",
    "cancelled",
    "limit",
    "join",
    "event",
    "fail",
)
ERROR: Type = Object(
    (
        Field("kind", Enumeration(ERROR_KINDS)),
        Field("code", INTEGER),
        Field("message", STRING),
        Field("node", Nullable(STRING)),
    )
)


def templates(node: NodeSpec, graph: GraphSpec) -> Iterator[Template]:
    """Everything in a node that may refer to names, but for what is inside its children."""
    if node.when is not None:
        yield Template((*node.path, "when"), "expr", node.when, expected=BOOLEAN, own_when=False)
    yield from KINDS[node.kind].templates(node, graph)
    if node.on_error is not None and node.on_error.kind == "use":
        yield Template((*node.on_error.path, "use"), "value", node.on_error.value, {"error": ERROR}, Nullable(ANY))
    if node.compensate is not None:
        yield from undo_templates(node.compensate, graph, called_signature(node, graph))


def undo_templates(undo: UndoSpec, graph: GraphSpec, called: Signature | None) -> Iterator[Template]:
    """The arguments of a compensation, which see those of the call and its result."""
    result = called.returns if called else ANY
    extra: dict[str, Type] = {
        "args": arguments_type(called) if called else ANY,
        "result": Nullable(result) if undo.on == "attempted" else result,
        "error": ERROR,
    }
    tool = graph.tools.get(undo.tool)
    yield from argument_templates(undo.args, (*undo.path, "with"), tool.signature if tool else None, extra)


def argument_templates(
    args: object, path: tuple[str | int, ...], signature: Signature | None, extra: dict[str, Type] | None = None
) -> Iterator[Template]:
    """One template an argument, each with the type that its parameter takes."""
    if not isinstance(args, dict):
        return
    for name, data in args.items():
        parameter = signature.parameter(name) if signature else None
        expected = parameter.type if parameter else ANY
        if parameter and not parameter.required and not isinstance(expected, Nullable):
            expected = Nullable(expected)
        yield Template((*path, name), "value", data, extra or {}, expected)


def arguments_type(signature: Signature) -> Type:
    """The arguments of a call, as the object that `args` is."""
    if signature.open:
        return ANY
    return Object(tuple(Field(p.name, p.type, optional=not p.required) for p in signature.parameters))


def called_signature(node: NodeSpec, graph: GraphSpec) -> Signature | None:
    """The signature of the tool that a node calls, if it calls one."""
    name = KINDS[node.kind].called_tool(node)
    tool = graph.tools.get(name) if name else None
    return tool.signature if tool else None


def children(node: NodeSpec) -> Iterator[Child]:
    """What is inside a node, in the order of the file."""
    yield from KINDS[node.kind].children(node)
    if node.on_error is not None and node.on_error.node is not None:
        yield Child(node.on_error.node, "on_error", {"error": ERROR}, runs="maybe")
