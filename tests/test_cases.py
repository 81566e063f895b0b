"""Each mistake in a test file has its message at its place; and how outcomes are held against what is expected."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agentflow.cli import main
from agentflow.codegen.invocations import everything
from agentflow.testing.cases import EXPECTED, KEYS, STATES, bare, read_cases, static
from agentflow.testing.expect import compared, duration
from agentflow.testing.run import Suite, collect, programs_of
from agentflow.testing.stubs import VERBS
from agentflow.types import Json

ROOT = Path(__file__).parents[1]
CLAIM = ROOT / "graphs" / "claim.yaml"
INPUT = '{claim_id: "1", holder: Ada, amount: 200, text: x}'


def case(*lines: str, expect: str = "{state: succeeded}") -> str:
    body = [f"    input: {INPUT}", *(f"    {line}" for line in lines), f"    expect: {expect}"]
    return "cases:\n  one:\n" + "\n".join(body) + "\n"


WRONG = [
    ("cases: []\n", "wrong-type", "[]", '"cases" must be a mapping from the names of cases to cases'),
    ("cases: {}\ntests: {}\n", "unknown-key", "tests", 'a test file has no key "tests"'),
    ("cases: {one: 3}\n", "wrong-type", "3", '"one" must be a mapping'),
    (f"cases: {{one: {{input: {INPUT}}}}}\n", "missing-key", "one", 'the case "one" lacks "expect"'),
    (case("inputs: {}"), "unknown-key", "inputs", 'the case "one" has no key "inputs"'),
    (case("now: yesterday"), "bad-time", "yesterday", '"yesterday" is not a time with its zone'),
    (case("cancel: 3"), "bad-duration", "cancel: 3", "a duration needs a unit"),
    (
        "cases: {one: {input: {holder: Ada}, expect: {state: succeeded}}}\n",
        "argument-type",
        "input",
        'lacks "claim_id"',
    ),
    ("cases: {one: {expect: {state: succeeded}}}\n", "argument-type", "one", 'it lacks "claim_id"'),
    (case("messages: [{input: {}}]"), "unknown-key", "messages", 'the case "one" has no key "messages"'),
    (case(expect="{kept: {}}"), "unknown-key", "kept", '"expect" has no key "kept"'),
    # tools
    (case("tools: {pya: {return: null}}"), "unknown-tool", "pya", 'there is no tool "pya"'),
    (case("tools: {pay: {id: p1}}"), "no-verb", "{id: p1}", "here is none"),
    (case("tools: {pay: {return: 1, error: no}}"), "several-verbs", "{return: 1", "here is return and error"),
    (case("tools: {pay: {return: {amount: much}}}"), "argument-type", "{amount: much}", "amount must be a number"),
    (case("tools: {pay: {return: {ammount: 1}}}"), "argument-type", "{ammount: 1}", 'no field "ammount"'),
    (case("tools: {pay: {return: 1}}"), "argument-type", "1}}", "this is not what pay returns"),
    (case("tools: {pay: []}"), "wrong-type", "[]", '"pay" must be an entry, or a list of some'),
    (case("tools: {pay: {real: yes}}"), "wrong-type", "yes", '"real" must be true'),
    (case("tools: {pay: {error: no, times: 2}}"), "misplaced-key", "times", '"times" belongs to "raise"'),
    (case("tools: {pay: {raise: no, times: 0}}"), "out-of-range", "0}}", '"times" is from 1 to 1000'),
    (case("tools: {pay: {return: {}, delay: long}}"), "bad-duration", "long", "not a duration"),
    (case("tools: {pay: {fail: {code: 99, message: x}}}"), "out-of-range", "99", '"code" is from 400 to 599'),
    (case("tools: {pay: {return: {}, wenn: 1}}"), "unknown-key", "wenn", 'has no key "wenn"'),
    (case("tools: {pay: {return: {id: '{{ arg.x }}'}}}"), "unknown-name", "'{{ arg.x }}'", 'there is no "arg" here'),
    (case("tools: {pay: {if: 'args.', return: {}}}"), "template-syntax", "'args.'", ""),
    # models
    (case("replies: {adjustr: [{say: x}]}"), "unknown-agent", "adjustr", 'no agent and no node "adjustr"'),
    (case("replies: {adjuster: [{says: x}]}"), "bad-reply", "says", 'unknown key "says"'),
    (case("replies: {adjuster: {say: x}}"), "bad-reply", "{say: x}", "expected a list of replies"),
    # people
    (case("approvals: {sign_of: approve}"), "unknown-name", "sign_of", 'there is no node "sign_of"'),
    (case("approvals: {payment: approve}"), "not-a-node", "payment", '"payment" is no approval: it is a tool node'),
    (case("approvals: {sign_off: yes}"), "wrong-type", "yes", "must be one of approve, reject, silence"),
    (case("approvals: {sign_off: {approve: {when: 3h}}}"), "unknown-key", "when", 'has no key "when"'),
    (case("approvals: {sign_off: {approve: {after: 3}}}"), "bad-duration", "3}}}", "a duration needs a unit"),
    (case("approvals: {sign_off: [approve, no]}"), "wrong-type", "no]", "must be one of approve, reject"),
    (case("events: {name: x}"), "wrong-type", "{name: x}", '"events" must be a list of {name, data, after}'),
    (case("events: [{data: 1}]"), "missing-key", "{data: 1}", 'an event lacks "name"'),
    # what is expected
    (case(expect="{}"), "empty-block", "{}", '"expect" expects nothing'),
    (case(expect="{stat: failed}"), "unknown-key", "stat", '"expect" has no key "stat"'),
    (case(expect="{state: done}"), "bad-choice", "done", '"state" is one of succeeded, failed'),
    (case(expect="{skipped: [sign_of]}"), "unknown-name", "sign_of", 'there is no node "sign_of"'),
    (case(expect="{skipped: sign_off}"), "wrong-type", "sign_off", '"skipped" must be a list of nodes'),
    (case(expect="{nodes: {x: failed}}"), "unknown-name", "x:", 'there is no node "x"'),
    (case(expect="{calls: {pya: 0}}"), "unknown-tool", "pya", 'there is no tool "pya"'),
    (case(expect="{calls: {pay: never}}"), "wrong-type", "never", "must be a number of calls, or the list"),
    (case(expect="{undone: payment}"), "wrong-type", "payment}", '"undone" must be a list'),
    (case(expect="{nodes: {payment: finished}}"), "bad-choice", "finished", "a node is one of running, waiting"),
    (case(expect="{spent: {money: 3}}"), "unknown-key", "money", 'nothing that is called "money" is spent'),
    ("cases: {7: {}}\n", "wrong-type", "7", "the name of a case must be text"),
    (
        case("tools: {pay: {return: {}, state: {x: 1}}}"),
        "misplaced-key",
        "state",
        '"state" belongs to "return", of a tool that takes the state of an object',
    ),
    (case(expect="{elapsed: 28}"), "bad-duration", "28", "a duration needs a unit"),
    (case(expect="{error: {kinds: tool}}"), "unknown-key", "kinds", '"error" has no key "kinds"'),
]


@pytest.mark.parametrize(("text", "code", "place", "message"), WRONG, ids=[f"{w[1]}-{w[2][:20]}" for w in WRONG])
def test_a_mistake_in_a_test_is_told_at_its_place(
    text: str, code: str, place: str, message: str, tmp_path: Path
) -> None:
    file = tmp_path / "claim.test.yaml"
    file.write_text(text)
    program = next(iter(collect([str(CLAIM)]).programs.values()))
    _, problems, _ = read_cases(file, CLAIM, [program])
    assert [problem.code for problem in problems] == [code], problems
    span = problems[0].span
    line = text.splitlines()[span.line - 1]
    assert message in problems[0].message, problems[0].message
    assert line[span.column - 1 :].startswith(place) or place in line[: span.column + 20], (line, span)


@pytest.mark.parametrize(
    ("graph", "text", "message", "help"),
    [
        (
            "checks",
            "tools: {all: {return: {}}}\ncases: {}\n",
            'nothing stands in for "all": it runs several tools at once',
            "say what these do: address, credit, sanctions",
        ),
        (
            "refund_desk",
            "tools: {fraud: {return: {}}}\ncases: {}\n",
            'nothing stands in for "fraud": it runs the graph "fraud"',
            "say what the models and tools of fraud do",
        ),
        (
            "claim_remote",
            "tools: {doctor: {return: {ok: true}}}\ncases: {}\n",
            'nothing stands in for "doctor": it calls "medical_review/run"',
            'say what that gives: services: {"medical_review/run": {return: ...}}',
        ),
    ],
)
def test_nothing_stands_in_for_tools_that_do_nothing_themselves(
    graph: str, text: str, message: str, help: str, tmp_path: Path
) -> None:
    file = tmp_path / f"{graph}.test.yaml"
    file.write_text(text)
    path = ROOT / "graphs" / f"{graph}.yaml"
    _, problems, _ = read_cases(file, path, programs_of(path, Suite()))
    assert [(problem.code, problem.message, problem.help) for problem in problems] == [("misplaced-key", message, help)]


def test_the_cases_of_the_documentation_are_right(tmp_path: Path) -> None:
    program = programs_of(CLAIM, Suite())
    blocks = re.findall(r"^```yaml\n(.*?)\n```$", (ROOT / "docs" / "testing.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 3
    for number, block in enumerate(blocks):
        file = tmp_path / f"claim.{number}.test.yaml"
        file.write_text(block)
        cases, problems, _ = read_cases(file, CLAIM, program)
        assert cases and not problems, (block, problems)


def test_the_documentation_names_all_that_a_case_may_say() -> None:
    text = (ROOT / "docs" / "testing.md").read_text()
    for key in (*KEYS, *EXPECTED, *STATES, *VERBS):
        assert f"`{key}`" in text or f"`{key}:" in text or re.search(rf"`[^`]*\b{key}\b[^`]*`", text), key


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nothing"], "there is no graphs/nothing.test.yaml"),
        (["graphs/none.test.yaml"], 'there is no file "graphs/none.yaml"'),
        (["claim", "-k", "no such case"], "no case has 'no such case' in its name"),
        (["claim", "--junit", "no/such/folder.xml"], "--junit: there is no folder to write no/such/folder.xml to"),
    ],
)
def test_what_cannot_be_found_is_said(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["test", *arguments]) in (1, 2)
    assert told in capsys.readouterr().err


def test_a_file_that_is_no_yaml_is_told_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "claim.yaml").write_text(CLAIM.read_text())
    (tmp_path / "tools").symlink_to(ROOT / "tools")
    (tmp_path / "claim.test.yaml").write_text("cases: {a: [\n")
    assert main(["test", str(tmp_path / "claim.test.yaml")]) == 1
    assert "error[yaml-syntax]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wanted", "got", "places"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, []),  # mappings are subsets
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}, []),
        ({"a": None}, {}, []),
        ({"a": 1}, {}, [("a",)]),
        ([1, 2], [1, 2], []),
        ([1], [1, 2], [()]),  # lists are as long
        ([{"a": 1}], [{"a": 1, "b": 2}], []),
        ([1, 3], [1, 2], [(1,)]),
        (5000, 5000.0, []),
        (True, 1, [()]),
        (1, True, [()]),
        ("1", 1, [()]),
        (None, "x", [()]),
        ({"contains": "ell"}, "hello", []),
        ({"contains": "x"}, "hello", [("contains",)]),
        ({"contains": "x"}, {"contains": "x"}, []),
        ({"a": 1}, "text", [()]),
        ([], {}, [()]),
    ],
)
def test_how_values_are_held_against_each_other(wanted: Json, got: Json, places: list[tuple[object, ...]]) -> None:
    assert [miss.place for miss in compared((), wanted, got)] == places


@pytest.mark.parametrize(
    ("milliseconds", "told"),
    [(0, "0s"), (500, "500ms"), (28 * 3_600_000, "28h"), (90 * 60_000, "1h30m"), (30 * 86_400_000, "30d")],
)
def test_how_long_it_took_is_told_shortly(milliseconds: int, told: str) -> None:
    assert duration(milliseconds) == told


def test_a_node_is_known_without_the_numbers_of_its_place() -> None:
    suite = Suite()
    research = programs_of(ROOT / "graphs" / "research.yaml", suite)[0]
    nodes = {node.path: node for node in everything(research)}
    assert static("findings[3].reading.read_source#2", nodes) == "findings.do.reading.read_source"
    assert static("findings[3]", nodes) == "findings.do" and static("findings", nodes) == "findings"
    assert static("improve[3].write", nodes) == bare("improve[3].write") == "improve.write"
