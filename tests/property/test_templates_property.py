"""Whatever the text: a template is read or refused, what is read can be evaluated, and both readers agree."""

from __future__ import annotations

import json
import time
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentflow import jinja, quick, syntax
from agentflow.expressions import key, leaves, references
from agentflow.filters import FILTERS, TESTS
from agentflow.runtime import templates
from agentflow.runtime.errors import TemplateError
from agentflow.syntax import SyntaxProblem

WORDS = (
    "{{ }} {% %} {# #} {{- -}} {%- -%} if elif else endif for endfor in not and or is set raw endraw macro "
    "a b a.b a.b.c x _x __class__ loop loop.index true false none None skipped failed defined "
    "( ) [ ] { } , . : | ~ + - * / // % ** == != < <= > >= = ' \" \\ \n \r \r\n \t \x00 é 𝄞 0 1 1.5 1e999 007 0x1 1_0 "
    "'t' \"t\" default default(1) required length join(', ') map('upper') map(attribute='b') select sort first nope "
    "range(9) a() a.b() a[0] a['b'] a[1:] a[::0] [] [1, 2] (1, 2) {'a': 1} 9**9"
)
OPERATORS = "+,-,*,/,//,%,~,==,!=,<,<=,>,>=,in,not in,and,or"
PIECES = st.sampled_from(WORDS.split(" "))
SOUP = st.lists(PIECES, max_size=14).map(" ".join) | st.lists(PIECES, max_size=14).map("".join)
TEXTS = st.text(max_size=60) | SOUP | SOUP.map(lambda text: "{{ " + text + " }}")
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["b", "c", "t"]), inner, max_size=3),
    max_leaves=6,
)
SCOPES = st.fixed_dictionaries({"a": JSON, "b": JSON, "x": JSON}).map(
    lambda names: {**names, "__outcomes__": {"x": "skipped"}}
)

# ---------------------------------------------------------------- expressions that can be read

ATOMS = st.sampled_from(["a", "b", "x", "a.b", "a.b.c", "1", "0", "2.5", "'t'", '"é"', "true", "none", "[]", "a[0]"])


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(inner, inner)
    ops = st.sampled_from(OPERATORS.split(","))
    filters = st.sampled_from(sorted(set(FILTERS) - {"map", "selectattr", "rejectattr", "replace"}))
    tests = st.sampled_from(sorted(set(TESTS) - {"skipped", "failed"}))
    return (
        st.tuples(inner, ops, inner).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})")
        | st.tuples(inner, ops, inner, ops, inner).map(" ".join)
        | inner.map(lambda t: f"not {t}")
        | inner.map(lambda t: f"-({t})")
        | st.tuples(inner, inner, inner).map(lambda t: f"{t[0]} if {t[1]} else {t[2]}")
        | pair.map(lambda t: f"({t[0]}) if {t[1]}")
        | st.tuples(inner, filters).map(lambda t: f"({t[0]}) | {t[1]}")
        | pair.map(lambda t: f"({t[0]}) | default({t[1]})")
        | st.tuples(inner, tests).map(lambda t: f"({t[0]}) is {t[1]}")
        | st.tuples(inner, tests, inner).map(lambda t: f"({t[0]}) is not {t[1]}({t[2]})")
        | pair.map(lambda t: f"[{t[0]}, {t[1]}]")
        | pair.map(lambda t: f"({t[0]})[{t[1]}]")
        | inner.map(lambda t: f"({t})[1:]")
        | st.sampled_from(["x is skipped", "x is not failed"])
    )


EXPRESSIONS = st.recursive(ATOMS, _grown, max_leaves=8)


def outcome(read: Any, text: str) -> tuple[str, object]:
    try:
        return "read", read(text)
    except SyntaxProblem as problem:
        assert 0 <= problem.offset <= len(text)
        assert problem.length >= 1
        assert problem.message
        return "refused", problem.code


@settings(max_examples=600, deadline=1000)
@given(TEXTS)
@example("{{ 9**(9**9) }}")
@example("(" * 500)
@example("{{" * 500)
@example("{% if a %}" * 200)
@example("\r{{ 'a\rb' }}\r\n")
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (syntax.parse_text, syntax.parse_expression):
        result, tree = outcome(read, text)
        if result == "read":
            for reference in references(tree):  # type: ignore[arg-type]
                assert text[reference.at :].startswith(reference.name)
    for leaf in leaves("value", ("a",), {"b": [text]}):
        assert (leaf.tree is None) == (leaf.problem is not None)


@settings(max_examples=600, deadline=1000)
@given(TEXTS, SCOPES)
def test_what_the_compiler_takes_the_runtime_evaluates(text: str, scope: dict[str, Any]) -> None:
    taken, _ = outcome(syntax.parse_text, text)
    started = time.perf_counter()
    for evaluate in (templates.text, templates.value):
        try:
            found = evaluate(text, scope)
        except TemplateError as error:
            assert str(error)
        else:
            assert taken == "read"
            json.dumps(found, allow_nan=False)
    assert time.perf_counter() - started < 1


@settings(max_examples=800, deadline=1000)
@given(EXPRESSIONS, SCOPES)
def test_every_expression_has_a_value_or_a_reason(text: str, scope: dict[str, Any]) -> None:
    taken, _ = outcome(syntax.parse_expression, text)
    try:
        found = templates.expression(text, scope)
    except TemplateError as error:
        assert str(error)
    else:
        assert taken == "read"
        json.dumps(found, allow_nan=False)
        single = templates.value("{{ " + text + " }}", scope)
        assert single == found or single != single


@settings(max_examples=800, deadline=1000)
@given(EXPRESSIONS | SOUP)
def test_the_quick_reader_makes_what_the_parser_makes(text: str) -> None:
    found = quick.expression(text)
    if found is not None:
        assert found == jinja.expression(text)
    whole = f"a {{{{ {text} }}}} b"
    shown = quick.template(whole)
    if shown is not None:
        assert shown == jinja.template(whole)


@settings(max_examples=300, deadline=1000)
@given(EXPRESSIONS, EXPRESSIONS)
def test_expressions_with_one_key_have_one_value(one: str, other: str) -> None:
    try:
        first, second = syntax.parse_expression(one), syntax.parse_expression(other)
    except SyntaxProblem:
        return
    assert key(first) == key(syntax.parse_expression(f" ( {one} ) "))
    if key(first) == key(second):
        assert one.replace(" ", "").replace("(", "").replace(")", "") == other.replace(" ", "").replace(
            "(", ""
        ).replace(")", "")


@settings(max_examples=300, deadline=1000)
@given(st.text(max_size=40))
def test_text_without_braces_is_itself(text: str) -> None:
    plain = text.replace("{", "(")
    assert templates.text(plain, {}) == plain
    assert templates.value({"a": plain}, {}) == {"a": plain}


@settings(max_examples=300, deadline=1000)
@given(JSON)
def test_a_lone_expression_keeps_what_it_is_given(data: Any) -> None:
    assert json.dumps(templates.value("{{ a }}", {"a": data})) == json.dumps(data)
