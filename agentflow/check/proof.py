"""Proof by cases: does something hold wherever the facts hold?

What an expression depends on is cut into cases (skipped or done, null, true or false, each word that it is compared
with, below, at and above each number), and every combination is tried: at most 4096, twelve yes-or-no questions.
A fact that would lead beyond that is left out, which can only make a proof fail, never succeed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from agentflow import syntax
from agentflow.check.algebra import is_number, may_be_null, opaque, without_null
from agentflow.check.cases import (
    FAILED,
    SKIPPED,
    SOMETHING,
    TESTS,
    Case,
    cases_of,
    compared,
    conjuncts,
    constants_of,
    first_of,
    is_path,
    names_in,
    root_of,
    tells_null,
)
from agentflow.expressions import key
from agentflow.syntax import Expression
from agentflow.types import Json, Type
from agentflow.values import Unusable

MOST = 4096
MOST_FACTS = 60
Fact = tuple[Expression, bool]
Facts = tuple[Fact, ...]


Row = Mapping[str, Case]
Condition = tuple[str | None, Expression, bool]  # of a node: true where it is not skipped; else true or false as said


@dataclass(frozen=True)
class Axiom:
    """Something that holds, and the field that it tells about: it matters only where that is asked for."""

    about: Expression
    of: Expression


@dataclass(frozen=True)
class Outcomes:
    """What may become of a node that is not simply done."""

    when: Expression | None = None  # false: it is skipped
    null_on_failure: bool = False
    replaced: bool = False  # its failure is continued with another value


class World(Protocol):
    """What a proof may ask about names and types."""

    def type_of(self, of: Expression) -> Type:
        """As if what it is a part of were there, and a node's name as if the node were done."""

    def outcomes(self, name: str) -> Outcomes | None:
        """None: no node, or one that is always done."""

    def axioms(self, name: str) -> Sequence[Axiom]:
        """What is always true of a name's value."""


@dataclass
class Counterexample:
    """A case in which the facts hold and the goal does not, in words; without words there is too much to try."""

    words: list[str]
    tried: bool = True


@dataclass
class _Question:
    """Something that is cut into cases."""

    of: Expression
    type: Type | None  # None: `given` says it all
    given: list[Case] = field(default_factory=list)
    constants: list[Json] = field(default_factory=list)

    @property
    def cases(self) -> list[Case]:
        return self.given if self.type is None else [*self.given, *cases_of(self.type, self.constants)]


def proves(world: World, facts: Facts, goal: Expression) -> bool:
    return counterexample(world, facts, goal) is None


def is_given(world: World, facts: Facts, of: Expression) -> bool:
    """Neither null nor missing, wherever the facts hold."""
    if _plainly_given(facts, key(of)):
        return True
    return proves(world, facts, syntax.Not(syntax.Tested(of, "none", (), 0), 0))


def _plainly_given(facts: Facts, path: str) -> bool:
    """Whether a fact says in as many words that a path, or a field of it, is true."""
    for of, holds in facts[:MOST_FACTS]:
        for part in conjuncts(of) if holds else ():
            if isinstance(part, syntax.Name | syntax.Attr) and f"{key(part)}.".startswith(f"{path}."):
                return True
    return False


def counterexample(world: World, facts: Facts, goal: Expression) -> Counterexample | None:
    """None: it is proved."""
    proof = _Proof(world)
    if not proof.take(goal):
        return Counterexample([], tried=False)
    kept: list[Fact] = []
    found: Counterexample | None = None
    for more in proof.relevant(facts):  # a few facts are mostly enough, and each can double the cases
        kept += more
        found = proof.refuted(goal, kept)
        if found is None:
            return None
    return found


class _Proof:
    def __init__(self, world: World) -> None:
        self.world = world
        self.questions: dict[str, _Question] = {}
        self.axioms: list[tuple[str, Expression]] = []
        self._keys: dict[int, tuple[Expression, str]] = {}  # with what has it, which must not make room for another

    def key(self, of: Expression) -> str:
        found = self._keys.get(id(of))
        if found is None:
            found = self._keys[id(of)] = (of, key(of))
        return found[1]

    def comparison(self, op: str, left: Expression, right: Expression) -> str:
        """One question for all comparisons of two things: less, equal or greater."""
        first, second = self.key(left), self.key(right)
        if op in ("in", "not in"):
            return f"{first} in {second}"
        return f"{first} <=> {second}" if first <= second else f"{second} <=> {first}"

    # ------------------------------------------------------------ what there is to ask

    def take(self, of: Expression) -> bool:
        """Adds the questions of an expression; false, and nothing added, if that would be too many."""
        before = {name: replace(one, constants=list(one.constants)) for name, one in self.questions.items()}
        self.ask(of)
        if math.prod(max(len(question.cases), 1) for question in self.questions.values()) <= MOST:
            return True
        self.questions = before
        return False

    def relevant(self, facts: Facts) -> Iterator[list[Fact]]:
        """The facts that say something about what has been asked, and what follows from how nodes come to run.

        They come in batches, the nearest first; each batch takes account of the questions that the one before added.
        """
        left = [(fact, self.named(fact[0])) for fact in facts[:MOST_FACTS]]
        certain = {self.key(part) for of, holds in facts if holds for part in conjuncts(of)}
        explained: set[str] = set()
        batch: list[Fact] = []
        progress = True
        while progress:
            progress = False
            roots = {root_of(question.of) for question in self.questions.values()}
            nearer, left = left, []
            for fact, names in nearer:
                if names.isdisjoint(roots):
                    left.append((fact, names))
                elif self.take(fact[0]):
                    roots = {root_of(question.of) for question in self.questions.values()}
                    progress = True
                    batch.append(fact)
            yield batch
            batch = []
            for name in [one.of.name for one in self.questions.values() if isinstance(one.of, syntax.Name)]:
                for axiom in self.world.axioms(name):
                    known = self.key(axiom.of)
                    if known not in explained and self.key(axiom.about) in self.questions and self.take(axiom.of):
                        explained.add(known)
                        batch.append((axiom.of, True))
                        progress = True
                outcomes = self.world.outcomes(name)
                if name in explained or outcomes is None or outcomes.when is None:
                    continue
                explained.add(name)
                if certain.issuperset(map(self.key, conjuncts(outcomes.when))):  # word for word, however long
                    batch.append((syntax.Tested(syntax.Name(name, 0), "skipped", (), 0), False))
                elif self.take(outcomes.when):
                    self.axioms.append((name, outcomes.when))
                    progress = True
        if batch:
            yield batch

    def named(self, of: Expression) -> set[str]:
        names = names_in(of)
        for name in tuple(names):  # whether a node ran says something about its condition
            outcomes = self.world.outcomes(name)
            if outcomes is not None and outcomes.when is not None:
                names |= names_in(outcomes.when)
        return names

    def ask(self, of: Expression) -> None:
        match of:
            case syntax.Const():
                return
            case syntax.Name() | syntax.Attr() | syntax.Item():
                self.path(of)
            case syntax.Not(of=inside):
                self.ask(inside)
            case syntax.Logic(left=left, right=right):
                self.ask(left)
                self.ask(right)
            case syntax.Inline(test=test, then=then, other=other):
                for part in (test, then, other):
                    if part is not None:
                        self.ask(part)
            case syntax.Compare(first=first, rest=rest):
                left = first
                for op, right in rest:
                    self.compare(op, left, right)
                    left = right
            case syntax.Tested(of=syntax.Name(name=name), name="failed") if self.replaced(name):
                self.opaque(of)
            case syntax.Tested(of=inside, name="skipped" | "failed"):
                self.ask(inside)
            case syntax.Tested(of=inside, name="none" | "undefined" | "defined") if tells_null(inside):
                self.ask(inside)
            case syntax.Tested(of=inside, name="in" | "eq" | "ne" as name, args=(other,)):
                self.compare(TESTS[name], inside, other)
            case syntax.Filtered(of=inside, name="default", args=(other,), named=()) if tells_null(inside):
                self.ask(inside)
                self.ask(other)
            case syntax.Filtered(of=inside, name="required") if tells_null(inside):
                self.ask(inside)
            case syntax.Filtered(of=inside, name="first" | "last") if is_path(inside):
                self.path(first_of(inside))
            case _:
                self.opaque(of)

    def replaced(self, name: str) -> bool:
        outcomes = self.world.outcomes(name)
        return outcomes is not None and outcomes.replaced

    def opaque(self, of: Expression) -> None:
        """A question of its own, about which no more is known."""
        self.questions.setdefault(self.key(of), _Question(of, None, [True, False]))

    def compare(self, op: str, left: Expression, right: Expression) -> None:
        for path, other in ((left, right), (right, left)):
            constants = constants_of(other)
            flags = constants is not None and any(isinstance(one, bool) for one in constants)
            if flags and isinstance(path, syntax.Tested | syntax.Compare | syntax.Not):
                self.ask(path)
                return
            if constants is not None and is_path(path) and (path is left or op not in ("in", "not in")):
                numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in constants)
                type = without_null(self.world.type_of(path))
                if op in ("==", "!=", "in", "not in") or (numbers and (is_number(type) or opaque(type))):
                    self.path(path, constants)
                    return
        for side in (left, right):
            if is_path(side):
                self.path(side)
        compared = syntax.Compare(left, ((op, right),), 0)
        self.questions.setdefault(self.comparison(op, left, right), _Question(compared, None, [-1, 0, 1]))

    def path(self, of: Expression, constants: Iterable[Json] = ()) -> None:
        if isinstance(of, syntax.Attr | syntax.Item):
            self.ask(of.of)
        found = self.questions.get(self.key(of))
        if found is None:
            type = self.world.type_of(of)
            found = self.questions[self.key(of)] = _Question(of, without_null(type))
            outcomes = self.world.outcomes(of.name) if isinstance(of, syntax.Name) else None
            if outcomes is not None and outcomes.when is not None:
                found.given.append(SKIPPED)
            if outcomes is not None and outcomes.null_on_failure:
                found.given.append(FAILED)
            if may_be_null(type) or opaque(type):
                found.given.append(None)
        found.constants += [one for one in constants if one is not None]

    # ------------------------------------------------------------ what holds in a case

    def refuted(self, goal: Expression, facts: list[Fact]) -> Counterexample | None:
        """A case in which the facts hold and the goal does not."""
        for row in self.rows(facts):
            try:
                if not self.true(goal, row):
                    return Counterexample(list(self.words(row)))
            except Unusable:
                continue  # the run would have ended
        return None

    def rows(self, facts: list[Fact]) -> Iterator[Row]:
        """Every combination of cases in which the facts and the axioms hold: one mapping, which changes."""
        names = list(self.questions)
        cases = [question.cases or [SOMETHING] for question in self.questions.values()]
        conditions = self.conditions(facts)
        row: dict[str, Case] = {}

        def descend(at: int) -> Iterator[Row]:
            if at == len(names):
                yield row
                return
            for case in cases[at]:
                row[names[at]] = case
                if all(self.allows(condition, row) for condition in conditions.get(at, ())):
                    yield from descend(at + 1)

        return descend(0)

    def conditions(self, facts: list[Fact]) -> dict[int, list[Condition]]:
        """What must hold, by the last question that it asks: as soon as that is answered, it can be decided."""
        asked = [names_in(question.of) for question in self.questions.values()]
        found: dict[int, list[Condition]] = {}
        for name, of, wanted in [
            *((name, when, False) for name, when in self.axioms),
            *((None, *fact) for fact in facts),
        ]:
            mentioned = names_in(of) | ({name} if name is not None else set())
            last = max((at for at, names in enumerate(asked) if names <= mentioned), default=0)
            found.setdefault(last, []).append((name, of, wanted))
        return found

    def allows(self, condition: Condition, row: Row) -> bool:
        name, of, wanted = condition
        try:
            return self.true(of, row) is (wanted if name is None else row[name] is not SKIPPED)
        except Unusable:
            return False  # the run would have ended

    def true(self, of: Expression, row: Row) -> bool:
        return bool(self.value(of, row))

    def value(self, of: Expression, row: Row) -> Case:
        match of:
            case syntax.Const(value=value):
                return value
            case syntax.Name():
                found = row[of.name]
                return None if found is SKIPPED or found is FAILED else found
            case syntax.Attr(of=inside):
                return None if self.value(inside, row) is None else row[self.key(of)]
            case syntax.Item(of=inside):
                return self.item(of, self.value(inside, row), row)
            case syntax.Not(of=inside):
                return not self.true(inside, row)
            case syntax.Logic(op=op, left=left, right=right):
                found = self.value(left, row)
                return self.value(right, row) if bool(found) is (op == "and") else found
            case syntax.Inline(test=test, then=then, other=other):
                chosen = then if self.true(test, row) else other
                return None if chosen is None else self.value(chosen, row)
            case syntax.Compare(first=first, rest=rest):
                sides = [first, *(right for _, right in rest)]
                return all(self.compared(op, sides[at], right, row) for at, (op, right) in enumerate(rest))
        if self.key(of) in row:
            return row[self.key(of)]
        match of:
            case syntax.Tested(of=inside, name="none" | "undefined"):
                return self.value(inside, row) is None
            case syntax.Tested(of=inside, name="defined"):
                return self.value(inside, row) is not None
            case syntax.Tested(of=syntax.Name(name=name), name="skipped" | "failed" as outcome):
                return row[name] is (SKIPPED if outcome == "skipped" else FAILED)
            case syntax.Tested(of=inside, name="in" | "eq" | "ne" as name, args=(other,)):
                return self.compared(TESTS[name], inside, other, row)
            case syntax.Filtered(of=inside, name="default", args=(other,)):
                found = self.value(inside, row)
                return self.value(other, row) if found is None else found
            case syntax.Filtered(of=inside, name="required"):
                if (found := self.value(inside, row)) is None:
                    raise Unusable("required")
                return found
            case syntax.Filtered(of=inside):
                return self.value(first_of(inside), row)
        raise AssertionError(of)

    def item(self, of: syntax.Item, owner: Case, row: Row) -> Case:
        found = row[self.key(of)]
        if owner is None or owner == []:
            return None
        if found is None and owner is SOMETHING and constants_of(of.key) in ([0], [-1]):
            return SOMETHING  # a list that is not empty has a first and a last
        return found

    def compared(self, op: str, left: Expression, right: Expression, row: Row) -> bool:
        name = self.comparison(op, left, right)
        if name not in row:
            return compared(op, self.value_of_side(left, row), self.value_of_side(right, row))
        sides = [self.value(side, row) if is_path(side) else SOMETHING for side in (left, right)]
        if None in sides:
            return compared(op, sides[0], sides[1])
        order = row[name]
        assert isinstance(order, int)
        order = order if self.key(left) <= self.key(right) else -order
        wanted = {"==": (0,), "in": (0,), "!=": (-1, 1), "not in": (-1, 1)}
        return order in {**wanted, "<": (-1,), "<=": (-1, 0), ">": (1,), ">=": (0, 1)}[op]

    def value_of_side(self, side: Expression, row: Row) -> Case:
        if isinstance(side, syntax.ListLiteral):
            return constants_of(side)
        if isinstance(side, syntax.Unary):
            return (constants_of(side) or [None])[0]
        return self.value(side, row)

    # ------------------------------------------------------------ in words

    def words(self, row: Row) -> Iterator[str]:
        for name, question in self.questions.items():
            answer, of = row[name], question.of
            if answer is SKIPPED or answer is FAILED:
                yield f"{name} is {answer}"
            elif isinstance(of, syntax.Attr) and self.value(of.of, row) is not None:
                if isinstance(answer, bool) or answer is None:
                    yield f"{syntax.spelled(of)} is {'null' if answer is None else str(answer).lower()}"
                elif isinstance(answer, str) and answer:
                    yield f'{syntax.spelled(of)} is "{answer}"'
