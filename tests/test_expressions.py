"""What the compiler reads out of templates and expressions, and at which place."""

from __future__ import annotations

import pytest

from agentflow import syntax
from agentflow.expressions import Reference, key, leaves, literal, read, references
from agentflow.syntax import SyntaxProblem
from agentflow.types import Json


def found(text: str, form: str = "text") -> list[tuple[str, int]]:
    leaf = read(form, (), text)  # type: ignore[arg-type]
    assert leaf.tree is not None, leaf.problem
    for reference in references(leaf.tree):
        assert text[reference.at :].startswith(reference.name)
    return [(".".join([reference.name, *reference.attrs]), reference.at) for reference in references(leaf.tree)]


def test_plain_references_are_found_with_their_offsets() -> None:
    assert found("Claim {{ input.id }} of {{decide.x.y}}.") == [("input.id", 9), ("decide.x.y", 26)]
    assert found("no braces { } at all") == []


def test_every_other_reference_is_found_with_its_offset() -> None:
    assert found("{% if a.b %}{{ c | default(d.e) }}{% elif f is skipped %}{{ g[h].i }}{% endif %}") == [
        ("a.b", 6),
        ("c", 15),
        ("d.e", 27),
        ("f", 42),
        ("g", 60),
        ("h", 62),
    ]
    assert found(
        "{{ 'x' if a else b }}\r\n\r\n{%- for x in c if x.y -%} {{ x }}{{ loop.index }}{{ d }}{%- endfor %}"
    ) == [
        ("a", 10),
        ("b", 17),
        ("c", 38),
        ("d", 77),
    ]


def test_an_expression_has_no_braces() -> None:
    assert found('decide.decision == "pay" and (s is skipped or s.approved)', "expr") == [
        ("decide.decision", 0),
        ("s", 30),
        ("s.approved", 46),
    ]
    assert found(" a.b ", "expr") == [("a.b", 1)]


def test_the_quick_reader_and_the_parser_agree() -> None:
    from agentflow import jinja, quick

    templates = [
        "{{ a }}",
        "x{{a.b}} {{ c.d.e }}\ny",
        "{{ a.if }}",
        "}{{ a }}}",
        "{{\n a\t}}",
        "é{{ a }}",
        "{{ true }}",
    ]
    templates += ["{ {{ 'é' ~ a[0].b }}", "a{{ 'x' if a else 'y' }}b{{ a | default(none) }}", "{{ '}}' }}"]
    templates += [
        "{% if a %}x{% endif %}",
        "a\n{%if a.b > 1 and c%}\n{{ d }}\n{% elif e is skipped %} f{% else %}{% endif %}\n",
        "{% if a %}{% if b %}{{ c }}{% else %}d{% endif %}{% endif %}{% if e == '%}' %}{% endif %}",
    ]
    for text in templates:
        assert quick.template(text) == jinja.template(text)
    expressions = ["a", "a.b.c", " a.b ", 'a == "b" and (c is skipped or not d.e > 1.5)', "a not in [1, 2] or b in c"]
    expressions += ["a if b else c if d else e", "a + b * c ~ d // 2 - 1", "a < b <= c != d", "not not a", "(a or b).c"]
    expressions += [
        "a is not none and b",
        "a | first | upper",
        "(a | default([]))[0]",
        "a == b is none",
        "a is defined",
    ]
    for text in expressions:
        assert quick.expression(text) == jinja.expression(text)


def test_the_quick_reader_gives_up_where_it_is_not_sure() -> None:
    from agentflow import quick

    for text in (
        "{{{ a }}",
        "{{ a }}{% for b in a %}{% endfor %}",
        "{{ a }}{#",
        "{{- a }}",
        "{{ a -}}",
        "{{ a",
        "{{ a }} {{",
    ):
        assert quick.template(text) is None
    for text in (
        "{%- if a %}{% endif %}",
        "{% if a -%}{% endif %}",
        "{% if a if b else c %}{% endif %}",
        "{% if a %}",
        "{% if a %}{% else %}{% elif b %}{% endif %}",
        "{% if a }}{% endif %}",
        "{% endif %}",
        "{% raw %}{% endraw %}",
        "{{ a %}",
    ):
        assert quick.template(text) is None
    for text in (
        "a()",
        "-a",
        "a ** b",
        "a._b",
        "_a",
        "a b",
        "a.0",
        "1.",
        "01",
        "'a' 'b'",
        "'a\\'",
        "a[1:]",
        "{}",
        "a |",
        "",
    ):
        assert quick.expression(text) is None
    for text in ("a is divisibleby 3", "a is in b", "a | map('upper')", "a | nope", "a | join(d=1)", "a }} b", "a, b"):
        assert quick.expression(text) is None


def test_a_single_expression_keeps_its_type() -> None:
    assert isinstance(syntax.parse_value("{{ a }}"), syntax.Name)
    assert isinstance(syntax.parse_value("{{ a + 1 }}"), syntax.Binary)
    assert isinstance(syntax.parse_value(" {{ a }}"), syntax.Template)
    assert isinstance(syntax.parse_value("{{ a }}{{ a }}"), syntax.Template)
    assert isinstance(syntax.parse_value("a"), syntax.Template)


def test_the_strings_of_a_value_are_found_at_any_depth() -> None:
    data: Json = {"a": ["{{ b }}", 1, {"c": "x{{ d }}"}], "e": "plain", "f": None}
    assert [(leaf.path, leaf.text) for leaf in leaves("value", ("with",), data)] == [
        (("with", "a", 0), "{{ b }}"),
        (("with", "a", 2, "c"), "x{{ d }}"),
    ]


def test_a_literal_of_yaml_is_an_expression() -> None:
    literals: list[Json] = [True, None, 3, 0.5, [1, [True, None]]]
    for data in literals:
        assert syntax.parse_expression(literal(data)) is not None
    assert literal([True, None, 1]) == "[true, none, 1]"
    assert literal("a.b") == "a.b"


def test_keys_tell_expressions_apart_but_not_places() -> None:
    def of(text: str) -> str:
        return key(syntax.parse_expression(text))

    assert of("a.b ==  1 and  not c") == of("a.b == 1 and not c")
    assert of("1") != of("true") != of("'true'")
    assert of("a - b") != of("b - a") != of("a + b")
    assert of("a[1:]") != of("a[:1]")
    assert of("a is odd") != of("a is even")


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("a {{ b() }}", "not-allowed-in-template", "("),
        ("{{ b ** 2 }}", "not-allowed-in-template", "b"),
        ("{{ a._b }}", "not-allowed-in-template", "_b"),
        ("{{ a . _b }}", "not-allowed-in-template", "_b"),
        ("{{ _b }}", "not-allowed-in-template", "_b"),
        ("{{ a['b']() }}", "not-allowed-in-template", "("),
        ("{{ {'a': 1} }}", "not-allowed-in-template", "{'a"),
        ("{{ 1, 2 }}", "not-allowed-in-template", ", 2"),
        ("x {% set a = 1 %}", "not-allowed-in-template", "set"),
        ("x {% include 'a' %}", "not-allowed-in-template", "include"),
        ("{% raw %}{% endraw %}", "not-allowed-in-template", "{% raw"),
        ("x{{ a | nope }}", "unknown-filter", "nope"),
        ("x{{ a | defalt(1) }}", "unknown-filter", "defalt"),
        ("x{{ a is nope }}", "unknown-test", "is"),
        ("x{{ a | random }}", "unknown-filter", "random"),
        ("x{{ a | join(1, 2, 3) }}", "filter-arguments", "join"),
        ("x{{ a | map('nope') }}", "unknown-filter", "'nope'"),
        ("x{{ a.b is skipped }}", "template-syntax", "is"),
        ("line\n{{ a b }}", "template-syntax", "b"),
        ("line\n{{ a ", "template-syntax", "a"),
        ("line\n{{ a ! }}", "template-syntax", "!"),
        ("{% if a %}", "template-syntax", ""),
    ],
)
def test_what_is_wrong_is_said_at_its_place(text: str, code: str, place: str) -> None:
    problem = read("text", (), text).problem
    assert problem is not None
    assert problem.code == code
    assert text[problem.offset :].lstrip().startswith(place), (problem.message, text[problem.offset :])


def test_misspelt_filters_get_the_nearest() -> None:
    problem = read("text", (), "{{ a | defalt(1) }}").problem
    assert problem is not None
    assert problem.help == 'did you mean "default"?'


def test_braces_in_an_expression_are_said_to_be_wrong() -> None:
    with pytest.raises(SyntaxProblem, match="without braces"):
        syntax.parse_expression("{{ a }}")


def test_references_are_values() -> None:
    assert references(syntax.parse_expression("a.b")) == [Reference("a", ("b",), 0)]
