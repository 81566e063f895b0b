"""The types of nodes as others see them, and what is known wherever one runs."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from agentflow import syntax
from agentflow.check.algebra import element_of, may_be_null, misfit, nullable, resolved, union
from agentflow.check.cases import names_in
from agentflow.check.inference import Inference, Known, Names, WorldOf
from agentflow.check.order import Order
from agentflow.check.places import Analysis, Binding, Block, Place, Scope
from agentflow.check.proof import Axiom, Fact, Facts, Outcomes
from agentflow.expressions import literal
from agentflow.nodes.approval import ApprovalBody
from agentflow.nodes.for_each import INDEX
from agentflow.nodes.kind import Guard
from agentflow.nodes.loop import PREVIOUS
from agentflow.nodes.parallel import ParallelBody
from agentflow.nodes.registry import KINDS
from agentflow.spec.model import MISSING, BlockSpec, GraphSpec, NodeSpec
from agentflow.syntax import Expression, SyntaxProblem
from agentflow.types import ANY, BOOLEAN, INTEGER, NULL, NUMBER, STRING, Field, Json, ListOf, Object, Type

MOST_ENDINGS = 30  # of nodes before one that may have ended the run: more are left out of proofs


@dataclass(eq=False)
class Typed:
    """Types and facts of a whole graph, each found when it is first asked for."""

    analysis: Analysis
    order: Order
    _names: dict[int, ScopeNames] = field(default_factory=dict)
    _inferred: dict[int, Type] = field(default_factory=dict)
    _finding: set[int] = field(default_factory=set)  # places whose types are being found
    _facts: dict[int, Facts] = field(default_factory=dict)
    _guards: dict[int, dict[str, Facts]] = field(default_factory=dict)
    _output_facts: dict[int, Facts] = field(default_factory=dict)

    @property
    def graph(self) -> GraphSpec:
        return self.analysis.graph

    def names(self, scope: Scope) -> ScopeNames:
        found = self._names.get(id(scope))
        if found is None:
            found = self._names[id(scope)] = ScopeNames(self, scope)
        return found

    def names_world(self, scope: Scope) -> WorldOf:
        """A scope as a proof sees it."""
        return WorldOf(Inference(self.names(scope)), Known())

    # ------------------------------------------------------------ types

    def run(self) -> None:
        """Every type, in the order of the edges, so that none is found by way of a long chain of others."""
        self.of_block(self.analysis.root)
        if self.analysis.after is not None:
            self.of_block(self.analysis.after)

    def of_block(self, block: Block) -> Type:
        for name in self.order.of(block):
            self.of_place(block.places[name])
        if block.output is not None and block.spec.output is not MISSING:
            known = Known(self.output_facts(block))
            return self.value(block.spec.output, block.scope, known)
        types = {name: self.of_place(place) for name, place in block.places.items()}
        if len(types) == 1:
            return next(iter(types.values()))
        return Object(tuple(Field(name, type) for name, type in types.items()))

    def of_place(self, place: Place) -> Type:
        if place.type is None:
            place.value = place.type = ANY  # while it is being found: only a cycle can ask
            if not self.order.is_circular(place):
                self._finding.add(id(place))
                place.value = self._value_of(place)
                self._finding.discard(id(place))
                continued = place.node.on_error is not None and place.node.on_error.kind == "continue"
                place.type = nullable(place.value) if place.skippable or continued else place.value
        return place.type

    def _value_of(self, place: Place) -> Type:
        """What a node yields where it is not skipped, and its failure is not continued with null."""
        context = PlaceContext(self, place)
        value = resolved(KINDS[place.node.kind].type_of(place.node, context), self.graph.types)
        on_error = place.node.on_error
        if on_error is None or on_error.kind == "continue":
            return value
        if on_error.node is not None:
            other = context.type_of(on_error.node)
        else:
            other = self.value(on_error.value, place.scope.inner({"error": ANY}, place), Known(self.facts(place)))
        if value == NULL:
            return other
        return nullable(value) if may_be_null(other) else value

    def inferred(self, binding: Binding) -> Type:
        """Of a name that a node gives to what is inside it; ANY while the type of that node is being found."""
        owner = binding.owner
        assert owner is not None, binding.name
        if id(binding) in self._inferred:
            return self._inferred[id(binding)]
        kind = KINDS[owner.node.kind]
        if kind.depends_on_itself and id(owner) in self._finding:
            return ANY
        self._inferred[id(binding)] = ANY  # while it is being found: what it is may be made of it
        found = resolved(kind.type_inside(owner.node, binding.name, PlaceContext(self, owner)), self.graph.types)
        self._inferred[id(binding)] = found
        return found

    def value(self, data: Json, scope: Scope, known: Known) -> Type:
        """Of data whose strings are templates."""
        match data:
            case None:
                return NULL
            case bool():
                return BOOLEAN
            case int():
                return INTEGER
            case float():
                return NUMBER
            case str():
                return self._string(data, scope, known)
            case list():
                return ListOf(union(self.value(item, scope, known) for item in data)) if data else ListOf(ANY)
            case dict():
                return Object(tuple(Field(name, self.value(item, scope, known)) for name, item in data.items()))

    def _string(self, data: str, scope: Scope, known: Known) -> Type:
        if "{" not in data:
            return STRING
        try:
            parsed = syntax.parse_value(data)
        except SyntaxProblem:
            return ANY
        if isinstance(parsed, syntax.Template | syntax.Const) and not _is_plain_constant(parsed):
            return STRING
        assert not isinstance(parsed, syntax.Template)
        return Inference(self.names(scope)).of(parsed, known)

    # ------------------------------------------------------------ what is known

    def reached(self, place: Place) -> Facts:
        """What holds when a node's turn comes, before its own `when` is asked."""
        found = self._facts.get(id(place))
        if found is None:
            facts: list[Fact] = []
            if place.block is not None:
                facts += self.guards(place.block).get(place.node.name, ())
            if place.guard is not None:
                facts += guard_facts(place.guard)
            around = place.parent if place.block is None else place.block.owner
            if around is not None:
                facts += self._inherited(around, place.scope)
            found = self._facts[id(place)] = tuple(facts)
        return found

    def facts(self, place: Place) -> Facts:
        """What holds when a node runs."""
        when = when_of(place)
        return ((when, True), *self.reached(place)) if when is not None else self.reached(place)

    def _inherited(self, around: Place, scope: Scope) -> Iterator[Fact]:
        """What holds inside a node: what holds where it runs, but for names that mean something else inside."""
        bound: set[str] = set()
        here: Scope | None = scope
        while here is not None and here is not around.scope:
            bound.update(here.names)
            here = here.parent
        yield from (fact for fact in self.facts(around) if bound.isdisjoint(names_in(fact[0])))

    def output_facts(self, block: Block) -> Facts:
        """What holds when all nodes of a block are done."""
        found = self._output_facts.get(id(block))
        if found is None:
            facts = [fact for place in block.places.values() for fact in ending_facts(place)]
            found = (*facts, *(self._inherited(block.owner, block.scope) if block.owner is not None else ()))
            self._output_facts[id(block)] = found
        return found

    def guards(self, block: Block) -> dict[str, Facts]:
        """What each node of a block knows because it waits for nodes that may have ended the run."""
        found = self._guards.get(id(block))
        if found is None:
            ending = {name: facts for name, place in block.places.items() if (facts := ending_facts(place))}
            found = self._guards[id(block)] = self._spread(block, ending) if ending else {}
        return found

    def _spread(self, block: Block, ending: Mapping[str, Facts]) -> dict[str, Facts]:
        names = list(ending)
        bits = {name: 1 << at for at, name in enumerate(names)}
        above: dict[str, int] = {}
        for name in self.order.of(block):
            mask = 0
            for before in block.edges[name]:
                mask |= above.get(before, 0) | bits.get(before, 0)
            above[name] = mask
        return {name: tuple(_latest(mask, names, ending)) for name, mask in above.items() if mask}


def _latest(mask: int, names: list[str], ending: Mapping[str, Facts]) -> Iterator[Fact]:
    """The facts of the nodes in a mask, those furthest down in the file first."""
    for _ in range(MOST_ENDINGS):
        if not mask:
            return
        at = mask.bit_length() - 1
        mask &= ~(1 << at)
        yield from ending[names[at]]


def _is_plain_constant(parsed: syntax.Template | Expression) -> bool:
    return isinstance(parsed, syntax.Const) and not isinstance(parsed.value, str)


def when_of(place: Place) -> Expression | None:
    when = place.node.when
    return None if when is None or when is True else parsed_expression(when)


def parsed_expression(text: str | int | bool) -> Expression | None:
    try:
        return syntax.parse_expression(literal(text))
    except SyntaxProblem:
        return None


def ending_facts(place: Place) -> Facts:
    """What is known once a node is done that otherwise ends the run: a `fail`, an approval that was refused."""
    node = place.node
    if node.on_error is not None:
        return ()
    if node.kind == "fail" and (when := when_of(place)) is not None:
        return ((when, False),)
    if isinstance(node.body, ApprovalBody) and node.body.on_reject == "fail":
        return ((approved_or_skipped(node.name), True),)
    found = tuple(fact for fact in _endings_inside(place) if _known_outside(fact[0], place))
    if place.skippable:  # all of it was skipped, or none
        skipped = syntax.Tested(syntax.Name(node.name, 0), "skipped", (), 0)
        found = tuple((_either(skipped, of if holds else syntax.Not(of, 0)), True) for of, holds in found)
    return found


def _endings_inside(place: Place) -> Iterator[Fact]:
    """What is known because nothing inside a node has failed: a failure there is one of the whole."""
    body = place.node.body
    if place.node.kind in ("nodes", "steps"):
        for block in place.blocks:
            for inner in block.places.values():
                yield from ending_facts(inner)
    elif isinstance(body, ParallelBody) and body.join == "all" and body.on_failure == "fail_fast":
        for branch in place.branches:
            yield from ending_facts(branch) if branch.always else ()
    elif place.node.kind == "switch":
        for branch in place.branches:
            if branch.guard is not None and branch.node.kind == "fail" and not _catches(branch):
                chosen = [of if holds else syntax.Not(of, 0) for of, holds in guard_facts(branch.guard)]
                if chosen:
                    yield functools.reduce(lambda left, right: syntax.Logic("and", left, right, 0), chosen), False


def _catches(place: Place) -> bool:
    """Whether a `fail` may be passed by."""
    return place.node.on_error is not None or place.node.when is not None


def _known_outside(of: Expression, place: Place) -> bool:
    """Whether the names in something that holds inside a node mean the same where the node stands."""
    own = {name for block in place.blocks for name in block.places} | {branch.node.name for branch in place.branches}
    return names_in(of).isdisjoint(own) and all(place.scope.find(name) is not None for name in names_in(of))


def approved_or_skipped(name: str) -> Expression:
    of = syntax.Name(name, 0)
    return _either(syntax.Tested(of, "skipped", (), 0), syntax.Attr(of, "approved", 0))


def _of_ended(place: Place) -> tuple[Axiom, ...]:
    """In `finally`: of a run that succeeded every node is done."""
    caught = place.node.on_error is not None and place.node.on_error.kind == "continue"
    if place.skippable or caught or place.value is None or may_be_null(place.value):
        return ()
    name = syntax.Name(place.node.name, 0)
    state = syntax.Compare(syntax.Attr(syntax.Name("run", 0), "state", 0), (("!=", syntax.Const("succeeded", 0)),), 0)
    return (Axiom(name, _either(state, syntax.Not(_null(name), 0))),)


def _of_rounds(loop: Place) -> tuple[Axiom, ...]:
    """Before each round but the first there was one, whose value is not null where none is."""
    if loop.value is None or may_be_null(loop.value):
        return ()
    previous = syntax.Name(PREVIOUS, 0)
    first = syntax.Compare(syntax.Name(INDEX, 0), (("==", syntax.Const(1, 0)),), 0)
    return (Axiom(previous, _either(first, syntax.Not(_null(previous), 0))),)


def _of_approval(body: ApprovalBody, name: syntax.Name) -> Iterator[Axiom]:
    """How the fields of an approval hang together, where it was asked."""
    approved, outcome, form = (syntax.Attr(name, field, 0) for field in ("approved", "outcome", "form"))
    words = ["approved", *(["expired"] if body.on_timeout == "approve" else [])]
    listed = syntax.ListLiteral(tuple(syntax.Const(word, 0) for word in words), 0)
    among = syntax.Compare(outcome, (("in", listed),), 0)
    yield Axiom(outcome, _unless_null(name, _either(syntax.Not(approved, 0), among)))
    yield Axiom(outcome, _unless_null(name, _either(syntax.Not(among, 0), approved)))
    if body.form is not None:
        given = syntax.Not(_null(form), 0)
        by_a_person = syntax.Compare(outcome, (("==", syntax.Const("approved", 0)),), 0)
        asked = by_a_person if body.on_timeout == "approve" else approved
        yield Axiom(form, _unless_null(name, _either(syntax.Not(asked, 0), given)))
        if body.on_timeout != "approve":
            yield Axiom(form, _unless_null(name, _either(approved, syntax.Not(given, 0))))


def _either(left: Expression, right: Expression) -> Expression:
    return syntax.Logic("or", left, right, 0)


def _unless_null(name: syntax.Name, of: Expression) -> Expression:
    return _either(_null(name), of)


def _null(of: Expression) -> Expression:
    return syntax.Tested(of, "none", (), 0)


def guard_facts(guard: Guard) -> Facts:
    subject = parsed_expression(guard.subject)
    if subject is None:
        return ()
    equal: list[Expression] = [syntax.Compare(subject, (("==", syntax.Const(value, 0)),), 0) for value in guard.values]
    if not guard.among:
        return tuple((one, False) for one in equal)
    any_of = equal[0]
    for one in equal[1:]:
        any_of = _either(any_of, one)
    return ((any_of, True),)


class ScopeNames(Names):
    """The names of one scope, for the inference."""

    def __init__(self, typed: Typed, scope: Scope) -> None:
        self.typed = typed
        self.scope = scope
        self.types: Mapping[str, Type] = typed.graph.types

    def type_of(self, name: str) -> Type | None:
        binding = self.scope.find(name)
        if binding is None:
            return None
        if binding.place is not None:
            return self.typed.of_place(binding.place)
        if binding.ended is not None:
            return nullable(self.typed.of_place(binding.ended))
        return self.typed.inferred(binding) if binding.inferred else binding.type

    def _place(self, name: str) -> Place | None:
        binding = self.scope.find(name)
        return binding.place if binding is not None else None

    def _owner(self, name: str) -> Place | None:
        """The node that gives a name to what is inside it."""
        binding = self.scope.find(name)
        return binding.owner if binding is not None else None

    def _ended(self, name: str) -> Place | None:
        """The node of the graph that a name of `finally` is."""
        binding = self.scope.find(name)
        return binding.ended if binding is not None else None

    def done(self, name: str) -> Type:
        place = self._place(name) or self._ended(name)
        if place is None:
            return self.type_of(name) or ANY
        self.typed.of_place(place)
        return place.value or ANY

    def outcomes(self, name: str) -> Outcomes | None:
        place = self._place(name)
        if self._ended(name) is not None:
            return Outcomes(syntax.Tested(syntax.Name(name, 0), "unknown", (), 0), True)
        if place is None:
            return None
        when = when_of(place)
        on_error = place.node.on_error.kind if place.node.on_error is not None else None
        if place.skippable and when is None:
            when = syntax.Tested(syntax.Name(name, 0), "unknown", (), 0)
        if when is None and on_error is None:
            return None
        return Outcomes(when, on_error == "continue", on_error in ("use", "run"))

    def axioms(self, name: str) -> Sequence[Axiom]:
        place, ended = self._place(name), self._ended(name)
        if ended is not None:
            return _of_ended(ended)
        if name == PREVIOUS and (owner := self._owner(PREVIOUS)) is not None and owner is self._owner(INDEX):
            return _of_rounds(owner)
        if place is None or not isinstance(place.node.body, ApprovalBody):
            return ()
        replaced = place.node.on_error is not None and place.node.on_error.kind != "continue"
        return () if replaced else tuple(_of_approval(place.node.body, syntax.Name(name, 0)))

    def why_null(self, name: str) -> str | None:
        place = self._place(name)
        if self._ended(name) is not None:
            return "the run may end before it is done"
        if place is None:
            return None
        if place.skippable:
            return "it is skipped where its condition does not hold"
        if place.node.on_error is not None and place.node.on_error.kind == "continue":
            return "it may fail, which is continued"
        return None

    def is_node(self, name: str) -> bool:
        return (self._place(name) or self._ended(name)) is not None


@dataclass(frozen=True)
class PlaceContext:
    """What a node kind may ask of the place of one of its nodes."""

    typed: Typed
    place: Place

    @property
    def graph(self) -> GraphSpec:
        return self.typed.graph

    def resolve(self, type: Type) -> Type:
        return resolved(type, self.graph.types)

    def name(self, name: str) -> Type | None:
        return self.typed.names(self.place.scope).type_of(name)

    def value(self, data: Json) -> Type:
        return self.typed.value(data, self.place.scope, self._known)

    def expression(self, text: str) -> Type:
        parsed = parsed_expression(text)
        if parsed is None:
            return ANY
        return Inference(self.typed.names(self.place.scope)).of(parsed, self._known)

    def type_of(self, node: NodeSpec) -> Type:
        return next((self.typed.of_place(each) for each in self.place.branches if each.node is node), ANY)

    def type_of_block(self, block: BlockSpec) -> Type:
        return next((self.typed.of_block(each) for each in self.place.blocks if each.spec is block), ANY)

    def element_of(self, type: Type) -> Type:
        found = element_of(type, self.graph.types)
        return ANY if found is None else found

    def misfit(self, actual: Type, expected: Type) -> str | None:
        return None if actual == NULL else misfit(actual, expected, self.graph.types)

    @cached_property
    def _known(self) -> Known:
        return Known(self.typed.facts(self.place))
