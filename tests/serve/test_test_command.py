"""`agentflow test`: the examples' cases pass, and a case that should fail does, saying where and why."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from tied import tied

from agentflow.serve.errors import ServeError
from agentflow.serve.stand import Stand

ROOT = Path(__file__).parents[2]


def run(
    folder: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`agentflow test` in a folder; what it prints on both streams."""
    return subprocess.run(
        [sys.executable, "-m", "agentflow", "test", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )


def test_the_cases_of_the_examples_pass() -> None:
    done = run(ROOT, "--coverage")
    assert done.returncode == 0, done.stdout
    tested = {line.split()[1].rstrip(":") for line in done.stdout.splitlines() if line.startswith("passed")}
    graphs = {path.stem for path in (ROOT / "graphs").glob("*.yaml") if "." not in path.stem}
    assert tested == graphs, "each example has cases"


GRAPH = """agentflow: 1
graph: desk
input: {name: string, amount: {type: number, default: 5, optional: true}}
models: {default: gemini-2.5-flash}
tools:
  look: {python: "tools.desk:look", effect: read}
  act: {python: "tools.desk:act", compensate: {tool: undo, with: {id: "{{ result.id }}"}}}
  undo: {python: "tools.desk:undo"}
agents:
  clerk: {instruction: You help., tools: [look, act]}
nodes:
  greet: {agent: clerk, prompt: "{{ input.name }}"}
  gate:
    approval: "May I?"
    when: input.amount > 10
    approvers: [ann, bob]
    timeout: 2h
    on_timeout: reject
    form: {limit: number}
  open_end: {approval: "Really?", approvers: [ann], when: input.amount > 100, needs: [gate]}
  done: {tool: act, with: {name: "{{ input.name }}"}, needs: [open_end], retry: {attempts: 3}}
output: {greeting: "{{ greet }}", id: "{{ done.id }}", limit: "{{ gate.form.limit | default(none) }}"}
"""
TOOLS = '''
def look(name: str) -> str:
    """Looks."""
    return f"seen {name}"

def act(name: str) -> dict:
    """Acts."""
    raise AssertionError("the tool itself was called")

def undo(id: str) -> None:
    """Undoes."""
    raise AssertionError("the tool itself was called")
'''
REPLIES = """
clerk:
  - if: "'look' in prompt"
    call: {tool: look, with: {name: x}}
  - if: "'wrong' in prompt"
    call: {tool: act, with: {nam: x}}
  - say: hello
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    for name in ("graphs", "tools"):
        (folder / name).mkdir()
    (folder / "graphs" / "desk.yaml").write_text(GRAPH)
    (folder / "graphs" / "desk.replies.yaml").write_text(REPLIES)
    (folder / "tools" / "__init__.py").touch()
    (folder / "tools" / "desk.py").write_text(TOOLS)
    return folder


def written(project: Path, text: str) -> Path:
    file = project / "graphs" / "desk.test.yaml"
    file.write_text(text)
    return file


FAILING = """cases:
  right:
    input: {name: Ada}
    tools: {act: {return: {id: "a-{{ args.name }}"}}}
    expect: {state: succeeded, output: {id: a-Ada, greeting: hello}, skipped: [gate, open_end], elapsed: 0s}
  wrong_state:
    input: {name: Ada}
    tools: {act: {fail: "no\\x01"}}
    expect: {state: succeeded}
  wrong_output:
    input: {name: Ada}
    tools: {act: {return: {id: a}}}
    expect: {output: {id: b, greeting: {contains: bye}}}
  not_stubbed:
    input: {name: Ada}
    expect: {state: succeeded}
  nobody_is_there:
    input: {name: Ada, amount: 200}
    approvals: {gate: {approve: {form: {limit: 3}}}}
    expect: {state: succeeded}
  a_form_that_does_not_fit:
    input: {name: Ada, amount: 20}
    tools: {act: {return: {id: a}}}
    approvals: {gate: {approve: {form: {limit: much}}}}
    expect: {state: rejected, elapsed: 2h}
  too_often:
    input: {name: Ada}
    tools: {act: [{raise: broken, times: 1}, {return: {id: a}}]}
    expect: {calls: {act: 0}, elapsed: 1s}
  not_skipped:
    input: {name: Ada, amount: 20}
    tools: {act: {return: {id: a}}}
    approvals: {gate: {approve: {by: bob, form: {limit: 3}, after: 1h30m}}}
    expect: {skipped: [gate], output: {limit: 3}, elapsed: 1h30m}
  it_waits_for_a_person:
    input: {name: Ada, amount: 200}
    approvals: {gate: {approve: {form: {limit: 3}, after: 1h}}}
    expect: {state: waiting, waiting: [open_end]}
  the_model_is_told_of_wrong_arguments:
    input: {name: wrong}
    tools: {act: {return: {id: a}}}
    expect: {state: succeeded, calls: {act: 1}, spent: {model_calls: 2}}
  a_tool_that_reads_is_itself:
    input: {name: look}
    tools: {act: {return: {id: a}}}
    expect: {state: succeeded, calls: {look: [{name: x}]}}
"""


def test_each_kind_of_failure_is_told_at_its_line(project: Path) -> None:
    file = written(project, FAILING)
    done = run(project, "desk", "--junit", "results.xml", "--coverage")
    assert done.returncode == 1, done.stdout
    lines = FAILING.splitlines()

    def told(case: str, expected: str, at: str) -> None:
        """`case` fails with a note at the line, of its own, that holds `at`."""
        begins = lines.index(f"  {case}:")
        number = next(n for n, line in enumerate(lines, 1) if n > begins and at in line)
        assert f"FAILED  desk: {case}" in done.stdout
        assert f"--> graphs/desk.test.yaml:{number}:" in done.stdout, done.stdout
        assert expected in done.stdout, done.stdout

    told("wrong_state", 'expected "succeeded", got "failed"', "expect:")
    assert "help: the run ended failed (500): done: no" in done.stdout
    told("wrong_output", 'expected "b", got "a"', "expect:")
    assert 'expected a text with "bye" in it, got "hello"' in done.stdout
    told("not_stubbed", "act is not part of this case", "expect:")
    told("nobody_is_there", "it waits for open_end without end", "expect:")
    told("a_form_that_does_not_fit", "gate refused it: the form does not fit: at $.limit", "approvals:")
    told("too_often", "expected 0, got 1", "expect:")
    assert "expected 1s, got 500ms" in done.stdout
    told("not_skipped", 'expected ["gate"], got ["open_end"]', "expect:")
    right = {"right", "it_waits_for_a_person", "the_model_is_told_of_wrong_arguments", "a_tool_that_reads_is_itself"}
    assert {line.split()[-1] for line in done.stdout.splitlines() if line.startswith("passed ")} == right
    assert "4 passed, 7 failed in " in done.stdout
    suite = ElementTree.parse(project / "results.xml").getroot()[0]
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("desk", "11", "7")
    failed = {case.get("name"): case for case in suite if case.find("failure") is not None}
    assert failed["wrong_state"].get("line") == str(lines.index("  wrong_state:") + 1)
    failure = failed["wrong_state"].find("failure")
    assert failure is not None and 'expected "succeeded", got "failed"' in (failure.text or "")
    assert all(len(case.findall("failure")) == 1 for case in failed.values())
    assert "done: no\ufffd" in (failure.text or ""), "what XML cannot say"
    assert "coverage of desk: " in done.stdout and "gate      never rejected" in done.stdout
    assert file.is_file()


RACE = """agentflow: 1
graph: race
input: {message: string}
models: {default: {model: gemini-2.5-flash, retry: {attempts: 3, initial: 1s}}}
tools:
  act: {python: "tools.desk:act", timeout: 10s, retry: {attempts: 2, initial: 5s}}
  slow: {python: "tools.desk:act", compensate: {tool: undo, with: {id: "{{ result.id }}"}}}
  undo: {python: "tools.desk:undo"}
agents:
  hare: {instruction: You run.}
  snail: {instruction: You crawl.}
nodes:
  first:
    parallel:
      hare: {agent: hare, prompt: Run.}
      snail: {agent: snail, prompt: Crawl.}
      step: {tool: slow, with: {name: step}}
    join: first
  asked:
    when: input.message == "ask"
    agent: snail
    prompt: Well?
    timeout: 30m
    on_error: continue
    needs: [first]
  tried: {tool: act, with: {name: x}, when: input.message == "try", on_error: continue, needs: [asked]}
  one: {tool: slow, with: {name: one}, needs: [tried]}
  two: {tool: slow, with: {name: two}, needs: [one]}
  gate: {approval: Well?, approvers: [ann], timeout: 1d, on_timeout: fail, needs: [two], when: input.message == "gate"}
  last: {fail: The end., needs: [gate]}
limits: {time: 20d}
"""
IN_TIME = """
replies: {hare: [{delay: 1h, say: here}], snail: [{delay: 5h, say: there}]}
tools: {slow: {return: {id: "{{ args.name }}"}, delay: 2h}, undo: {return: null}}
cases:
  the_faster_wins_and_the_slower_take_no_time:
    input: {message: x}
    expect: {nodes: {first.hare: succeeded, first.snail: cancelled}, undone: [undo, undo, undo], elapsed: 6h}
  a_time_limit_is_exact:
    input: {message: ask}
    expect: {nodes: {asked: {state: failed, error: {kind: timeout}}}, elapsed: 6h30m}
  tries_and_the_pauses_between_them_take_their_time:
    input: {message: try}
    tools: {act: {return: {id: x}, delay: 10s}}
    expect: {nodes: {tried: {state: failed, error: {kind: timeout, code: 504}}}, calls: {act: 1}, elapsed: 6h25s}
  what_is_done_is_undone_in_reverse:
    input: {message: gate}
    expect:
      state: rejected
      undone: [first.step, two, one]    # who lost the race, then
      calls: {undo: [{id: step}, {id: two}, {id: one}]}
      elapsed: 30h
  the_runs_own_limit_is_exact:
    input: {message: gate}
    replies: {hare: [{delay: 19d, say: x}], snail: [{delay: 30d, say: x}]}
    tools: {slow: {return: {id: x}, delay: 21d}}
    expect: {error: {kind: limit, code: 504}, elapsed: 20d}
"""


def test_time_is_exact_whatever_races(project: Path) -> None:
    (project / "graphs" / "race.yaml").write_text(RACE)
    (project / "graphs" / "race.test.yaml").write_text(IN_TIME)
    done = run(project, "race")
    assert done.returncode == 0, done.stdout


SETS = """agentflow: 1
graph: help
input: {id: string}
models: {default: gemini-2.5-flash}
tools:
  crm: {openapi: crm.json, operations: [getCustomer], headers: {Authorization: {env: NOT_SET_HERE}}, effect: read}
  files: {mcp: {command: [nonexistent-server]}, allow: [read_file, write_file]}
agents:
  clerk: {instruction: You help., tools: [crm, files]}
nodes:
  customer: {tool: crm.getCustomer, with: {id: "{{ input.id }}"}}
  answer: {agent: clerk, prompt: "Who is {{ customer.name }}?"}
output: "{{ answer }}"
"""
CRM = """{"openapi": "3.0.0", "servers": [{"url": "https://crm.example.com"}], "paths": {"/customers/{id}": {"get": {
  "operationId": "getCustomer",
  "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
  "responses": {"200": {"content": {"application/json": {"schema": {
    "type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}}}}}
}}}}
"""
SETS_CASES = """cases:
  nobody_is_asked:
    input: {id: "7"}
    replies:
      clerk:
        - calls: [{tool: files.read_file, with: {path: /a}}, {tool: crm.getCustomer, with: {id: "8"}}]
        - say: somebody
    tools:
      crm.getCustomer: {return: {name: Ada}}
      files.read_file: {return: a text}
    expect: {state: succeeded, output: somebody, calls: {crm.getCustomer: 2, files.read_file: 1}}
"""


def test_tools_of_sets_are_stubbed_one_by_one_and_no_server_is_asked(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    for name, text in {"help.yaml": SETS, "crm.json": CRM, "help.test.yaml": SETS_CASES}.items():
        (tmp_path / name).write_text(text)
    done = run(tmp_path, "help.yaml")
    assert done.returncode == 0, done.stdout
    assert "passed  help: nobody_is_asked" in done.stdout


CALLER = """agentflow: 1
graph: caller
input: {n: integer}
models: {default: gemini-2.5-flash}
nodes:
  legal: {service: "LegalAgent/run", with: {n: "{{ input.n }}"}, returns: {ok: boolean}}
  sub: {graph: callee, with: {n: "{{ input.n }}"}}
  held: {service: "Shelf/take", key: k1, with: {n: 1}, returns: string, needs: [sub]}
output: {ok: "{{ legal.ok }}", sub: "{{ sub }}", held: "{{ held }}"}
"""
CALLEE = """agentflow: 1
graph: callee
input: {n: integer}
models: {default: gemini-2.5-flash}
agents: {clerk: {instruction: You count.}}
nodes:
  gate: {approval: "Go?", approvers: [ann], timeout: 1h, on_timeout: approve}
  hold: {wait: 2h, needs: [gate]}
  say: {agent: clerk, prompt: "{{ input.n }}", needs: [hold]}
output: {said: "{{ say }}"}
"""
CALLS = """
replies: {clerk: [{say: three}]}
services:
  "LegalAgent/run": {return: {ok: true}, delay: 5h}
  "Shelf/take": {return: "shelf {{ args.n }}"}
cases:
  what_is_elsewhere_is_stood_in_for_and_a_graph_runs_itself:
    input: {n: 3}
    expect:
      state: succeeded
      output: {ok: true, sub: {said: three}, held: shelf 1}
      calls: {"LegalAgent/run": [{n: 3}]}
      elapsed: 5h
  people_are_asked_by_the_graph_that_is_called:
    input: {n: 3}
    services: {"LegalAgent/run": {return: {ok: false}}}
    approvals: {callee/gate: {approve: {after: 10m}}}
    expect: {state: succeeded, output: {ok: false}, elapsed: 2h10m}
  what_is_elsewhere_fails:
    input: {n: 3}
    services: {"LegalAgent/run": {fail: {message: no, code: 422}}}
    expect: {state: failed, error: {code: 422, node: legal}}
"""


SENDER = """agentflow: 1
graph: sender
input: {hold: string}
models: {default: gemini-2.5-flash}
nodes:
  now: {graph: letter, mode: send, with: {to: Ada}}
  later: {graph: letter, mode: send, delay: 2h, with: {to: Bob}}
  again: {graph: sender, mode: send, delay: {until: "'2026-01-03T00:00:00Z'"}, with: {hold: 1s}}
  elsewhere: {service: "Mail/post", mode: send, delay: 1h, with: {to: Cyd}}
  hold: {wait: "{{ input.hold }}"}
"""
LETTER = """agentflow: 1
graph: letter
input: {to: string}
models: {default: gemini-2.5-flash}
tools: {act: {python: "tools.desk:act"}}
nodes:
  gate: {approval: "Send?", approvers: [ann], timeout: 30m, on_timeout: approve}
  write: {tool: act, with: {name: "{{ input.to }}"}, needs: [gate]}
"""
SENDS = """tools: {act: {return: {}}}
services: {"Mail/post": {return: null}}
cases:
  what_is_due_before_the_run_ends_is_done:
    input: {hold: 3h}
    expect:
      calls: {letter: [{to: Ada}, {to: Bob}], act: [{name: Ada}, {name: Bob}], "Mail/post": [{to: Cyd}], sender: 1}
      elapsed: 3h
  what_is_due_later_is_not_waited_for:
    input: {hold: 1h30m}
    expect: {calls: {letter: 2, act: [{name: Ada}], "Mail/post": 1}, elapsed: 1h30m}
  what_takes_no_time_is_done_as_the_run_ends:
    input: {hold: 1ms}
    approvals: {letter/gate: approve}
    expect: {calls: {act: [{name: Ada}], "Mail/post": 0}, elapsed: 1ms}
"""
SHOP = """agentflow: 1
graph: shop
input: {n: integer}
models: {default: gemini-2.5-flash}
nodes:
  gate: {approval: "Go?", approvers: [ann], timeout: 1h, on_timeout: approve}
  paid: {event: paid, returns: {amount: number}, timeout: 2d, on_timeout: continue, needs: [gate]}
  sub: {graph: callee, key: same, with: {n: "{{ input.n }}"}, needs: [paid]}
  count: {graph: counter, key: same, with: {add: "{{ input.n }}"}, needs: [sub]}
output: {gate: "{{ gate.outcome }}", paid: "{{ paid.amount | default(none) }}",
         total: "{{ count.total }}", key: "{{ run.key }}"}
"""
COUNTER = """agentflow: 1
graph: counter
kind: object
input: {add: integer}
state: {total: {type: integer, default: 0}}
models: {default: gemini-2.5-flash}
nodes: {put: {set: {total: "{{ state.total + input.add }}"}}}
output: {total: "{{ put.total }}"}
"""
SHOPS = """replies: {clerk: [{say: three}]}
cases:
  under_one_key:
    key: k1
    input: {n: 1}
    approvals: {gate: approve}
    events: [{name: paid, data: {amount: 5}, after: 1m}]
    expect: {output: {gate: approved, paid: 5, total: 1, key: k1}, calls: {callee: 1, counter: [{add: 1}]}}
  and_under_the_same:
    key: k1
    input: {n: 2}
    approvals: {callee/gate: {approve: {after: 10m}}}
    expect: {output: {gate: expired, paid: null, total: 2, key: k1}, calls: {callee: 1}, elapsed: 51h10m}
  and_with_one_of_its_own:
    input: {n: 3}
    events: [{name: paid, data: {amount: 7}}]
    expect: {output: {paid: 7, total: 3}}
"""


def test_graphs_and_services_that_are_called_or_sent_to(project: Path) -> None:
    graphs = {"caller": CALLER, "callee": CALLEE, "sender": SENDER, "letter": LETTER, "shop": SHOP, "counter": COUNTER}
    cases = {"caller.test": CALLS, "sender.test": SENDS, "shop.test": SHOPS}
    for name, text in {**graphs, **cases}.items():
        (project / "graphs" / f"{name}.yaml").write_text(text)
    done = run(project, "caller", "sender", "shop")
    assert done.returncode == 0, done.stdout


ORDER = """agentflow: 1
graph: order
input: {id: string}
models: {default: gemini-2.5-flash}
nodes:
  paid: {event: paid, returns: {amount: number}, timeout: 2d, on_timeout: continue}
  hold: {wait: 3h, needs: [paid]}
  who: {ask: "Who signs?", form: {name: string}, to: [ann], timeout: 1d, on_timeout: fail, needs: [hold]}
output: {paid: "{{ paid.amount | default(none) }}", at: "{{ hold }}", who: "{{ who.name }}"}
"""
WORLD = """cases:
  paid_in_time:
    input: {id: "1"}
    events: [{name: paid, data: {amount: 5}, after: 1h}, {name: paid, data: {amount: 6}, after: 1h}]
    asks: {who: {answer: {form: {name: Bob}, after: 30m}}}
    expect: {state: succeeded, output: {paid: 5, at: "2026-01-01T04:00:00.000Z", who: Bob}, elapsed: 4h30m}
  never_paid:
    input: {id: "2"}
    now: 2027-05-01T00:00:00Z
    asks: {who: {answer: {form: {name: Bob}}}}
    expect: {state: succeeded, output: {paid: null, at: "2027-05-03T03:00:00.000Z"}, elapsed: 51h}
  nobody_answers:
    input: {id: "3"}
    expect: {state: rejected, error: {kind: expired, code: 504}, elapsed: 75h}
  a_message_that_does_not_fit:
    input: {id: "4"}
    events: [{name: paid, data: {amount: much}, after: 1h}]
    asks: {who: {answer: {form: {name: Bob}}}}
    expect: {state: succeeded}
"""


def test_messages_and_answers_come_when_the_case_says(project: Path) -> None:
    (project / "graphs" / "order.yaml").write_text(ORDER)
    (project / "graphs" / "order.test.yaml").write_text(WORLD)
    done = run(project, "order")
    assert done.returncode == 1 and "3 passed, 1 failed in" in done.stdout, done.stdout
    assert "the event was refused: the data of paid do not fit" in done.stdout


def test_a_service_that_dies_ends_the_command_and_leaves_nothing(project: Path, tmp_path: Path) -> None:
    """A tool that may be itself ends the process."""
    (project / "tools" / "fatal.py").write_text(
        'import os\n\ndef end(name: str) -> str:\n    """Ends."""\n    print("good bye", flush=True)\n    os._exit(3)\n'
    )
    (project / "graphs" / "fatal.yaml").write_text(
        "agentflow: 1\ngraph: fatal\nmodels: {default: gemini-2.5-flash}\n"
        'tools: {end: {python: "tools.fatal:end", effect: read}}\n'
        "nodes: {it: {tool: end, with: {name: x}}}\n"
    )
    (project / "graphs" / "fatal.test.yaml").write_text("cases: {one: {expect: {state: succeeded}}}\n")
    done = run(project, "fatal", environment={"TMPDIR": str(tmp_path)})
    assert done.returncode == 1 and "error: the service ended:" in done.stdout and "good bye" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_end_of_a_service_may_be_heard_of_after_its_last_answer(tmp_path: Path) -> None:
    stand: Any = object.__new__(Stand)
    child = SimpleNamespace(name="service", alive=True)
    stand._folder, stand._children = tmp_path, [child]
    (tmp_path / "service.log").write_text("good bye")

    async def ends_late() -> None:
        asyncio.get_running_loop().call_later(0.1, setattr, child, "alive", False)
        await stand.lost()

    with pytest.raises(ServeError, match="the service ended: \n  good bye"):
        asyncio.run(ends_late())


def test_ctrl_c_and_being_ended_end_all_that_was_started(project: Path, tmp_path: Path) -> None:
    (project / "tools" / "desk.py").write_text(
        TOOLS.replace('return f"seen', 'import time; time.sleep(60); return f"seen')
    )
    written(project, "cases: {one: {input: {name: look}, tools: {act: {return: {}}}, expect: {state: succeeded}}}\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "agentflow", "test", "desk"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=tied,
    )
    try:
        until(lambda: list(tmp_path.glob("*/engine.log")), 30)
        time.sleep(3)  # into the case, or nearly
        process.send_signal(signal.SIGTERM)  # goes the way of Ctrl-C
        assert process.wait(30) == 130
    finally:
        process.kill()
        (project / "tools" / "desk.py").write_text(TOOLS)
    assert list(tmp_path.iterdir()) == []


def until(check: Callable[[], object], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end
        time.sleep(0.05)
