"""What templates come to at run time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentflow.runtime import templates
from agentflow.runtime.errors import TemplateError

SCOPE: dict[str, Any] = {
    "input": {"amount": 5000, "rate": 0.1, "text": "broken arm", "note": None},
    "decide": {"decision": "pay", "items": [3, 1, 2], "nested": {"a": {"b": "é"}}, "flag": True},
    "people": [{"name": "Ada", "age": 36}, {"name": "bob", "age": 17}, {"name": "Cy"}],
    "empty": [],
    "payment": None,
    "lookup": None,
    "__outcomes__": {"payment": "skipped", "lookup": "failed"},
}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("", ""),
        ("plain { } }} text", "plain { } }} text"),
        ("Claim {{ input.amount }} at {{input.rate}}.", "Claim 5000 at 0.1."),
        ("{{ decide.flag }}", "true"),
        ("{{ decide.nested }}", '{"a": {"b": "é"}}'),
        ("{{ decide.items }}", "[3, 1, 2]"),
        ("{{ 'paid' if payment else 'not paid' }}", "not paid"),
        ("a{{ ' b' if payment }}", "a"),
        ("{{ 'a' ~ (' b' if payment) }}", "a"),
        ("{{ 'a' ~ 5000 ~ true }}", "a5000true"),
        ("{% if payment %}yes{% elif input.amount > 1 %}some{% else %}no{% endif %}", "some"),
        ("{% for p in people %}{{ loop.index }}{{ p.name }}{{ ', ' if not loop.last }}{% endfor %}", "1Ada, 2bob, 3Cy"),
        ("{% for p in people if p.age | default(0) > 20 %}{{ p.name }}{% endfor %}", "Ada"),
        ("{% for p in empty %}x{% else %}none{% endfor %}", "none"),
        ("{% for k, v in decide.nested.a | items %}{{ k }}={{ v }}{% endfor %}", "b=é"),
        ("{# a comment #}x\n", "x\n"),
        ("a\rb {{ input.amount +\r1 }}\r\n", "a\rb 5001\r\n"),
        ("{{{ input.amount }}".replace("{{{", "{ {{"), "{ 5000"),
        ("{{ payment | default('-') }}{{ payment.id | default('-') }}", "--"),
        ("{{ input.note | default('-') }}", "-"),
        ("{{ '{{' }}", "{{"),
        ("  {%- if true %} x {%- endif %}", " x"),
    ],
)
def test_text(template: str, expected: str) -> None:
    assert templates.text(template, SCOPE) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("{{ input.amount }}", 5000),
        ("{{input.rate}}", 0.1),
        (" {{ input.amount }}", " 5000"),
        ("{{ input.amount }}{{ input.amount }}", "50005000"),
        ("{{ decide }}", SCOPE["decide"]),
        ("{{ payment }}", None),
        ("{{ payment.id | default(none) }}", None),
        ("{{ payment | default([]) }}", []),
        ("{{ decide.items + [4] }}", [3, 1, 2, 4]),
        ("{{ decide.items[1:] }}", [1, 2]),
        ("{{ decide.items[-1] }}", 2),
        ("{{ decide.items | sort }}", [1, 2, 3]),
        ("{{ people | map(attribute='name') | sort }}", ["Ada", "bob", "Cy"]),
        ("{{ people | selectattr('age') | map(attribute='name') }}", ["Ada", "bob"]),
        ("{{ people | selectattr('age', 'gt', 20) }}", [{"name": "Ada", "age": 36}]),
        ("{{ [payment, 1] | select }}", [1]),
        ("{{ ['a', 'A', 'b'] | unique }}", ["a", "b"]),
        ("{{ ['a', 'b'] | map('upper') | join('-') }}", "A-B"),
        ("{{ 7 // 2 }}", 3),
        ("{{ 7 % 4 }}", 3),
        ("{{ 3.7 | round }}", 4),
        ("{{ 3.14159 | round(2) }}", 3.14),
        ("{{ 5000 | round(2) }}", 5000),
        ("{{ '12' | int }}", 12),
        ("{{ 'x' | int(0) }}", 0),
        ("{{ -input.amount | abs }}", 5000),
        ("{{ decide.items | length }}", 3),
        ("{{ decide.items | first }}", 3),
        ("{{ empty | first | default(0) }}", 0),
        ({"a": ["{{ input.amount }}", True, None, 2]}, {"a": [5000, True, None, 2]}),
        ({"{{ no }}": "x"}, {"{{ no }}": "x"}),
    ],
)
def test_value(data: Any, expected: Any) -> None:
    found = templates.value(data, SCOPE)
    assert found == expected
    assert type(found) is type(expected)
    json.dumps(found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("true", True),
        ("none", None),
        ("3", 3),
        ("input.amount", 5000),
        ('decide.decision == "pay" and input.amount > 1000', True),
        ("payment is skipped", True),
        ("payment is failed", False),
        ("lookup is failed", True),
        ("lookup is not skipped", True),
        ("decide is skipped", False),
        ("payment is skipped or payment.id > 1", True),
        ("payment and payment.id", None),
        ("payment == none", True),
        ("payment > 5", False),
        ("payment <= 5", False),
        ("input.note is none", True),
        ("input.note is defined", False),
        ("true == 1", False),
        ("1 == 1.0", True),
        ("1 < 2 < 3", True),
        ("1 < 2 > 3", False),
        ("'a' in 'abc'", True),
        ("true in [1]", False),
        ("'amount' in input", True),
        ("decide.decision in ['pay', 'reject']", True),
        ("decide.decision not in ['pay', 'reject']", False),
        ("not decide.nope", True),
        ("'x' if decide.nope else 'y'", "y"),
        ("'x' if false", None),
        ("input['amount']", 5000),
        ("decide.items[3]", None),
        ("decide.items[3] == 1", False),
        ("empty | first", None),
        ("[empty | last]", [None]),
        ("4 is divisibleby 2", True),
    ],
)
def test_expression(text: str, expected: Any) -> None:
    found = templates.expression(text, SCOPE)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("payment.id", "payment.id is missing (payment was skipped)"),
        ("lookup.a.b", "lookup.a.b is missing (lookup.a is missing: lookup failed)"),
        ("decide.nope", "decide.nope is missing"),
        ("decide.nope.deeper", "decide.nope.deeper is missing"),
        ("decide.nope == 1", "decide.nope is missing"),
        ("decide.nope + 1", "decide.nope is missing"),
        ("decide.nope | upper", "decide.nope is missing"),
        ("[decide.nope]", "decide.nope is missing"),
        ("nowhere", "nowhere is missing"),
        ("decide.items[3] + 1", "decide.items[3] is missing (there are 3)"),
        ("decide.items[3].x", "decide.items[3].x is missing (decide.items[3] is missing: there are 3)"),
        ("(empty | first) ~ 'x'", "empty | first is missing (there is none)"),
        ("decide.decision.x", "decide.decision.x is missing (it is looked for in text)"),
        ("payment | required", "payment is required, and is null"),
        ("payment.id | required", "payment.id is missing"),
        ("payment | required('pay first')", "pay first"),
        ("payment + 1", "payment is null, not a number"),
        ("true + 1", "a boolean, not a number"),
        ("'a' + 'b'", "joined with ~"),
        ("'a' * 3", "not a number"),
        ("'%s' % 3", "not a number"),
        ("payment ~ 'x'", "null"),
        ("1 / 0", "division by zero"),
        ("1e308 * 10", "too large"),
        ("'a' < 1", "cannot be ordered"),
        ("1 in 2", "cannot be looked for"),
        ("[1, 'a'] | sort", "put in order"),
        ("'x' | int", "a whole number"),
        ("[payment] | join", "null"),
        ("decide.items[true]", "no key"),
        ("'x' | replace('x', 'y' | indent)", ""),
    ],
)
def test_an_expression_that_cannot_be_evaluated_says_why(text: str, message: str) -> None:
    if not message:
        assert templates.expression(text, SCOPE) == "y"
        return
    with pytest.raises(TemplateError) as caught:
        templates.expression(text, SCOPE)
    assert message in str(caught.value)


@pytest.mark.parametrize("template", ["{{ payment }}", "{{ payment.id }}", "{{ decide.nope }}", "{{ input.note }}"])
def test_what_is_not_there_has_no_text(template: str) -> None:
    with pytest.raises(TemplateError) as caught:
        templates.text(template, SCOPE)
    assert template.strip("{} ") in str(caught.value)


def test_a_value_that_is_missing_is_no_null() -> None:
    with pytest.raises(TemplateError, match=r"decide\.nope is missing"):
        templates.value({"a": "{{ decide.nope }}"}, SCOPE)


def test_keys_are_never_attributes() -> None:
    for name in ("items", "keys", "get", "pop", "copy"):
        with pytest.raises(TemplateError, match=rf"decide\.nested\.{name} is missing"):
            templates.expression(f"decide.nested.{name}", SCOPE)


@pytest.mark.parametrize(
    "text",
    [
        "input.__class__",
        "_x",
        "__outcomes__",
        "range(10**9)",
        "9 ** 9 ** 9",
        "lipsum()",
        "input.items()",
        "''.join([])",
        "{'a': 1}",
        "1, 2",
        "x | random",
        "x | attr('y')",
        "x | map('attr', 'y')",
        "x | map(name)",
        "x | select('nope')",
        "x | join(*y)",
        "cycler",
        "9" * 5000,
        "1e999",
        "(" * 100_000,
        "[" * 100_000,
        "not " * 100_000 + "x",
        "-" * 100_000 + "1",
        "1" + "+1" * 100_000,
        "x" + ".y" * 100_000,
        "x" + "|upper" * 100_000,
        "'\\ud800'",
        "'unclosed",
        "}}",
        "{{ x }}",
        "",
        "\r\n",
        "\x00",
        "é.ü",
    ],
)
def test_hostile_expressions_end_in_a_template_error(text: str) -> None:
    with pytest.raises(TemplateError):
        templates.expression(text, SCOPE)


@pytest.mark.parametrize(
    "template",
    [
        "{% set x = 1 %}",
        "{% include 'x' %}",
        "{% macro x() %}{% endmacro %}",
        "{% raw %}{% endraw %}",
        "{% if x %}",
        "{% for x in y recursive %}{% endfor %}",
        "{{",
        "{%",
        "{#",
        "{{ }}",
        "{% if x %}" * 1000 + "{% endif %}" * 1000,
        "{{ x" + ".y" * 100_000 + " }}",
        "{{ 'aaaaaaaaaa' " + "| replace('a', 'aaaaaaaaaa')" * 20 + " }}",
        "{% for a in l %}{% for b in l %}{% for c in l %}{{ l }}{% endfor %}{% endfor %}{% endfor %}",
    ],
)
def test_hostile_templates_end_in_a_template_error(template: str) -> None:
    with pytest.raises(TemplateError):
        templates.text(template, {"l": list(range(300))})


def test_a_value_of_python_that_is_no_json_is_refused() -> None:
    with pytest.raises(TemplateError):
        templates.text("{{ x }}", {"x": float("nan")})
    with pytest.raises(TemplateError):
        templates.text("{{ x }}", {"x": object()})  # type: ignore[dict-item]
