"""`on_error` around what never fails for good: each failure is tried again, without an end."""

from __future__ import annotations

from collections.abc import Iterator

from agentflow import expressions, syntax
from agentflow.check.algebra import opaque, resolved, without_null
from agentflow.check.places import Analysis, Place, Text
from agentflow.check.types import Typed
from agentflow.diagnostics import Diagnostic, quoted
from agentflow.spec.model import GraphSpec, NodeSpec, ToolSpec
from agentflow.spec.tools import acting
from agentflow.syntax import Expression
from agentflow.tools.registry import KINDS as TOOL_KINDS
from agentflow.types import ListOf, Object, Type

_AROUND = frozenset(["nodes", "steps", "parallel", "switch"])  # fail where something inside does
_COMPUTED = frozenset(["value", "emit", "wait"])  # fail where a template does
_SAFE = (  # what cannot fail, where its operands are of known types
    syntax.Const,
    syntax.Name,
    syntax.Attr,
    syntax.Concat,
    syntax.Compare,
    syntax.Logic,
    syntax.Not,
    syntax.Inline,
    syntax.Tested,
)


def check(analysis: Analysis, typed: Typed) -> Iterator[Diagnostic]:
    source = analysis.graph.source
    for place in analysis.places:
        on_error = place.node.on_error
        calls = _retried(typed, place) if on_error is not None else None
        if not calls or on_error is None:
            continue
        names = list(dict.fromkeys(quoted(tool.name) for tool in calls))
        message = f"on_error is never reached: {' and '.join(names[:3])}, when it fails, is tried again for ever"
        related = ((source.key_span(calls[0].path), "it has no retry that ends"),)
        help = "say when to give up: retry: {attempts: 5}, or a timeout of the node"
        if calls[0].kind == "python":
            help += "; or let the function raise agentflow.ToolError"
        yield source.warning("unreachable-on-error", message, on_error.path, key=True, help=help, related=related)


def _retried(typed: Typed, place: Place) -> list[ToolSpec] | None:
    """The tools that are called in a node where nothing else in it can fail, and they have no end; else None."""
    node = place.node
    if node.timeout is not None or not all(
        _is_safe(typed, text) for text in place.texts if not _is_of_ends(text, node)
    ):
        return None
    if node.kind == "tool":
        return _endless(typed.graph, node)
    if node.kind in _COMPUTED:
        return [] if node.kind != "wait" or not place.texts else None
    if node.kind not in _AROUND or not all(
        block.output is None or _is_safe(typed, block.output) for block in place.blocks
    ):
        return None
    found: list[ToolSpec] = []
    members = [one for block in place.blocks for one in block.places.values()]
    for inner in (*(branch for branch in place.branches if branch.label != "on_error"), *members):
        calls = _retried(typed, inner)
        if calls is None:
            return None
        found += calls
    return found


def _endless(graph: GraphSpec, node: NodeSpec) -> list[ToolSpec] | None:
    called = graph.tools.get(getattr(node.body, "tool", ""))
    if called is None or called.confirm is not None:
        return None
    tools = list(acting(called, graph.tools))
    for tool in tools:
        retry = node.retry or tool.retry
        ends = retry is not None and (retry.attempts is not None or retry.within is not None)
        if ends or tool.confirm is not None or TOOL_KINDS[tool.kind].ends(tool, graph):
            return None
    return tools


# ---------------------------------------------------------------- templates


def _is_of_ends(text: Text, node: NodeSpec) -> bool:
    """Whether it is only looked at once the node has failed, or the run has."""
    return text.template.path[len(node.path) :][:1] in (("on_error",), ("compensate",))


def _is_safe(typed: Typed, text: Text) -> bool:
    return all(leaf.tree is not None and _cannot_fail(typed, text, leaf.tree) for leaf in text.leaves)


def _cannot_fail(typed: Typed, text: Text, tree: syntax.Template | Expression) -> bool:
    parts = tree.parts if isinstance(tree, syntax.Template) else (syntax.Show(tree),)
    if not all(
        isinstance(part, syntax.Data) or (isinstance(part, syntax.Show) and _is_plain(part.of)) for part in parts
    ):
        return False
    names = typed.names(text.scope)
    return all(
        _is_known(names.type_of(reference.name), reference.attrs, typed) for reference in expressions.references(tree)
    )


def _is_plain(of: Expression) -> bool:
    return isinstance(of, _SAFE) and all(map(_is_plain, syntax.inner(of)))


def _is_known(type: Type | None, attrs: tuple[str, ...], typed: Typed) -> bool:
    """Whether the type of a path leaves nothing open."""
    if type is None:
        return False
    bare = without_null(resolved(type, typed.graph.types))
    if not attrs:
        return not _is_open(bare)
    field = bare.field(attrs[0]) if isinstance(bare, Object) else None
    return field is not None and _is_known(field.type, attrs[1:], typed)


def _is_open(type: Type) -> bool:
    bare = without_null(type)
    if isinstance(bare, ListOf):
        return _is_open(bare.of)
    if isinstance(bare, Object):
        return any(_is_open(field.type) for field in bare.fields)
    return opaque(bare)
