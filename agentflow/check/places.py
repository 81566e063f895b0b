"""Every node at its place: what its templates see, what it waits for, and what is inside it.

`analyse` walks the whole graph once. The rules read what it found, and add nothing to it but types.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from agentflow import expressions
from agentflow.diagnostics import Path, Span
from agentflow.expressions import Leaf, Reference
from agentflow.frozen import frozen
from agentflow.nodes import common
from agentflow.nodes.kind import Guard, Template
from agentflow.spec.confirm import confirm_templates
from agentflow.spec.model import MISSING, BlockSpec, GraphSpec, NodeSpec
from agentflow.tools.registry import KINDS as TOOL_KINDS
from agentflow.types import ANY, BOOLEAN, STRING, Enumeration, Field, Nullable, Object, Type


@dataclass(eq=False, slots=True)
class Binding:
    """A name in scope: a node's, or one that the language gives, of a type."""

    name: str
    rank: tuple[int, ...]  # where it stands in the order of the file
    place: Place | None = None
    type: Type = ANY
    owner: Place | None = None  # inside which it is known; None: inside the whole graph, or its node's block
    inferred: bool = False  # the owner's kind knows its type
    ended: Place | None = None  # in `finally`: the node of the graph that it names, which may never have begun


@dataclass(eq=False, slots=True)
class Scope:
    parent: Scope | None
    names: dict[str, Binding]
    depth: int = 0

    def find(self, name: str) -> Binding | None:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.parent
        return None

    def inner(self, extra: Mapping[str, Type], owner: Place | None, inferred: Iterable[str] = ()) -> Scope:
        rank = (self.depth + 1, -1)
        names = {name: Binding(name, rank, None, type, owner) for name, type in extra.items()}
        names.update({name: Binding(name, rank, None, ANY, owner, True) for name in inferred})
        return Scope(self, names, self.depth + 1)

    def all_names(self) -> Iterator[Binding]:
        scope: Scope | None = self
        while scope is not None:
            yield from scope.names.values()
            scope = scope.parent


NOTHING = Scope(None, {})


@dataclass(eq=False, slots=True)
class Text:
    """A template at its place: of a node, of a block's output, of a tool or an agent."""

    template: Template
    leaves: list[Leaf]
    scope: Scope
    place: Place | None
    block: Block | None = None  # whose output it is


def named_in(text: Text | None) -> set[str]:
    """The names that a text refers to; none where there is no text."""
    trees = [leaf.tree for leaf in text.leaves if leaf.tree is not None] if text is not None else []
    return {reference.name for tree in trees for reference in expressions.references(tree)}


@frozen
class Cause:
    """Why one node waits for another: the place in the file, and a part of the text there."""

    path: Path
    part: tuple[int, int] | None
    word: str  # refers to, needs, follows


@dataclass(eq=False)
class Place:
    node: NodeSpec
    scope: Scope
    parent: Place | None
    block: Block | None  # whose member it is; None: a branch, a case, a node of `on_error`
    guard: Guard | None = None
    always: bool = True  # False: only runs when its case is chosen, or its node fails
    label: str = ""  # in the node around it, where it is no member of a block
    texts: list[Text] = field(default_factory=list)
    branches: list[Place] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    refs: dict[str, Binding] = field(default_factory=dict)  # outer names that it or anything inside uses
    value: Type | None = None  # what it yields when it runs; see `types`
    type: Type | None = None  # what others see of it

    @property
    def skippable(self) -> bool:
        return self.node.when is not None and self.node.when is not True

    def all(self) -> Iterator[Place]:
        """The node and all that is inside it."""
        yield self
        for branch in self.branches:
            yield from branch.all()
        for block in self.blocks:
            for place in block.places.values():
                yield from place.all()


@dataclass(eq=False)
class Block:
    spec: BlockSpec
    scope: Scope
    owner: Place | None
    places: dict[str, Place] = field(default_factory=dict)
    edges: dict[str, dict[str, Cause]] = field(default_factory=dict)  # what each node waits for, and why
    output: Text | None = None
    until: Text | None = None


@dataclass(eq=False)
class Analysis:
    graph: GraphSpec
    outer: Scope  # `input`, `run`, and in an object `state`
    root: Block = field(init=False)
    after: Block | None = None  # `finally`
    blocks: list[Block] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)  # in the order of the file, outer before inner
    texts: list[Text] = field(default_factory=list)
    unknown: list[tuple[Text, Leaf, Reference]] = field(default_factory=list)
    unknown_needs: list[tuple[Place, int]] = field(default_factory=list)
    itself: list[tuple[Place, Cause]] = field(default_factory=list)
    hidden: list[tuple[Place, Binding]] = field(default_factory=list)

    def span(self, cause: Cause) -> Span:
        source = self.graph.source
        return source.within(cause.path, *cause.part) if cause.part else source.span(cause.path)


def run_type(graph: GraphSpec) -> Type:
    names = ("id", "graph", "started") if graph.kind == "service" else ("id", "key", "graph", "started")
    return Object(tuple(Field(name, STRING) for name in names))


def state_type(state: Object) -> Type:
    """An object's state as templates see it: null before it is first set, unless it has a default."""
    return Object(tuple(one if one.has_default else _unset(one) for one in state.fields))


def _unset(field: Field) -> Field:
    nullable = field.type if isinstance(field.type, Nullable) or field.type == ANY else Nullable(field.type)
    return replace(field, type=nullable, optional=True)


def analyse(graph: GraphSpec) -> Analysis:
    given = {"input": graph.input, "run": run_type(graph)}
    if graph.state is not None:
        given["state"] = state_type(graph.state)
    outer = Scope(None, {name: Binding(name, (0, at), None, given[name]) for at, name in enumerate(given)})
    analysis = Analysis(graph, outer)
    walk = _Walk(analysis)
    for tool in graph.tools.values():
        walk.free(TOOL_KINDS[tool.kind].templates(tool, graph))
        if tool.confirm is not None:
            walk.free(confirm_templates(tool.confirm, tool.signature))
        if tool.compensate is not None:
            walk.free(common.undo_templates(tool.compensate, graph, tool.signature))
    for agent in graph.agents.values():
        walk.free([Template((*agent.path, "instruction"), "text", agent.instruction, expected=STRING)])
    analysis.root = walk.block(graph.body, outer, None)
    if graph.after is not None:
        analysis.after = walk.block(graph.after, _ended(analysis), None)
    return analysis


def _ended(analysis: Analysis) -> Scope:
    """What `finally` sees: how the run ended, and every node as a value that may be null."""
    run = run_type(analysis.graph)
    assert isinstance(run, Object)
    state = Field("state", Enumeration(("succeeded", "failed", "rejected", "cancelled")))
    given: dict[str, Type] = {"run": Object((*run.fields, state)), "error": Nullable(common.ERROR)}
    scope = analysis.outer.inner(given, None)
    for name, place in analysis.root.places.items():
        scope.names[name] = Binding(name, (scope.depth, len(scope.names)), ended=place)
    return scope


class _Walk:
    def __init__(self, analysis: Analysis) -> None:
        self.analysis = analysis
        self.graph = analysis.graph

    def free(self, templates: Iterable[Template]) -> None:
        """Templates that stand in no node."""
        for template in templates:
            self.text(template, self.analysis.outer, None, None)

    def block(self, spec: BlockSpec, outer: Scope, owner: Place | None) -> Block:
        scope = Scope(outer, {}, outer.depth + 1)
        block = Block(spec, scope, owner)
        self.analysis.blocks.append(block)
        for at, node in enumerate(spec.nodes.values()):
            place = Place(node, scope, owner, block)
            hidden = outer.find(node.name)
            if hidden is not None and (hidden.place or hidden.ended):
                self.analysis.hidden.append((place, hidden))
            block.places[node.name] = place
            block.edges[node.name] = {}
            scope.names[node.name] = Binding(node.name, (scope.depth, at), place)
        before: str | None = None
        for name, place in block.places.items():
            self.node(place)
            if spec.ordered and before is not None:
                block.edges[name].setdefault(before, Cause(place.node.path, None, "follows"))
            before = name
        if spec.output is not MISSING:
            template = Template(spec.output_path, "value", spec.output, expected=Nullable(ANY))
            block.output = self.text(template, scope, owner, block)
        if spec.until is not None:
            template = Template(spec.until_path, "expr", spec.until, expected=BOOLEAN)
            block.until = self.text(template, scope, owner, block)
        return block

    def node(self, place: Place) -> None:
        node = place.node
        self.analysis.places.append(place)
        for at, name in enumerate(node.needs):
            binding = place.scope.find(name)
            if binding is None or binding.place is None:
                self.analysis.unknown_needs.append((place, at))
            else:
                self.edge(place, binding, Cause((*node.path, "needs", at), None, "needs"), uses=False)
        for template in common.templates(node, self.graph):
            place.texts.append(self.text(template, place.scope, place, None))
        for child in common.children(node):
            scope = place.scope
            if child.extra or child.inferred:
                scope = scope.inner(child.extra, place, child.inferred)
            if isinstance(child.of, BlockSpec):
                place.blocks.append(self.block(child.of, scope, place))
                continue
            always = child.runs == "always"
            inside = Place(child.of, scope, place, None, child.guard, always, child.label)
            place.branches.append(inside)
            self.node(inside)

    def text(self, template: Template, scope: Scope, place: Place | None, block: Block | None) -> Text:
        if template.extra:
            scope = (NOTHING if template.alone else scope).inner(template.extra, place)
        text = Text(
            template, list(expressions.leaves(template.form, template.path, template.data)), scope, place, block
        )
        self.analysis.texts.append(text)
        for leaf in text.leaves:
            if leaf.tree is None:
                continue
            for reference in expressions.references(leaf.tree):
                binding = scope.find(reference.name)
                if binding is None:
                    self.analysis.unknown.append((text, leaf, reference))
                elif place is not None and not (block is not None and binding.place and binding.place.block is block):
                    part = (reference.at, len(reference.name))
                    self.edge(place, binding, Cause(leaf.path, part, "refers to"), uses=True)
        return text

    def edge(self, start: Place, binding: Binding, cause: Cause, uses: bool) -> None:
        """From the node that waits, which may be one around `start`, to the one it waits for."""
        target = binding.place
        place: Place | None = start
        while place is not None and place is not binding.owner:
            if uses:
                place.refs[binding.name] = binding
            if target is not None and place.block is target.block and place.block is not None:
                if place is target:
                    self.analysis.itself.append((target, cause))
                else:
                    place.block.edges[place.node.name].setdefault(target.node.name, cause)
                return
            place = place.parent
