"""Objects on the real engine: a conversation that goes on, state beside it, one message at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from harness import Service, graph, until

from agentflow.client import Answer, Refused

STATE_TOOLS = """
  jot:           {python: "tools.desk:jot"}
  spoil:         {python: "tools.desk:spoil"}
  jot_journaled: {python: "tools.desk:jot_journaled"}
"""


def object_graph(name: str, body: str) -> str:
    source = graph(name, "")
    return f"{source.rstrip()}{STATE_TOOLS}kind: object\n{body}"


CHAT = """
state: {mood: {type: string, default: calm}, names: {type: [string], default: []}, last: string | null}
agents:
  helper: {instruction: "Be {{ state.mood }}.", tools: [act, jot, look, spoil, jot_journaled]}
"""
GRAPHS = [
    object_graph("chat", CHAT),
    object_graph("pushy", f"on_busy: interrupt\n{CHAT}"),
    object_graph(
        "desk",
        """
input: {text: string}
state: {total: {type: integer, default: 0}, last: string}
agents: {clerk: {instruction: Work.}}
nodes:
  first: {agent: clerk, prompt: "first {{ input.text }}", conversation: session}
  both:
    parallel:
      write: {set: {total: "{{ state.total + 1 }}", last: "{{ input.text }}"}}
      think: {agent: clerk, prompt: "think {{ input.text }}"}
  second:
    nodes:
      inner: {agent: clerk, prompt: "second {{ input.text }}", conversation: session}
      more: {tool: act, with: {name: "{{ input.text }}"}, needs: [inner], when: "'act' in input.text"}
      end: {fail: no more, needs: [more], when: "'fail' in input.text"}
    needs: [first, both]
output: {total: "{{ state.total }}", last: "{{ state.last | default('nothing') }}", said: "{{ second.inner }}"}
""",
    ),
]
HELPER = """
helper:
  - {if: "'broken' in prompt", error: 400}
  - {if: "'slow' in prompt and step == 0", call: {tool: act, with: {name: begun}}}
  - {if: "'slow' in prompt and step > 0", say: slowly, delay: 30s}
  - {if: "'long' in prompt", say: at length, delay: 700ms}
  - {if: "'jot' in prompt and step == 0", calls: [{tool: jot, with: {name: a}}]}
  - {if: "'jot' in prompt and step == 1", call: {tool: jot, with: {name: b}}}
  - {if: "'jot' in prompt and step > 1", say: jotted}
  - {if: "'journal' in prompt and step == 0", call: {tool: jot_journaled, with: {name: j}}}
  - {if: "'journal' in prompt and step > 0", say: journaled}
  - {if: "'spoil' in prompt", call: {tool: spoil}}
  - {if: "'plain' in prompt", say: fine}
"""
REPLIES = {
    "chat": HELPER,
    "pushy": HELPER,
    "desk": """
clerk:
  - {say: one}
  - {say: two}
  - {say: three}
  - {say: four}
""",
}


def say(service: Service, key: str, text: str, graph: str = "chat", timeout: float = 60) -> Any:
    return service.call(graph, key, "message", {"message": text}, timeout).checked()


def history(service: Service, key: str, graph: str = "chat", **page: int) -> dict[str, Any]:
    answer: Any = service.call(graph, key, "history", page or None).checked()
    return answer


def lines(service: Service, key: str, graph: str = "chat") -> list[str]:
    """The history, one short line a message."""
    return [_line(message) for message in history(service, key, graph)["messages"]]


def _line(message: dict[str, Any]) -> str:
    if "calls" in message:
        return f"{message['by']} calls {', '.join(call['tool'] for call in message['calls'])}"
    if "results" in message:
        return f"{message['by']} gets {', '.join(str(one['result']) for one in message['results'])}"
    outcome = f" ({message['outcome']})" if "outcome" in message else ""
    return f"{message['by']}{outcome}: {message['text']}"


def state(service: Service, key: str, graph: str = "chat") -> dict[str, Any]:
    rows = service.engine.admin.query(
        f"select key, value_utf8 from state where service_name = '{graph}' and service_key = '{key}'"
    )
    import json

    return {str(row["key"]): json.loads(str(row["value_utf8"])) for row in rows if str(row["key"]).startswith("state.")}


def test_a_conversation_goes_on(service: Service) -> None:
    assert say(service, "ann", "plain 1") == "fine"
    service.restart()
    assert say(service, "ann", "jot it") == "jotted"
    assert lines(service, "ann") == [
        "user: plain 1",
        "helper: fine",
        "user: jot it",
        "helper calls jot",
        "helper gets {'result': 1}",
        "helper calls jot",
        "helper gets {'result': 2}",
        "helper: jotted",
    ]
    assert state(service, "ann")["state.names"] == ["a", "b"]
    assert service.nothing_twice()


def test_a_failed_turn_keeps_the_message(service: Service) -> None:
    say(service, "bea", "plain 1")
    with pytest.raises(Refused, match="answers with error 400"):
        say(service, "bea", "broken 2")
    say(service, "bea", "plain 3")
    told = lines(service, "bea")
    assert told[2] == "user: broken 2"
    assert told[3].startswith("system (failed): This was not answered, for it failed:")
    assert told[4:] == ["user: plain 3", "helper: fine"]


def test_history_and_status_answer_while_a_turn_runs(service: Service) -> None:
    with ThreadPoolExecutor() as pool:
        running = pool.submit(say, service, "cleo", "long one")
        until(lambda: service.state("chat", "cleo") == "running", 20, "the turn")
        assert lines(service, "cleo") == ["user (running): long one"]
        assert running.result(60) == "at length"
    assert lines(service, "cleo") == ["user: long one", "helper: at length"]
    assert service.state("chat", "cleo") == "succeeded"


def test_interrupt_cancels_the_turn(service: Service) -> None:
    with ThreadPoolExecutor() as pool:
        running = pool.submit(service.call, "chat", "dora", "message", {"message": "slow one"}, 60)
        until(lambda: service.names("act") == ["begun"], 20, "the call")
        assert service.call("chat", "dora", "interrupt").checked() == {"interrupted": True}
        answer: Answer = running.result(60)
    assert answer.status == 499
    until(lambda: service.names("undo_act") == ["begun"], 20, "the undoing")
    told = lines(service, "dora")
    assert told[:3] == ["user: slow one", "helper calls act", "helper gets {'id': 'begun'}"]
    assert told[3] == (
        "system (interrupted): This was not answered, for it was interrupted. Undone: helper.act#2 (undo_act)"
    )
    assert say(service, "dora", "plain again") == "fine"
    assert service.call("chat", "dora", "interrupt").checked() == {"interrupted": False}
