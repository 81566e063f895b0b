"""What was called elsewhere has its place in the order of what happened, by when it ended."""

from __future__ import annotations

import json

import pytest
from harness import TOOLS, Service, graph, until

from agentflow.client import Refused

NAP = """  nap: {python: "tools.desk:nap", compensate: {tool: undo_act, with: {id: "nap {{ result }}"}}}
"""

GRAPHS = [
    graph("ro_busy", "nodes: {no: {fail: busy, code: 503}}\n"),
    graph(
        "ro_callee",
        """
input: {pause: string}
nodes: {rest: {wait: "{{ input.pause }}"}}
output: done
""",
    ),
    graph(
        "ro_sides",
        """
input: {long: string, short: string}
nodes:
  one: {graph: ro_callee, with: {pause: "{{ input.long }}"}, compensate: {tool: undo_act, with: {id: one}}}
  rest: {wait: "{{ input.short }}"}
  two: {tool: act, with: {name: two}, needs: [rest]}
  end: {fail: the end, needs: [one, two]}
""",
    ),
    graph(
        "ro_crossed",
        """
nodes:
  each:
    for_each: "[1, 2, 3]"
    do:
      nodes:
        a: {graph: ro_callee, with: {pause: 10ms}, compensate: {tool: undo_act, with: {id: "a{{ item }}"}}}
        b: {graph: ro_callee, with: {pause: 12ms}, compensate: {tool: undo_act, with: {id: "b{{ item }}"}}}
        c: {tool: act, with: {name: "c{{ item }}"}, needs: [a]}
        d: {tool: act, with: {name: "d{{ item }}"}, needs: [b]}
        e: {graph: ro_callee, with: {pause: 5ms}, needs: [a]}
  end: {fail: the end, needs: [each]}
""",
    ),
    graph(
        "ro_journaled",
        """
nodes:
  sides:
    parallel:
      one: {tool: nap, with: {name: one, ms: 900}}
      two: {steps: {rest: {wait: 100ms}, did: {tool: act, with: {name: two}}}}
  end: {fail: the end, needs: [sides]}
""",
    ).replace(TOOLS, TOOLS + NAP),
    graph(
        "ro_again",
        """
input: {pause: string}
nodes:
  one:
    graph: ro_callee
    with: {pause: "{{ input.pause }}"}
    retry: {attempts: 2}
    compensate: {tool: undo_act, with: {id: "one {{ args.pause }} {{ result }}"}}
  two:
    service: ro_callee/run
    key: "two of {{ run.key }}"
    with: {pause: "{{ input.pause }}"}
    retry: {attempts: 2}
    needs: [one]
    compensate: {tool: undo_act, with: {id: "two {{ args.pause }}"}}
  three:
    graph: ro_callee
    with: {pause: "{{ input.pause }}"}
    mode: send
    needs: [two]
    compensate: {tool: undo_act, with: {id: "three {{ args.pause }}"}}
  four: {graph: ro_busy, retry: {attempts: 3, initial: 10ms}, compensate: *undo, on_error: continue, needs: [three]}
  end: {fail: the end, needs: [four]}
""".replace("*undo", '{tool: undo_try, on: attempted, with: {name: "code {{ error.code }}"}}'),
    ),
]


def test_what_is_called_again_or_only_sent_is_undone_with_what_it_was_given(service: Service) -> None:
    with pytest.raises(Refused):
        service.run("ro_again", "on", {"pause": "5ms"})
    assert service.names("undo_act") == ["three 5ms", "two 5ms", "one 5ms done"]
    assert service.names("undo_try") == ["code 503"]  # once, of three tries


def test_a_call_is_undone_by_when_it_ended(service: Service) -> None:
    with pytest.raises(Refused):
        service.run("ro_sides", "long", {"long": "1s", "short": "100ms"})
    assert service.names("undo_act") == ["one", "two"]
    service.forget()
    with pytest.raises(Refused):
        service.run("ro_sides", "short", {"long": "50ms", "short": "1200ms"})
    assert service.names("undo_act") == ["two", "one"]


def test_a_function_with_a_journal_is_undone_by_when_it_ended(service: Service) -> None:
    with pytest.raises(Refused):
        service.run("ro_journaled", "on")
    assert service.names("undo_act") == ["nap one", "two"]


def test_calls_that_end_at_once_are_replayed_in_their_order(service: Service) -> None:
    service.restart(AGENTFLOW_TEST_JITTER="0.02")
    keys = [str(number) for number in range(12)]
    for key in keys:
        service.send("ro_crossed", key)
    for key in keys:
        with pytest.raises(Refused) as refused:
            service.result("ro_crossed", key)
        undone = json.loads(refused.value.metadata["undone"])
        names = sorted(entry["node"].rpartition(".")[2] for entry in undone)
        assert names == [*"aaabbbcccddd"] and refused.value.message.startswith("the end. Undone")
    until(lambda: not service.unfinished(), 20, "the end of all")
    assert service.nothing_twice()
    assert "mismatch" not in service.log.read_text().lower()
