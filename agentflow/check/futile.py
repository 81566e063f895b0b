"""What is written and can never come about: joins out of reach, conditions that never hold, answers that cannot fit."""

from __future__ import annotations

from collections.abc import Iterator

from agentflow import syntax
from agentflow.check.algebra import is_number, misfit, without_null
from agentflow.check.cases import conjuncts, is_path, root_of
from agentflow.check.places import Analysis, Place, named_in
from agentflow.check.proof import World, counterexample
from agentflow.check.reachability import always_fails
from agentflow.check.types import Typed, parsed_expression, when_of
from agentflow.diagnostics import Diagnostic, quoted
from agentflow.expressions import key
from agentflow.nodes.agent import AgentBody
from agentflow.nodes.for_each import INDEX, ForEachBody
from agentflow.nodes.loop import LoopBody
from agentflow.nodes.parallel import ParallelBody
from agentflow.spec.model import AgentSpec, GraphSpec
from agentflow.syntax import Expression
from agentflow.types import BOOLEAN, STRING, Enumeration, Type

MOST_ASKED = 200  # conditions that are looked at


def check(analysis: Analysis, typed: Typed) -> Iterator[Diagnostic]:
    for place in analysis.places:
        if isinstance(place.node.body, ParallelBody | ForEachBody):
            yield from _join(analysis, place, place.node.body)
        if isinstance(place.node.body, AgentBody):
            yield from _handoffs(analysis.graph, place, place.node.body)
        if place.node.kind == "loop":
            yield from _until(analysis, typed, place)


# ---------------------------------------------------------------- joins


def _join(analysis: Analysis, place: Place, body: ParallelBody | ForEachBody) -> Iterator[Diagnostic]:
    """Of `all` and `first` as many must succeed as there are, or one; of `any` one, of a number as many."""
    branches = [branch for branch in place.branches if branch.label != "on_error"]
    failing = [(branch, end) for branch in branches if (end := always_fails(branch)) is not None]
    each = isinstance(body, ForEachBody)
    if not failing or (body.join == "all" and (each or body.on_failure == "collect")):
        return
    left = 0 if each else sum(branch.always for branch in branches) - len(failing)
    wanted = len(branches) if body.join == "all" else body.join if isinstance(body.join, int) else 1
    if left >= wanted:
        return
    source = analysis.graph.source
    who = "each item" if each else " and ".join(quoted(branch.node.name) for branch, _ in failing[:3])
    takes = "all" if body.join == "all" else wanted
    message = (
        f"this join can never be met: it takes {takes}, and {who} always {'fails' if len(failing) < 2 else 'fail'}"
    )
    related = ((source.key_span(failing[0][1].node.path), "this has no condition"),)
    key = place.node.kind if body.join == "all" else "join"
    yield source.error("unmeetable-join", message, (*place.node.path, key), key=key != "join", related=related)


# ---------------------------------------------------------------- loops


def _until(analysis: Analysis, typed: Typed, place: Place) -> Iterator[Diagnostic]:
    """A condition that depends on what is the same in every round."""
    block, source = place.blocks[0], analysis.graph.source
    names = named_in(block.until)
    if not names or not names <= block.places.keys():
        return
    changing: set[str] = set()
    for name in typed.order.of(block):
        one = block.places[name]
        of_rounds = any(binding.owner is place for binding in one.refs.values())
        if one.node.kind != "value" or of_rounds or not changing.isdisjoint(block.edges[name]):
            changing.add(name)
    if names.isdisjoint(changing):
        listed = " and ".join(quoted(name) for name in sorted(names))
        message = (
            f"the condition is the same in every round: {listed} {'is' if len(names) == 1 else 'are'} always the same"
        )
        help = "refer to what differs from round to round: what an agent or a tool gives, index, previous"
        yield source.error("constant-until", message, block.spec.until_path, help=help)


# ---------------------------------------------------------------- who answers


def _handoffs(graph: GraphSpec, place: Place, body: AgentBody) -> Iterator[Diagnostic]:
    """Whoever a conversation is handed to, and that says what it answers, must be able to answer the node."""
    first = graph.agents.get(body.agent)
    if first is None:
        return
    wanted: Type = body.returns or first.returns or STRING
    for agent, by in _reached(graph, first):
        if agent.returns is None:
            continue
        reason = misfit(agent.returns, wanted, graph.types)
        if reason:
            source, at = graph.source, list(by.handoffs).index(agent.name)
            what = f"{quoted(place.node.name)}, which may be handed over to it"
            message = f"what {quoted(agent.name)} answers cannot fit {what}: {reason}"
            related = (
                (source.span((*place.node.path, "agent")), "whoever answers must fit the type of this node"),
                (source.key_span((*agent.path, "returns")), "this is what it answers"),
            )
            help = "let both return the same, or leave out returns: the node says what is to be answered"
            yield source.warning("handoff-misfit", message, (*by.path, "handoffs", at), help=help, related=related)


def _reached(graph: GraphSpec, first: AgentSpec) -> Iterator[tuple[AgentSpec, AgentSpec]]:
    """Each agent that may get the conversation of another, with who first hands it over."""
    seen, left = {first.name}, [first]
    while left:
        by = left.pop(0)
        for name in by.handoffs:
            agent = graph.agents.get(name)
            if agent is not None and name not in seen:
                seen.add(name)
                left.append(agent)
                yield agent, by


# ---------------------------------------------------------------- conditions


def conditions(analysis: Analysis, typed: Typed) -> Iterator[Diagnostic]:
    """Conditions that never hold, of a graph that has no errors: what is around them might be why."""
    source, asked = analysis.graph.source, 0
    dead: set[int] = set()
    for place in analysis.places:
        if isinstance(place.node.body, LoopBody) and asked < MOST_ASKED:
            asked += 1
            yield from _never_done(analysis, typed, place, place.node.body)
        around = place.parent if place.block is None else place.block.owner
        if around is not None and id(around) in dead:
            dead.add(id(place))
            continue
        when = when_of(place)
        if when is None or asked == MOST_ASKED:
            continue
        asked += 1
        world, facts = typed.names_world(place.scope), typed.reached(place)
        if not facts and _plainly_may_hold(world, when):
            continue
        if counterexample(world, facts, syntax.Not(when, 0)) is None:
            dead.add(id(place))
            message = f"{quoted(place.node.name)} never runs: its condition can never be true"
            literal = place.node.when is False
            note = None if literal else "where it is asked, what comes before has settled it"
            yield source.warning("never-true", message, (*place.node.path, "when"), note=note)


def _plainly_may_hold(world: World, when: Expression) -> bool:
    """Whether a condition asks different things, each of which may be: seen at once, where a proof tries cases."""
    asked: set[str] = set()
    for part in conjuncts(when):
        path, wanted = part, None
        if isinstance(part, syntax.Compare) and len(part.rest) == 1 and isinstance(part.rest[0][1], syntax.Const):
            path, wanted = part.first, part
        name = key(path)
        outcomes = world.outcomes(root_of(path)) if is_path(path) else None
        if not is_path(path) or name in asked or (outcomes is not None and outcomes.when is not None):
            return False
        asked.add(name)
        if not _may_be(without_null(world.type_of(path)), wanted):
            return False
    return True


def _may_be(type: Type, wanted: syntax.Compare | None) -> bool:
    """Whether a value of the type can be true, or be as it is compared; false also where that is not plain."""
    if wanted is None:
        return type == BOOLEAN
    op, other = wanted.rest[0]
    value = other.value if isinstance(other, syntax.Const) else None
    if isinstance(value, bool) or value is None:
        return False
    if isinstance(type, Enumeration):
        return (op == "==" and value in type.values) or (op == "!=" and len(type.values) > 1)
    if isinstance(value, str):
        return type == STRING and op in ("==", "!=")
    return is_number(type) and (isinstance(value, int) or op not in ("==", "in", "not in"))


def _never_done(analysis: Analysis, typed: Typed, place: Place, body: LoopBody) -> Iterator[Diagnostic]:
    """A loop whose condition does not hold in any of the rounds that it may have."""
    block, index = place.blocks[0], syntax.Name(INDEX, 0)
    until = parsed_expression(body.until)
    if until is None or body.on_max == "continue":  # then the rounds may be all that it is for
        return
    first = syntax.Compare(index, ((">=", syntax.Const(1, 0)),), 0)
    last = syntax.Compare(index, (("<=", syntax.Const(body.max, 0)),), 0)
    facts = ((first, True), (last, True), *typed.output_facts(block))
    world = typed.names_world(block.scope)
    never, always = (counterexample(world, facts, goal) is None for goal in (syntax.Not(until, 0), until))
    if never and not always:  # both: no round is ever reached
        message = f"the condition holds in none of the rounds, of which there are at most {body.max}"
        yield analysis.graph.source.error("constant-until", message, block.spec.until_path)
