"""Names that templates and `needs` use: each must be in scope, and none may hide another."""

from __future__ import annotations

from collections.abc import Iterator

from agentflow.check.places import Analysis, Block, Place, Scope, Text
from agentflow.diagnostics import Diagnostic, Path, Span, choices_help, nearest, quoted
from agentflow.expressions import Leaf, Reference

ELSEWHERE = {
    "state": "only a graph of the kind object has state",
    "item": "it is known inside for_each",
    "index": "it is known inside for_each and loop",
    "previous": "it is known inside loop",
    "error": "it is known inside on_error and compensate",
    "args": "it is known inside compensate, and in a tool's own texts",
    "idempotency_key": "it is known in a tool's own texts",
    "result": "it is known inside compensate",
    "approver": "it is known inside notify",
    "link": "it is known inside notify",
    "message": "it is known inside notify",
    "loop": "it is known inside {% for %}",
}
EXPLAINED = 50  # comparing a name with all others takes a while; whoever has more mistakes begins with the first
SPELT_OTHERWISE = {"null": "none", "nil": "none", "undefined": "none", "yes": "true", "no": "false"}

Why = tuple[str | None, str | None, tuple[tuple[Span, str], ...]]
UNEXPLAINED: Why = (None, None, ())


def check(analysis: Analysis) -> Iterator[Diagnostic]:
    for count, (text, leaf, reference) in enumerate(analysis.unknown):
        yield _unknown(analysis, text, leaf, reference, count < EXPLAINED)
    for count, (place, at) in enumerate(analysis.unknown_needs):
        yield _unknown_need(analysis, place, at, count < EXPLAINED)
    for place, binding in analysis.hidden:
        source = analysis.graph.source
        outer = binding.place or binding.ended
        assert outer is not None  # a word of the language names no node
        related = ((source.key_span(outer.node.path), "this is the outer one"),)
        message = f"the node {quoted(place.node.name)} hides a name from outside"
        help = "give it another name: names are seen from inside, and none has two meanings"
        yield source.error("hidden-name", message, place.node.path, key=True, help=help, related=related)
    yield from _hiding_loops(analysis)


def _unknown(analysis: Analysis, text: Text, leaf: Leaf, reference: Reference, explained: bool) -> Diagnostic:
    name, source = reference.name, analysis.graph.source
    note, help, related = _why(analysis, text.scope, name, text.place) if explained else UNEXPLAINED
    part = (reference.at, len(name))
    message = f"there is no {quoted(name)} to refer to here"
    return source.error("unknown-name", message, leaf.path, part=part, note=note, help=help, related=related)


def _unknown_need(analysis: Analysis, place: Place, at: int, explained: bool) -> Diagnostic:
    name, source = place.node.needs[at], analysis.graph.source
    note, help, related = _why(analysis, place.scope, name, place) if explained else UNEXPLAINED
    message = f"there is no node {quoted(name)} to wait for here"
    path: Path = (*place.node.path, "needs", at)
    return source.error("unknown-name", message, path, note=note, help=help, related=related)


def _why(analysis: Analysis, scope: Scope, name: str, place: Place | None) -> Why:
    """A note, a help and a place that explain why there is no such name."""
    graph = analysis.graph
    known = [binding.name for binding in scope.all_names()]
    near = nearest(name, known)
    if name in SPELT_OTHERWISE:
        return None, f"write {SPELT_OTHERWISE[name]}", ()
    if place is None and "args" in known and "input" not in known:
        help = None if near else "a tool's own texts see what the call hands over: make it an argument"
        return "only args and idempotency_key are known here", help, ()
    if name == "state" and graph.kind == "object":
        return "the graph declares no state", "declare it: state: {name: type}", ()
    if name in ELSEWHERE:
        return ELSEWHERE[name], None, ()
    if place is None and name in graph.body.nodes and scope.depth <= analysis.outer.depth + 1:
        return "only input and run are known here", "hand it over in the prompt of a node, or as an argument", ()
    inside = next((each for each in analysis.places if each.node.name == name), None)
    if inside is not None:
        span = graph.source.key_span(inside.node.path)
        return None, _seen_through(inside), ((span, "it is here"),)
    if name in graph.agents and near is None:
        users = [each.node.name for each in analysis.places if getattr(each.node.body, "agent", None) == name]
        help = f"the agent's work is seen by the name of its node: {users[0]}" if users else None
        return "this is an agent, not a node", help, ()
    if name in graph.tools and near is None:
        return "this is a tool, not a node", None, ()
    return None, choices_help(name, known), ()


def _seen_through(place: Place) -> str:
    """How something inside a group or a branch can be seen from outside."""
    around: Block | Place | None = place.block.owner if place.block is not None else place.parent
    if place.block is None and place.parent is not None:
        parent = place.parent.node
        if place.always and place.label != "on_error":
            return f"what is inside {quoted(parent.name)} is seen through its value: {parent.name}.{place.node.name}"
        return f"what is inside {quoted(parent.name)} is seen only through its value"
    if isinstance(around, Place):
        return f"what is inside {quoted(around.node.name)} is seen only through its output"
    return "it is not known at this place"


def _hiding_loops(analysis: Analysis) -> Iterator[Diagnostic]:
    """`{% for x in ... %}` where x is a name already."""
    for text in analysis.texts:
        for leaf in text.leaves:
            if "{%" not in leaf.text or leaf.tree is None:
                continue
            for name, at in loop_targets(leaf):
                binding = text.scope.find(name)
                if binding is None:
                    continue
                source, outer = analysis.graph.source, binding.place
                related = ((source.key_span(outer.node.path), "this is the outer one"),) if outer is not None else ()
                message = f"{quoted(name)} of the loop hides a name from outside"
                yield source.error("hidden-name", message, leaf.path, part=(at, len(name)), related=related)


def loop_targets(leaf: Leaf) -> Iterator[tuple[str, int]]:
    from agentflow import syntax

    stack = list(leaf.tree.parts) if isinstance(leaf.tree, syntax.Template) else []
    while stack:
        part = stack.pop()
        match part:
            case syntax.Loop():
                yield from ((name, part.at) for name in part.targets[:1])
                yield from ((name, part.at) for name in part.targets[1:])
                stack.extend((*part.body, *part.other))
            case syntax.Branch():
                stack.extend(inner for _, body in part.tests for inner in body)
                stack.extend(part.other)
