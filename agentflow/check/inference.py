"""The types of expressions, and with them what cannot work: fields that are not there, nulls that nobody deals with.

An expression is followed together with what is known at its place: the facts. `a and a.b` uses `a.b` knowing `a`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from agentflow import syntax
from agentflow.check import elements, filtered, findings
from agentflow.check.algebra import (
    NOTHING,
    apart,
    element_of,
    field_of,
    fields_of,
    is_number,
    is_text,
    may_be_null,
    nullable,
    opaque,
    resolved,
    truth,
    union,
    without_null,
)
from agentflow.check.cases import names_in
from agentflow.check.findings import Finding
from agentflow.check.proof import Axiom, Facts, Outcomes, is_given
from agentflow.diagnostics import quoted
from agentflow.syntax import Expression, Part, Template
from agentflow.types import ANY, BOOLEAN, INTEGER, NULL, NUMBER, STRING, Enumeration, Field, ListOf, Object, Type

SOFT_TESTS = frozenset({"none", "defined", "undefined", "eq", "ne", "lt", "le", "gt", "ge", "boolean", "true", "false"})
SOFT_TESTS |= frozenset({"string", "number", "integer", "float", "mapping", "sequence"})
LOOP: Type = Object(
    (
        Field("index", INTEGER),
        Field("index0", INTEGER),
        Field("first", BOOLEAN),
        Field("last", BOOLEAN),
        Field("length", INTEGER),
    )
)


class Names(ABC):
    """What the inference asks about the names in scope."""

    types: Mapping[str, Type]  # of the graph's `types`

    @abstractmethod
    def type_of(self, name: str) -> Type | None:
        """As others see it, null included; None: there is no such name."""

    @abstractmethod
    def done(self, name: str) -> Type:
        """Of a node that has been done; of anything else its type."""

    @abstractmethod
    def outcomes(self, name: str) -> Outcomes | None: ...

    @abstractmethod
    def axioms(self, name: str) -> Sequence[Axiom]: ...

    @abstractmethod
    def why_null(self, name: str) -> str | None: ...

    @abstractmethod
    def is_node(self, name: str) -> bool: ...


@dataclass(frozen=True)
class Known:
    """What is known at a place in a template: facts, and the types of the names that its own loops bind."""

    facts: Facts = ()
    bound: Mapping[str, Type] = field(default_factory=dict)

    def given(self, of: Expression, holds: bool) -> Known:
        return Known(((of, holds), *self.facts), self.bound)

    def binding(self, bound: Mapping[str, Type]) -> Known:
        kept = tuple(fact for fact in self.facts if names_in(fact[0]).isdisjoint(bound))
        return Known(kept, {**self.bound, **bound})


class Inference:
    def __init__(self, names: Names, report: Callable[[Finding], None] | None = None) -> None:
        self.names = names
        self.types = names.types
        self.report = report

    # ------------------------------------------------------------ templates

    def text(self, template: Template, known: Known) -> None:
        """Everything in a template is shown as text."""
        self._parts(template.parts, known)

    def _parts(self, parts: tuple[Part, ...], known: Known) -> None:
        for part in parts:
            match part:
                case syntax.Show(of):
                    self._shown(of, known)
                case syntax.Branch(tests, other):
                    here = known
                    for test, body in tests:
                        self.of(test, here)
                        self._parts(body, here.given(test, True))
                        here = here.given(test, False)
                    self._parts(other, here)
                case syntax.Loop():
                    self._loop(part, known)

    def _loop(self, loop: syntax.Loop, known: Known) -> None:
        element = element_of(self._needed(loop.over, known, "it is gone through"), self.types)
        if element is None:
            self._find(lambda: findings.not_usable(loop.over, self.of(loop.over, known, True), "a list"))
            element = ANY
        bound: dict[str, Type] = dict.fromkeys(loop.targets, ANY)
        if len(loop.targets) == 1:
            bound[loop.targets[0]] = element
        inside = known.binding(bound)
        if loop.test is not None:
            self.of(loop.test, inside)
            inside = inside.given(loop.test, True)
        self._parts(loop.body, inside.binding({"loop": LOOP}))
        self._parts(loop.other, known)

    def _shown(self, of: Expression, known: Known) -> None:
        if isinstance(of, syntax.Inline) and of.other is None:
            self.of(of.test, known)
            self._shown(of.then, known.given(of.test, True))
            return
        self._needed(of, known, "it is shown as text")

    # ------------------------------------------------------------ expressions

    def of(self, of: Expression, known: Known, lenient: bool = False) -> Type:
        """The type of an expression, null included where it may be. `lenient`: a field of null is null."""
        kind = of.__class__
        if kind is syntax.Attr:  # most are one of these
            return self._attr(of, known, lenient)  # type: ignore[arg-type]
        if kind is syntax.Name:
            return self._narrowed(of, self._name(of, known), known)  # type: ignore[arg-type]
        match of:
            case syntax.Const(value=value):
                return _constant(value)
            case syntax.Name():
                return self._narrowed(of, self._name(of, known), known)
            case syntax.Attr():
                return self._attr(of, known, lenient)
            case syntax.Item():
                return self._item(of, known, lenient)
            case syntax.Slice():
                for end in (of.start, of.stop, of.step):
                    if end is not None:
                        self._number(end, known)
                sliced = self._needed(of.of, known, "a part of it is taken")
                if apart(sliced, STRING, self.types) and apart(sliced, ListOf(ANY), self.types):
                    self._find(lambda: findings.not_usable(of.of, sliced, "a list or text"))
                    return ANY
                return STRING if isinstance(sliced, Enumeration) else sliced
            case syntax.ListLiteral(items=items):
                return ListOf(union(self._literal(item, known) for item in items) if items else NOTHING)
            case syntax.Unary(of=inside):
                return self._number(inside, known)
            case syntax.Binary():
                return self._binary(of, known)
            case syntax.Concat(parts=parts):
                for part in parts:
                    self._shown(part, known)
                return STRING
            case syntax.Compare():
                return self._compare(of, known)
            case syntax.Logic():
                return self._logic(of, known, lenient)
            case syntax.Not(of=inside):
                self.of(inside, known)
                return BOOLEAN
            case syntax.Inline():
                return self._inline(of, known)
            case syntax.Filtered():
                return self._filtered(of, known)
            case syntax.Tested():
                return self._tested(of, known)

    def _literal(self, of: Expression, known: Known) -> Type:
        return self.of(of, known)

    def _find(self, finding: Callable[[], Finding]) -> None:
        if self.report is not None:
            self.report(finding())

    def _needed(self, of: Expression, known: Known, use: str) -> Type:
        """The type of what must not be null here."""
        type = self.of(of, known)
        if may_be_null(type):
            if self.report is not None:
                self.report(findings.may_be_null(of, use, self._why(of)))
            return without_null(type)
        return type

    def _why(self, of: Expression) -> str | None:
        if isinstance(of, syntax.Name):
            return self.names.why_null(of.name)
        if isinstance(of, syntax.Item):
            return "there may be no such element"
        return None

    def _name(self, of: syntax.Name, known: Known) -> Type:
        if of.name in known.bound:
            return known.bound[of.name]
        found = self.names.type_of(of.name)
        return ANY if found is None else resolved(found, self.types)

    def _narrowed(self, of: Expression, type: Type, known: Known) -> Type:
        """Without null, where the facts exclude it."""
        if may_be_null(type) and known.facts and is_given(WorldOf(self, known), known.facts, of):
            return without_null(type)
        return type

    def _attr(self, of: syntax.Attr, known: Known, lenient: bool) -> Type:
        owner = self.of(of.of, known, lenient)
        lacking = may_be_null(owner)
        if lacking and not lenient:
            use = f"its field {quoted(of.name)} is used"
            self._find(lambda: findings.may_be_null(of.of, use, self._why(of.of), of))
            lacking = False
        owner = without_null(owner)
        if owner == NOTHING:
            return NULL
        found, sure = field_of(owner, of.name, self.types)
        if found is None:
            self._find(lambda: findings.unknown_field(of, owner, fields_of(owner, self.types)))
            return ANY
        if not sure and not lenient:
            use = f"not all of what it may be has a field {quoted(of.name)}"
            self._find(lambda: findings.may_be_null(of, use, None))
            sure = True
        type = nullable(found) if lacking or not sure else found
        return self._narrowed(of, type, known)

    def _item(self, of: syntax.Item, known: Known, lenient: bool) -> Type:
        match of.key:
            case syntax.Const(value=str() as name):
                at = of.at + 1
                return self._attr(syntax.Attr(of.of, name, at), known, lenient)
        key = self.of(of.key, known)
        owner = self.of(of.of, known, lenient)
        if may_be_null(owner) and not lenient:
            self._find(lambda: findings.may_be_null(of.of, "an element of it is used", self._why(of.of)))
        owner = without_null(owner)
        if isinstance(owner, Object) or opaque(owner) or not is_number(key):
            return ANY
        element = element_of(owner, self.types)
        if element is None:
            self._find(lambda: findings.not_usable(of.of, owner, "a list"))
            return ANY
        return self._narrowed(of, nullable(element), known)

    def _number(self, of: Expression, known: Known) -> Type:
        return self._as_number(of, self._needed(of, known, "it is calculated with"))

    def _as_number(self, of: Expression, type: Type) -> Type:
        if apart(type, NUMBER, self.types):
            self._find(lambda: findings.not_usable(of, type, "a number"))
            return NUMBER
        return type if is_number(type) else NUMBER if not opaque(type) else ANY

    def _binary(self, of: syntax.Binary, known: Known) -> Type:
        if of.op == "+":
            left = self._needed(of.left, known, "it is added to")
            if isinstance(left, ListOf):
                right = self._needed(of.right, known, "it is added")
                if apart(right, ListOf(ANY), self.types):
                    self._find(lambda: findings.not_usable(of.right, right, "a list, like what it is added to"))
                return union((left, right)) if isinstance(right, ListOf) else ListOf(ANY)
            if apart(left, NUMBER, self.types):
                must = "a number; text is joined with ~" if apart(left, INTEGER, self.types) else "a number"
                self._find(lambda: findings.not_usable(of.left, left, must))
                self.of(of.right, known)
                return ANY
            if opaque(left):
                self._needed(of.right, known, "it is added")
                return ANY
            types = [self._as_number(of.left, left), self._number(of.right, known)]  # each side once: sums nest
        else:
            types = [self._number(side, known) for side in (of.left, of.right)]
        if of.op == "/":
            return NUMBER
        return INTEGER if all(type == INTEGER for type in types) else NUMBER if all(map(is_number, types)) else ANY

    def _compare(self, of: syntax.Compare, known: Known) -> Type:
        left, here = of.first, self.of(of.first, known)
        for op, right in of.rest:
            if op in ("in", "not in"):
                there = self._needed(right, known, "it is looked into")
                self._looked_for(left, here, right, there, known)
            else:
                there = self.of(right, known)
                if op in ("==", "!="):
                    self._equality(left, here, right, there)
                else:
                    self._order(of, here, there)
            left, here = right, there
        return BOOLEAN

    def _looked_for(self, left: Expression, here: Type, right: Expression, there: Type, known: Known) -> None:
        """One thing in another: an element in a list, text in text, a key in an object."""
        if isinstance(right, syntax.ListLiteral):
            for item in right.items:
                self._equality(left, here, item, self.of(item, known))
        elif isinstance(there, ListOf):
            self._equality(left, here, right, there.of)
        elif is_text(there):
            if may_be_null(here):
                self._find(lambda: findings.may_be_null(left, "it is looked for in a text", self._why(left)))
            elif apart(here, STRING, self.types):
                self._find(lambda: findings.not_usable(left, here, "text, to be looked for in text"))
        elif element_of(there, self.types) is None:
            self._find(lambda: findings.not_usable(right, there, "a list or text, to be looked into"))

    def _order(self, of: syntax.Compare, left: Type, right: Type) -> None:
        """Less and greater: numbers with numbers, text with text, as far as the types are known."""
        if any(not apart(left, sort, self.types) and not apart(right, sort, self.types) for sort in (NUMBER, STRING)):
            return
        mine, other = (without_null(resolved(one, self.types)) for one in (left, right))
        self._find(lambda: findings.unordered(of, mine, other))

    def _equality(self, left: Expression, here: Type, right: Expression, there: Type) -> None:
        if NULL in (here, there) or not apart(here, there, self.types):
            return
        of, mine, other = (left, here, there) if not isinstance(left, syntax.Const) else (right, there, here)
        constant = right if of is left else left
        mine = without_null(resolved(mine, self.types))
        words = list(mine.values) if isinstance(mine, Enumeration) else []
        self._find(lambda: findings.never_equal(of, constant, mine, without_null(other), words))

    def _logic(self, of: syntax.Logic, known: Known, lenient: bool) -> Type:
        holds = of.op == "and"
        # What is missing is false here, whichever stands first: `x.approved or x is skipped` asks nothing of a null.
        asked = holds or not isinstance(of.left, syntax.Attr)
        left = self.of(of.left, known if asked else known.given(of.right, False), lenient)
        right = self.of(of.right, known.given(of.left, holds), lenient)
        if holds:
            return union((_falsy(left), right)) if truth(left) is not True else right
        return union((without_null(left), right)) if truth(left) is not True else left

    def _inline(self, of: syntax.Inline, known: Known) -> Type:
        self.of(of.test, known)
        then = self.of(of.then, known.given(of.test, True))
        other = NULL if of.other is None else self.of(of.other, known.given(of.test, False))
        return union((then, other))

    def _filtered(self, of: syntax.Filtered, known: Known) -> Type:
        args = [self.of(arg, known) for arg in of.args]
        named = {name: self.of(value, known) for name, value in of.named}
        if of.name == "default":
            inside = self.of(of.of, known, lenient=True)
            return inside if not may_be_null(inside) else union((without_null(inside), *(args[:1] or [STRING])))
        if of.name == "required":
            return without_null(self.of(of.of, known, lenient=True))
        if of.name == "tojson":
            self.of(of.of, known)
            return STRING
        inside = self._needed(of.of, known, f"{quoted(of.name)} takes no null")
        if self.report is not None:
            for finding in elements.unfit(of, inside, self.types):
                self.report(finding)
        return self._narrowed(of, filtered.type_of(of, inside, args, named, self.types), known)

    def _tested(self, of: syntax.Tested, known: Known) -> Type:
        for arg in of.args:
            self.of(arg, known)
        if of.name in ("skipped", "failed"):
            name = of.of
            assert isinstance(name, syntax.Name)
            if name.name in known.bound or not self.names.is_node(name.name):
                self._find(lambda: findings.not_a_node(name, of.name))
        elif of.name in ("none", "defined", "undefined"):
            self.of(of.of, known, lenient=True)
        elif of.name in SOFT_TESTS or of.name == "in":
            left = self.of(of.of, known)
            if of.name in ("eq", "ne"):
                self._equality(of.of, left, of.args[0], self.of(of.args[0], known))
        else:
            self._needed(of.of, known, f"the test {quoted(of.name)} takes no null")
        return BOOLEAN


class WorldOf:
    """The inference as a proof sees it: types without facts, and nothing reported."""

    def __init__(self, inference: Inference, known: Known) -> None:
        self.names = inference.names
        self.quiet = Inference(inference.names)
        self.known = Known((), known.bound)

    def type_of(self, of: Expression) -> Type:
        match of:
            case syntax.Name(name=name) if name not in self.known.bound:
                return resolved(self.names.done(name), self.names.types)
            case syntax.Attr(of=inside, name=name):
                found, sure = field_of(without_null(self.type_of(inside)), name, self.names.types)
                return ANY if found is None else found if sure else nullable(found)
            case syntax.Item(of=inside, key=syntax.Const(value=str() as name)):
                return self.type_of(syntax.Attr(inside, name, 0))
        return self.quiet.of(of, self.known, lenient=True)

    def outcomes(self, name: str) -> Outcomes | None:
        return None if name in self.known.bound else self.names.outcomes(name)

    def axioms(self, name: str) -> Sequence[Axiom]:
        return () if name in self.known.bound else self.names.axioms(name)


def _constant(value: str | int | float | bool | None) -> Type:
    match value:
        case None:
            return NULL
        case bool():
            return BOOLEAN
        case int():
            return INTEGER
        case float():
            return NUMBER
        case str():
            return Enumeration((value,))


def _falsy(type: Type) -> Type:
    """What a value of the type is, if it is not true."""
    if may_be_null(type):
        return nullable(_falsy(without_null(type)))
    return NOTHING if truth(type) is True else type
