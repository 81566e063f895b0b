"""What the checks accept and refuse: null safety, guards, scopes and types, mostly as pairs of a right and a wrong."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agentflow.driver import compile
from agentflow.rendering import render

HEAD = """
agentflow: 1
graph: case
input: {text: string, note: string | null, count: integer, tags: [string], flag: boolean, any: any}
models: {default: gemini-2.5-flash}
tools:
  lookup: {python: "tools.desk:lookup", effect: read}
  close: {python: "tools.desk:close"}
  pay: {python: "tools.desk:reopen", effect: dangerous}
agents:
  clerk:
    instruction: You help {{ input.text }}.
    returns: {kind: billing | technical | other, urgent: boolean, reason: string, note: string | null, score: number}
"""
TRIAGE = '  t: {agent: clerk, prompt: "{{ input.text }}"}\n'
GATE = "  gate: {approval: Go on?, approvers: [desk]GATE}\n"
PAY = '  done: {tool: pay, with: {ticket: "1"}PAY}\n'

Codes = Callable[[str], list[str]]


@pytest.fixture
def codes(tmp_path: Path) -> Codes:
    """The codes of what is wrong with the nodes given, in order; `clerk` need not be used."""
    shutil.copytree(Path(__file__).parent / "errors" / "tools", tmp_path / "tools")

    def check(body: str) -> list[str]:
        path = tmp_path / "case.yaml"
        path.write_text(HEAD + body)
        result = compile(path)
        assert result.source is not None
        print(render(result.diagnostics, {result.source.name: result.source.text}))
        return [one.code for one in result.diagnostics if one.code != "unreachable-agent"]

    return check


def test_a_graph_without_mistakes(codes: Codes) -> None:
    assert codes("nodes:\n" + TRIAGE + '  a: {value: "{{ t.reason }} {{ run.id }} {{ run.key }}"}\n') == []


# ---------------------------------------------------------------- null: each in a node of its own, `s` being skippable

SKIPPED = "nodes:\n" + TRIAGE + '  s: {agent: clerk, prompt: Go., when: t.urgent and t.kind != "other"}\n'


@pytest.mark.parametrize(
    "node",
    [
        'value: "{{ s.reason | default(none) }}"',
        'value: "{{ s.reason | required }}"',
        'value: "{{ s }}"',
        "value: \"{{ 'a' if s else 'b' }}\"",
        'value: "{{ s.reason if s else none }}"',
        'value: "{{ none if not s else s.reason }}"',
        'value: "{{ s and s.reason }}"',
        'value: "{{ not s or s.urgent }}"',
        'value: "{% if s %}{{ s.reason }}{% endif %}"',
        'value: "{% if not s %}-{% else %}{{ s.reason }}{% endif %}"',
        "value: \"{% if t.kind == 'other' %}-{% elif s %}{{ s.reason }}{% endif %}\"",
        'value: "{{ s.reason }}", when: s',
        'value: "{{ s.reason }}", when: s and s.urgent',
        'value: "{{ s.reason }}", when: s is not skipped',
        'value: "{{ s.reason }}", when: s is not none',
        'value: "{{ s.reason }}", when: s != none',
        'value: "{{ s.reason }}", when: not (s is skipped or input.flag)',
        "value: \"{{ s.reason }}\", when: t.kind == 'billing' and t.urgent",  # implies the condition of s
        "value: 1, when: s is skipped or s.urgent",
        "value: 1, when: s.urgent or s is skipped",
        "value: 1, when: s is not skipped and s.score > 3",
        "value: 1, when: s == none",
        "value: 1, when: s",
        'value: "{{ [s] | select | list }}"',
        "value: \"{{ [s, t] | select | map(attribute='reason') | join }}\"",
        'value: "{{ s.reason | default(t.reason) | upper }}"',
        "value: \"{{ (s.note or 'x') if s else 'y' }}\"",
        'nodes: {inner: {value: "{{ s.reason }}"}}, when: s',
        'parallel: {one: {value: "{{ s.reason }}"}}, when: s',
        'switch: s is skipped, cases: {true: {value: 1}, false: {value: "{{ s.reason }}"}}',
        "switch: t.urgent, cases: {true: {value: 1}, false: {value: 2}}",
    ],
)
def test_null_that_is_dealt_with(codes: Codes, node: str) -> None:
    assert codes(SKIPPED + f"  a: {{{node}}}\n") == []


@pytest.mark.parametrize(
    "node",
    [
        'value: "{{ s.reason }}"',
        'value: "text {{ s }}"',
        'value: "{{ s.score + 1 }}"',
        'value: "{{ s.reason if t else none }}"',
        'value: "{{ none if s else s.reason }}"',
        'value: "{{ s or s.reason }}"',
        'value: "{% if not s %}{{ s.reason }}{% endif %}"',
        'value: "{% if s %}{% endif %}{{ s.reason }}"',
        'value: "{{ s.reason }}", when: not s',
        'value: "{{ s.reason }}", when: s is skipped',
        'value: "{{ s.reason }}", when: s or input.flag',
        'value: "{{ s.reason }}", when: t.urgent',
        "value: 1, when: s.urgent",
        "value: 1, when: s.score > 3",
        "value: 1, when: s is skipped and s.urgent",
        'nodes: {inner: {value: "{{ s.reason }}"}}',
        'switch: s is skipped, cases: {false: {value: 1}, true: {value: "{{ s.reason }}"}}',
        'tool: lookup, with: {customer: "{{ s.note }}"}, when: s',
    ],
)
def test_null_that_is_not_dealt_with(codes: Codes, node: str) -> None:
    assert set(codes(SKIPPED + f"  a: {{{node}}}\n")) == {"maybe-null"}


def test_a_fail_with_the_opposite_condition_proves_what_it_lets_through(codes: Codes) -> None:
    stop = "  stop: {fail: No., when: CONDITION}\n"
    use = '  a: {value: "{{ s.reason }}", needs: [stop]}\n'
    for condition in ("s is skipped", "not s", 'not t.urgent or t.kind == "other"'):
        assert codes(SKIPPED + stop.replace("CONDITION", condition) + use) == []
    assert codes(SKIPPED + stop.replace("CONDITION", "s") + use) == ["maybe-null"]
    beside = use.replace(", needs: [stop]", "")  # it may run before `stop`
    assert codes(SKIPPED + stop.replace("CONDITION", "s is skipped") + beside) == ["maybe-null"]
    caught = stop.replace("CONDITION}", "s is skipped, on_error: continue}")
    assert codes(SKIPPED + caught + use) == ["maybe-null"]
    later = '  b: {value: 1, needs: [stop]}\n  a: {value: "{{ s.reason }}{{ b }}"}\n'
    assert codes(SKIPPED + stop.replace("CONDITION", "s is skipped") + later) == []


@pytest.mark.parametrize(
    "guard",
    [
        "  g: {nodes: {stop: {fail: no note, when: not input.note}}}\n",
        "  g:\n    steps:\n      few: {fail: few, when: input.count < 1}\n"
        "      stop: {fail: no note, when: input.note is none}\n",
        "  g: {parallel: {a: {fail: no note, when: not input.note}, b: {value: 1}}}\n",
        "  g:\n    switch: input.note is none\n    cases: {true: {fail: no note}, false: {value: 1}}\n",
    ],
)
def test_a_fail_inside_a_group_proves_what_it_lets_through(codes: Codes, guard: str) -> None:
    node = '  use: {value: "{{ input.note | upper }}", needs: [g]}\n'
    assert codes("nodes:\n" + guard + node) == []
    last = guard.splitlines()[-1]
    caught = (
        f"{guard}    on_error: continue\n"
        if last.startswith("    ")
        else guard.replace("}\n", ", on_error: continue}\n")
    )
    assert "maybe-null" in codes("nodes:\n" + caught + node)


def test_a_group_that_may_be_skipped_proves_nothing_where_it_is(codes: Codes) -> None:
    guard = "  g: {nodes: {stop: {fail: no note, when: not input.note}}, when: input.flag}\n"
    use = '  use: {value: "{{ input.note | upper }}", needs: [g]WHEN}\n'
    assert codes("nodes:\n" + guard + use.replace("WHEN", ", when: input.flag")) == []
    assert codes("nodes:\n" + guard + use.replace("WHEN", "")) == ["maybe-null"]


def test_of_a_run_that_succeeded_every_node_is_done(codes: Codes) -> None:
    nodes = "nodes:\n" + TRIAGE + "  s: {agent: clerk, prompt: Go., when: t.urgent}\nfinally:\n"
    use = "  use: {value: \"{{ NAME.reason if run.state == 'succeeded' else '' }}\"}\n"
    assert codes(nodes + use.replace("NAME", "t")) == []
    assert codes(nodes + use.replace("NAME", "s")) == ["maybe-null"]
    assert codes(nodes + use.replace("NAME", "t").replace("==", "!=")) == ["maybe-null"]


def test_there_is_a_round_before_each_but_the_first(codes: Codes) -> None:
    loop = (
        "  l:\n    loop: {a: {value: VALUE}}\n    until: a == 9\n    max: 3\n    on_max: continue\n"
        '    output: {n: "{{ index }}"}\n'
    )
    for value in ("previous.n if index > 1 else 0", "0 if index == 1 else previous.n"):
        assert codes("nodes:\n" + loop.replace("VALUE", f'"{{{{ {value} }}}}"')) == []


def test_the_output_waits_for_every_fail(codes: Codes) -> None:
    stop = "  stop: {fail: No., when: s is skipped}\n"
    assert codes(SKIPPED + stop + 'output: "{{ s.reason }}"\n') == []
    assert codes(SKIPPED + 'output: "{{ s.reason }}"\n') == ["maybe-null"]


def test_a_loop_may_filter_what_is_null(codes: Codes) -> None:
    both = "nodes:\n  both: {parallel: {one: {value: {x: [1]}}, two: {value: {x: [2]}}}, on_failure: collect}\n"
    good = '  a: {value: "{% for each in [both.one, both.two] if each %}{{ each.x }}{% endfor %}"}\n'
    assert codes(both + good) == []
    assert codes(both + good.replace(" if each", "")) == ["maybe-null"]
    assert codes(both + '  a: {value: "{{ both.one.x if both.one else both.two }}"}\n') == []


LISTS = """
  found:
    for_each: input.tags
    on_failure: collect
    do: {value: {id: "{{ item }}", note: "{{ input.note }}", n: "{{ index }}", of: {place: "{{ item }}"}}}
"""


@pytest.mark.parametrize(
    "value",
    [
        "found | select | map(attribute='id') | join(', ')",
        "found | reject('none') | map(attribute='of.place') | sort | first | default('')",
        "found | selectattr('n', 'gt', 3) | sum(attribute='n')",
        "found | selectattr('note') | map(attribute='note') | map('upper') | join",
        "found | rejectattr('note', 'none') | map(attribute='note') | map('trim') | join",
        "found | selectattr('note', 'eq', 'x') | map(attribute='note') | sort | join",
        "found | map(attribute='n', default=0) | sum",
        "found | select | map(attribute='note') | map('default', '-') | join",
        "found | select | sort(attribute='of.place') | map(attribute='id') | list",
        "[1, input.count] | max + 1",
        "input.any | map(attribute='x') | sum",
        "input.any | items | list",
        "'x' in input.text and 'x' in input.tags and 'x' in input.any",
        "input.text[:3] ~ input.tags[1:]",
        "input.text > 'a' and input.count <= input.tags | length and input.any > 3",
    ],
)
def test_filters_that_can_do_what_they_do(codes: Codes, value: str) -> None:
    assert codes("nodes:\n" + LISTS.lstrip("\n") + f'  it: {{value: "{{{{ {value} }}}}"}}\n') == []


def test_what_a_filter_leaves_out_is_not_null_for_the_items_either(codes: Codes) -> None:
    each = "  it: {for_each: found | selectattr('note'), do: {value: \"{{ item.note | upper }}\"}}\n"
    assert codes("nodes:\n" + LISTS.lstrip("\n") + each) == []
    kept = each.replace("selectattr('note')", "rejectattr('note')")
    assert codes("nodes:\n" + LISTS.lstrip("\n") + kept) == ["maybe-null", "maybe-null"]


def test_lists_may_be_empty(codes: Codes) -> None:
    for text in ("input.tags[0]", "input.tags | first", "input.tags | last"):
        assert codes(f'nodes:\n  a: {{value: "{{{{ ({text}) ~ 1 }}}}"}}\n') == ["maybe-null"]
        assert codes(f'nodes:\n  a: {{value: "{{% if input.tags %}}{{{{ {text} }}}}{{% endif %}}"}}\n') == []
        assert codes(f'nodes:\n  a: {{value: "{{{{ {text} }}}}"}}\n') == []


def test_any_is_not_followed(codes: Codes) -> None:
    assert codes('nodes:\n  a: {value: "{{ input.any.x.y | upper }}{{ input.any[0].z + 1 }}"}\n') == []


def test_numbers_are_cut_where_they_are_compared(codes: Codes) -> None:
    nodes = "nodes:\n  s: {agent: clerk, prompt: Go., when: input.count > 10}\n"
    assert codes(nodes + '  a: {value: "{{ s.reason }}", when: input.count > 20}\n') == []
    assert codes(nodes + '  a: {value: "{{ s.reason }}", when: input.count >= 10}\n') == ["maybe-null"]
    assert codes(nodes + '  a: {value: "{{ s.reason }}", when: not input.count <= 10}\n') == []
    assert codes(nodes + '  a: {value: "{{ s.reason }}", when: input.count == 11}\n') == []


def test_a_replaced_failure_is_no_null(codes: Codes) -> None:
    use = "on_error: {use: {id: a, urgent: false}}"
    node = f'nodes:\n  s: {{tool: close, with: {{ticket: "1", reason: solved}}, timeout: 1m, {use}}}\n'
    assert codes(node + '  a: {value: "{{ s.id }}", when: s is not failed}\n') == []
    assert codes(node.replace("{id: a, urgent: false}", "null") + '  a: {value: "{{ s.id }}"}\n') == ["maybe-null"]


def test_too_much_to_try_is_not_proved_and_takes_no_time(codes: Codes) -> None:
    flags = [f"input.any.f{at} != input.any.g{at}" for at in range(40)]
    nodes = f"nodes:\n  s: {{agent: clerk, prompt: Go., when: {' and '.join(flags)}}}\n"
    use = '  a: {value: "{{ s.reason }}", when: CONDITION}\n'
    started = time.perf_counter()
    assert codes(nodes + use.replace("CONDITION", " and ".join(flags[:-1]))) == ["maybe-null"]
    assert codes(nodes + use.replace("CONDITION", " and ".join(flags[::-1]))) == []  # the same words
    assert time.perf_counter() - started < 3


# ---------------------------------------------------------------- gates


@pytest.mark.parametrize(
    ("gate", "pay"),
    [
        ("", ", needs: [gate]"),
        ("", ", when: gate is skipped or gate.approved"),
        ("", ", when: gate and input.flag"),
        (", when: input.flag", ", needs: [gate]"),  # when to ask is the author's policy
        (", when: input.flag, on_reject: continue", ", when: gate is skipped or gate.approved"),
        (", when: input.flag, on_reject: continue", ", when: gate.approved or gate is skipped"),
        (", when: input.flag, on_reject: continue", ", when: not gate or gate.approved"),
        (", when: input.flag, on_reject: continue", ", when: gate and gate.approved and input.count > 3"),
        (", on_reject: continue", ", when: gate.approved"),
        (", on_reject: continue", ", when: gate.approved == true"),
        (", on_reject: continue", ", when: not (not gate.approved)"),
        (", on_reject: continue, on_error: continue", ", when: gate and gate.approved"),
        (", timeout: 1h, on_timeout: reject, on_reject: continue", ", when: gate.approved"),
    ],
)
def test_a_guarded_tool(codes: Codes, gate: str, pay: str) -> None:
    assert codes("nodes:\n" + GATE.replace("GATE", gate) + PAY.replace("PAY", pay)) == []


@pytest.mark.parametrize(
    ("gate", "pay"),
    [
        ("", ""),
        (", on_reject: continue", ", needs: [gate]"),
        (", on_error: continue", ", needs: [gate]"),
        (", on_error: continue", ", when: gate is not failed or true"),
        (", on_reject: continue", ", when: gate.outcome != 'rejected'"),
        (", on_reject: continue", ", when: gate.approved or input.flag"),
        (", on_reject: continue", ", when: not gate.approved"),
        (", when: input.flag, on_reject: continue", ", when: gate is skipped or input.count > 1"),
        (
            ", on_reject: continue, on_error: continue",
            ", when: not gate or gate.approved",
        ),  # a failed gate is no consent
    ],
)
def test_an_unguarded_tool(codes: Codes, gate: str, pay: str) -> None:
    assert codes("nodes:\n" + GATE.replace("GATE", gate) + PAY.replace("PAY", pay)) == ["unguarded-tool"]


def test_a_gate_around_or_before_a_group_guards_what_is_inside(codes: Codes) -> None:
    pay = PAY.replace("PAY", "").strip().removeprefix("done: ")
    gate = "nodes:\n" + GATE.replace("GATE", "")
    assert codes(gate + f"  group: {{nodes: {{inner: {pay}}}, needs: [gate]}}\n") == []
    assert codes(gate + f"  group: {{parallel: {{one: {pay}}}, needs: [gate]}}\n") == []
    assert (
        codes(
            gate + f"  a: {{value: 1, needs: [gate]}}\n  group: {{steps: {{b: {{value: 1}}, c: {pay}}}, needs: [a]}}\n"
        )
        == []
    )
    assert codes(gate + f"  group: {{nodes: {{inner: {pay}}}}}\n") == ["unguarded-tool"]
    weak = "nodes:\n" + GATE.replace("GATE", ", on_reject: continue")
    assert codes(weak + f"  group: {{nodes: {{inner: {pay}}}, when: gate.approved}}\n") == []
    assert codes(weak + f"  group: {{switch: gate.approved, cases: {{true: {pay}, false: {{value: 1}}}}}}\n") == []
    assert codes(weak + f"  group: {{switch: gate.approved, cases: {{false: {pay}, true: {{value: 1}}}}}}\n") == [
        "unguarded-tool"
    ]


def test_a_gate_inside_a_group_guards_what_waits_for_the_group(codes: Codes) -> None:
    group = "nodes:\n  group: {nodes: {" + GATE.replace("GATE", "").strip() + "}ALSO}\n"
    pay = PAY.replace("PAY", ", needs: [group]")
    assert codes(group.replace("ALSO", "") + pay) == []
    assert codes(group.replace("ALSO", ", on_error: continue") + pay) == ["unguarded-tool"]
    fan = "nodes:\n  group: {parallel: {" + GATE.replace("GATE", "").strip() + ", other: {value: 1}}ALSO}\n"
    assert codes(fan.replace("ALSO", "") + pay) == []
    assert codes(fan.replace("ALSO", ", join: any") + pay) == ["unguarded-tool"]
    assert codes(fan.replace("ALSO", ", on_failure: collect") + pay) == ["unguarded-tool"]


def test_a_rejected_gate_guards_nothing_that_its_failure_runs(codes: Codes) -> None:
    pay = PAY.replace("PAY", "").strip().removeprefix("done: ")
    nodes = "nodes:\n" + GATE.replace("GATE", f", on_error: {{run: {pay}}}")
    assert "unguarded-tool" in codes(nodes)


FORM = "  gate: {approval: Go on?, approvers: [desk], on_reject: continue, form: {limit: number}MORE}\n"


def test_who_approves_fills_in_the_form(codes: Codes) -> None:
    use = '  use: {value: "{{ gate.form.limit + 1 }}", when: WHEN}\n'
    for when in ("gate.approved", 'gate.outcome == "approved"'):
        assert codes("nodes:\n" + FORM.replace("MORE", "") + use.replace("WHEN", when)) == []
    by_time = FORM.replace("MORE", ", timeout: 1h, on_timeout: approve")
    assert codes("nodes:\n" + by_time + use.replace("WHEN", "gate.approved")) == ["maybe-null"]
    assert codes("nodes:\n" + by_time + use.replace("WHEN", 'gate.outcome == "approved"')) == []
    assert codes("nodes:\n" + FORM.replace("MORE", "") + use.replace("WHEN", "not gate.approved")) == ["maybe-null"]


def test_the_outcome_says_whether_it_was_approved(codes: Codes) -> None:
    gate = GATE.replace("GATE", ", on_reject: continue")
    pay = PAY.replace("PAY", ", when: 'gate.outcome OP \"WORD\"'")
    assert codes("nodes:\n" + gate + pay.replace("OP", "==").replace("WORD", "approved")) == []
    assert codes("nodes:\n" + gate + pay.replace("OP", "!=").replace("WORD", "approved")) == ["unguarded-tool"]
    assert codes("nodes:\n" + gate + pay.replace("OP", "!=").replace("WORD", "rejected")) == ["unguarded-tool"]


def test_a_fail_after_a_refusal_guards(codes: Codes) -> None:
    nodes = (
        "nodes:\n" + GATE.replace("GATE", ", on_reject: continue") + "  stop: {fail: No., when: not gate.approved}\n"
    )
    assert codes(nodes + PAY.replace("PAY", ", needs: [stop]")) == []
    assert codes(nodes + PAY.replace("PAY", ", needs: [gate]")) == ["unheeded-gate", "unguarded-tool"]


# ---------------------------------------------------------------- scopes, switches, types


CLOSED = '  done: {tool: close, with: {ticket: "1", reason: solved}, MORE}\n'
ASKED = "  sure: {approval: Close it?, approvers: [desk]MORE}\n"


@pytest.mark.parametrize(
    "nodes",
    [
        "  g:\n    nodes:\n      sure: {approval: Close it?, approvers: [desk]}\n"
        + CLOSED.replace("MORE", "needs: [g]"),
        "  g:\n    nodes:\n      bad: {fail: no, when: input.flag}\n" + CLOSED.replace("MORE", "needs: [g]"),
        ASKED.replace("MORE", ", on_reject: continue") + '  a: {value: "{{ sure.approved }}"}\n',
        ASKED.replace("MORE", ""),
        "  which: {ask: Which?, form: {account: string}}\n",
        "  s:\n    switch: input.flag\n    cases:\n      true: {approval: Go?, approvers: [desk]}\n"
        "      false: {tool: close, with: {ticket: a, reason: solved}}\n",
        "  l:\n    loop: {sure: {approval: Done?, approvers: [desk], on_reject: continue}, n: {value: 1}}\n"
        "    until: sure.approved\n    max: 3\n    on_max: continue\n    output: {n: 1}\n",
    ],
)
def test_a_question_that_something_heeds(codes: Codes, nodes: str) -> None:
    assert codes("nodes:\n" + nodes) == []


def test_names_are_seen_from_inside_and_not_from_outside(codes: Codes) -> None:
    nodes = "nodes:\n" + TRIAGE
    assert (
        codes(nodes + '  g: {nodes: {x: {value: "{{ t.reason }}"}, y: {value: "{{ x }}"}}, output: "{{ y }}"}\n') == []
    )
    assert codes(nodes + '  g: {nodes: {x: {value: 1}}}\n  h: {value: "{{ g + 1 }}"}\n') == []
    assert codes(nodes + '  g: {nodes: {x: {value: 1}, y: {value: 2}}}\n  h: {value: "{{ g.x + g.y }}"}\n') == []
    assert codes(nodes + '  g: {parallel: {x: {value: 1}, y: {value: "{{ x }}"}}}\n') == ["unknown-name"]
    assert codes(nodes + '  g: {nodes: {x: {value: 1}}}\n  h: {value: "{{ x }}"}\n') == ["unknown-name"]


def test_the_error_is_known_where_it_is_caught(codes: Codes) -> None:
    call = 'nodes:\n  s: {tool: close, with: {ticket: "1", reason: solved}, timeout: 1m, on_error: CATCH}\n'
    run = "{run: {value: {id: \"{{ error.message }} {{ error.node | default('-') }}\", urgent: true}}}"
    assert codes(call.replace("CATCH", run)) == []
    assert codes(call.replace("CATCH", '{use: {id: "{{ error.kind }}", urgent: true}}')) == []
    assert codes(call.replace("CATCH", '{use: {id: "{{ error.knd }}", urgent: true}}')) == ["unknown-field"]
    assert codes(call.replace("CATCH", '{use: "{{ error.message }}"}')) == ["wrong-replacement"]


def test_a_compensation_sees_arguments_and_result(codes: Codes) -> None:
    call = (
        'nodes:\n  s:\n    tool: close\n    with: {ticket: "1", reason: solved}\n'
        '    compensate: {tool: lookup, with: {customer: "{{ WHAT }}"}}\n'
    )
    assert codes(call.replace("WHAT", "args.ticket")) == []
    assert codes(call.replace("WHAT", "result.id")) == []
    assert codes(call.replace("WHAT", "result.nope")) == ["unknown-field"]
    assert codes(call.replace("WHAT", "input.text")) == []


def test_a_switch_over_words(codes: Codes) -> None:
    switch = "nodes:\n" + TRIAGE + "  w: {switch: SUBJECT, cases: {CASES}REST}\n"

    def of(subject: str, cases: str, rest: str = "") -> list[str]:
        return codes(switch.replace("SUBJECT", subject).replace("CASES", cases).replace("REST", rest))

    three = "billing: {value: 1}, technical: {value: 2}, other: {value: 3}"
    assert of("t.kind", three) == []
    assert of("t.kind", "billing: {value: 1}", ", default: {value: 2}") == []
    assert of("t.kind", three, ", default: {value: 2}") == []
    assert of("t.kind", "billing: {value: 1}, technical: {value: 2}") == ["incomplete-switch"]
    assert of("\"'big' if input.count > 3 else 'small'\"", "big: {value: 1}, small: {value: 2}") == []
    assert of("\"'big' if input.count > 3 else 'small'\"", "big: {value: 1}") == ["incomplete-switch"]
    assert of("t.urgent", "true: {value: 1}, false: {value: 2}") == []
    assert of("input.count > 3", "true: {value: 1}") == ["incomplete-switch"]
    assert of("input.count", "1: {value: 1}", ", default: {value: 2}") == []
    assert of("input.count", "1: {value: 1}") == ["incomplete-switch"]
    assert of("input.count", "one: {value: 1}", ", default: {value: 2}") == ["unknown-case"]
    assert of("t.note", "a: {value: 1}", ", default: {value: 2}") == []


def test_the_value_of_a_switch_is_one_of_the_cases(codes: Codes) -> None:
    switch = (
        "nodes:\n" + TRIAGE + "  w: {switch: t.urgent, cases: {true: {value: {x: 1, y: 2}}, false: {value: {x: a}}}}\n"
    )
    assert codes(switch + '  a: {value: "{{ w.x }}"}\n') == []
    assert codes(switch + '  a: {value: "{{ w.z }}"}\n') == ["unknown-field"]
    assert codes(switch + '  a: {value: "{{ w.y }}"}\n') == ["maybe-null"]
    assert codes(switch + '  a: {value: "{{ w.y | default(0) }}"}\n') == []


def test_types_are_followed_through_values_and_forms(codes: Codes) -> None:
    nodes = "nodes:\n  v: {value: {a: [{b: 1}], c: text}}\n"
    assert codes(nodes + '  a: {value: "{{ v.c ~ (v.a | length) }}"}\n') == []
    assert codes(nodes + '  a: {value: "{% for each in v.a %}{{ each.b + 1 }}{% endfor %}"}\n') == []
    assert codes(nodes + '  a: {value: "{% for each in v.a %}{{ each.d }}{% endfor %}"}\n') == ["unknown-field"]
    assert codes(nodes + '  a: {value: "{{ v.d }}"}\n') == ["unknown-field"]
    form = "nodes:\n" + GATE.replace("GATE", ", form: {why: string}")
    assert codes(form + '  a: {value: "{{ gate.form.why if gate.form else none }}"}\n') == []
    assert codes(form + '  a: {value: "{{ gate.form.why }}"}\n') == []  # it was approved, else the run had ended
    assert codes(form + '  a: {value: "{{ gate.form.what | default(1) }}"}\n') == ["unknown-field"]
    assert codes(form + "  a: {value: 1, when: gate.outcome == 'timed_out'}\n") == ["impossible-comparison"]


def test_every_mistake_is_found_at_once(codes: Codes) -> None:
    nodes = "nodes:\n" + TRIAGE + '  a: {value: "{{ t.nope }} {{ nope }} {{ t.note }} {{ t | nope }}"}\n'
    assert codes(nodes) == ["unknown-filter"]
    nodes = "nodes:\n" + TRIAGE + '  a: {value: "{{ t.nope }} {{ nope }} {{ t.note }}"}\n'
    assert codes(nodes) == ["unknown-field", "unknown-name", "maybe-null"]


def test_a_long_chain_of_values_is_typed_without_recursion(codes: Codes) -> None:
    lines = ["  n0: {value: 1}"] + [f'  n{at}: {{value: "{{{{ n{at - 1} + 1 }}}}"}}' for at in range(1, 2000)]
    assert codes("nodes:\n" + "\n".join(reversed(lines)) + "\n") == []


def test_a_long_cycle_is_shown_in_part(codes: Codes) -> None:
    lines = [f'  n{at}: {{value: "{{{{ n{(at + 1) % 2000} }}}}"}}' for at in range(2000)]
    assert codes("nodes:\n" + "\n".join(lines) + "\n") == ["cycle"]


def test_a_case_that_fails_yields_nothing(codes: Codes) -> None:
    cases = 'true: {value: "{{ input.text }}"}, false: {fail: Not so.WHEN}'
    body = "nodes:\n  s: {switch: input.flag, cases: {" + cases + '}}\n  u: {value: "{{ s | upper }}"}\n'
    assert codes(body.replace("WHEN", "")) == []
    assert codes(body.replace("WHEN", ", when: input.count > 1")) == ["maybe-null"]


def test_a_loop_may_hand_on_what_it_was_given(codes: Codes) -> None:
    loop = 'nodes:\n  l: {loop: {a: {value: 1}}, until: a > index, max: 3, output: "OUTPUT"}\n'
    for output in ("{{ previous }}", "{{ previous | default(a) }}", "{{ [previous] }}"):
        assert codes(loop.replace("OUTPUT", output)) == []
