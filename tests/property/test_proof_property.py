"""What is proved holds: no values at run time make the facts true and the goal false."""

from __future__ import annotations

import itertools
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agentflow import syntax
from agentflow.check.algebra import field_of, nullable, without_null
from agentflow.check.cases import names_in
from agentflow.check.proof import Axiom, Outcomes, is_given, proves
from agentflow.runtime import templates
from agentflow.runtime.errors import TemplateError
from agentflow.types import ANY, BOOLEAN, INTEGER, STRING, Enumeration, Field, ListOf, Nullable, Object, Type

RECORD = Object(
    (
        Field("ok", BOOLEAN),
        Field("kind", Enumeration(("a", "b", "c"))),
        Field("n", INTEGER),
        Field("word", STRING),
        Field("note", Nullable(STRING), optional=True),
        Field("tags", ListOf(STRING)),
    )
)
TYPES: dict[str, Type] = {"t": RECORD, "s": RECORD, "f": RECORD, "o": Nullable(RECORD), "any": ANY}

PATHS = [f"{name}.{field}" for name in ("t", "s", "f", "o") for field in ("ok", "kind", "n", "word", "note", "tags")]
PATHS += ["s", "f", "o", "any", "any.x"]
ATOMS = (
    st.sampled_from([path for path in PATHS if path.endswith(".ok")])
    | st.sampled_from(PATHS)
    | st.tuples(st.sampled_from("tsfo"), st.sampled_from(["==", "!="]), st.sampled_from("abc")).map(
        lambda t: f"{t[0]}.kind {t[1]} '{t[2]}'"
    )
    | st.tuples(st.sampled_from("tsfo"), st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), st.integers(0, 10)).map(
        lambda t: f"{t[0]}.n {t[1]} {t[2]}"
    )
    | st.sampled_from(
        ["t.n < s.n", "t.n <= s.n", "s.n > t.n", "t.word == s.word", "t.word in ['a', 'b']", "s.n == t.n"]
    )
    | st.sampled_from(
        ["any == 1", "any.x == 'a'", "any > 3", "s == none", "o != none", "t.note is none", "o is defined"]
    )
    | st.sampled_from(
        ["s is skipped", "s is not skipped", "f is failed", "f is not failed", "t.tags[0]", "t.tags | first"]
    )
    | st.sampled_from(
        ["s.note | default('x')", "t.tags | length > 0", "'a' in t.tags", "t.word is string", "true", "false"]
    )
)


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(inner, inner)
    return (
        pair.map(lambda t: f"({t[0]}) and ({t[1]})")
        | pair.map(lambda t: f"({t[0]}) or ({t[1]})")
        | inner.map(lambda t: f"not ({t})")
        | st.tuples(inner, inner, inner).map(lambda t: f"({t[0]}) if ({t[1]}) else ({t[2]})")
        | inner.map(lambda t: f"({t}) == true" if " is " in t or "==" in t else f"not not ({t})")
    )


CONDITIONS = st.recursive(ATOMS, _grown, max_leaves=4)


class World:
    def __init__(self, when: str) -> None:
        self.when = syntax.parse_expression(when)

    def type_of(self, of: syntax.Expression) -> Type:
        match of:
            case syntax.Name(name=name):
                return TYPES[name]
            case syntax.Attr(of=inside, name=name):
                found, _ = field_of(without_null(self.type_of(inside)), name, {})
                return found or ANY
            case syntax.Item(of=inside):
                owner = self.type_of(inside)
                return nullable(owner.of) if isinstance(owner, ListOf) else ANY
        return ANY

    def outcomes(self, name: str) -> Outcomes | None:
        if name == "s":
            return Outcomes(self.when)
        return Outcomes(None, null_on_failure=True) if name == "f" else None

    def axioms(self, name: str) -> tuple[Axiom, ...]:
        return ()


def truth(text: str, scope: dict[str, Any]) -> bool | None:
    """At run time; None where the run would have ended."""
    try:
        return bool(templates.expression(text, scope))
    except TemplateError:
        return None


def scopes() -> list[dict[str, Any]]:
    """The same ones each time."""
    chosen = random.Random(11)

    def record() -> dict[str, Any]:
        return {
            "ok": chosen.choice([True, False]),
            "kind": chosen.choice("abc"),
            "n": chosen.randint(-1, 11),
            "word": chosen.choice(["", "a", "z"]),
            "note": chosen.choice([None, "", "x"]),
            "tags": chosen.choice([[], [""], ["x"], ["a", ""]]),
        }

    anything: list[Any] = [None, 0, 1, 5, "a", True, {"x": "a"}, {"x": None}, []]
    return [
        {
            "t": record(),
            "s": record(),
            "f": chosen.choice([None, record()]),
            "o": chosen.choice([None, record()]),
            "any": chosen.choice(anything),
        }
        for _ in range(60)
    ]


SCOPES = scopes()


def made(scope: dict[str, Any], when: str) -> dict[str, Any] | None:
    """The scope as the run would have it: `s` is skipped unless its condition holds."""
    outcomes = {"f": "failed"} if scope["f"] is None else {}
    before = {name: value for name, value in scope.items() if name != "s"}
    runs = truth(when, {**before, "__outcomes__": outcomes})
    if runs is None:
        return None
    if not runs:
        outcomes["s"] = "skipped"
    return {**scope, "s": scope["s"] if runs else None, "__outcomes__": outcomes}


# A condition of `s` itself does not look at `s`.
WHENS = CONDITIONS.filter(lambda text: "s" not in names_in(syntax.parse_expression(text)))


@settings(max_examples=500, deadline=2000)
@given(WHENS, st.lists(st.tuples(CONDITIONS, st.booleans()), max_size=2), CONDITIONS)
def test_what_is_proved_holds(when: str, facts: list[tuple[str, bool]], goal: str) -> None:
    parsed = tuple((syntax.parse_expression(text), holds) for text, holds in facts)
    if not proves(World(when), parsed, syntax.parse_expression(goal)):
        return
    for raw in SCOPES:
        scope = made(raw, when)
        if scope is not None and all(truth(text, scope) is holds for text, holds in facts):
            assert truth(goal, scope) in (True, None), scope


@settings(max_examples=500, deadline=2000)
@given(WHENS, st.lists(st.tuples(CONDITIONS, st.booleans()), max_size=2), st.sampled_from(PATHS))
def test_what_is_proved_to_be_there_is_there(when: str, facts: list[tuple[str, bool]], path: str) -> None:
    parsed = tuple((syntax.parse_expression(text), holds) for text, holds in facts)
    if not is_given(World(when), parsed, syntax.parse_expression(path)):
        return
    for raw in SCOPES:
        scope = made(raw, when)
        if scope is not None and all(truth(text, scope) is holds for text, holds in facts):
            assert truth(f"{path} is not none", scope) in (True, None), scope


def test_the_prover_is_not_idle() -> None:
    world = World("t.ok and t.n > 3")
    proved = 0
    for fact, goal in itertools.product(
        ["t.ok and t.n > 4", "s", "s.ok", "t.ok"], ["s is not skipped", "s", "t.n > 3"]
    ):
        proved += proves(world, ((syntax.parse_expression(fact), True),), syntax.parse_expression(goal))
    assert proved == 9
