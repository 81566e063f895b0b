"""What every node has, whatever its kind: the templates and the children of the common keys."""

from __future__ import annotations

from collections.abc import Iterator

from agentflow.diagnostics import Diagnostic
from agentflow.nodes import arguments
from agentflow.nodes.kind import Child, Context, Template
from agentflow.nodes.registry import KINDS
from agentflow.spec.model import GraphSpec, NodeSpec, UndoSpec
from agentflow.spec.tools import check_undo
from agentflow.tools.signature import Signature
from agentflow.types import ANY, BOOLEAN, INTEGER, STRING, Enumeration, Field, Nullable, Object, Type

CALLS = ("tool", "graph", "service")  # what has `args`
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
        calls = node.kind in CALLS
        yield from undo_templates(node.compensate, graph, called_signature(node, graph), calls=calls)


def undo_templates(
    undo: UndoSpec, graph: GraphSpec, called: Signature | None, *, calls: bool = True
) -> Iterator[Template]:
    """The arguments of a compensation, which see those of the call and its result. `calls`: whether it is of a call."""
    result = called.returns if called else ANY
    extra: dict[str, Type] = {
        "args": arguments.object_type(called) if calls else Object(()),
        "result": Nullable(result) if undo.on == "attempted" and result != ANY else result,
        "error": ERROR,
    }
    tool = graph.tools.get(undo.tool)
    yield from arguments.templates(undo.args, (*undo.path, "with"), tool.signature if tool else None, extra)


def called_signature(node: NodeSpec, graph: GraphSpec) -> Signature | None:
    """The signature of the tool that a node calls, if it calls one."""
    name = KINDS[node.kind].called_tool(node)
    tool = graph.tools.get(name) if name else None
    return tool.signature if tool else None


def check(node: NodeSpec, context: Context) -> Iterator[Diagnostic]:
    """What is wrong with a node by itself: what its kind knows, and its compensation."""
    graph = context.graph
    yield from KINDS[node.kind].check(node, context)
    if node.compensate is not None:
        yield from check_undo(node.compensate, graph.tools, graph.broken, graph)


def children(node: NodeSpec) -> Iterator[Child]:
    """What is inside a node, in the order of the file."""
    yield from KINDS[node.kind].children(node)
    if node.on_error is not None and node.on_error.node is not None:
        yield Child(node.on_error.node, "on_error", {"error": ERROR}, runs="maybe")
