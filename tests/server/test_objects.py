"""Objects on the real engine: a conversation that goes on, state beside it, one message at a time."""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from harness import Service, graph, until

from agentflow import runs
from agentflow.cli import main
from agentflow.client import Answer, Refused, request

sys.path.insert(0, str(Path(__file__).parents[1]))

from standin import Standin, error, standin  # noqa: E402 - found by the line above
from standin import say as answer  # noqa: E402 - likewise

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
    object_graph(
        "counter",
        """
input: {by: integer}
state: {total: {type: integer, default: 0}, any: any}
nodes: {add: {set: {total: "{{ state.total + input.by }}"}}, spoil: {set: {any: "{{ 1 }}"}}}
output: "{{ add.total }}"
""",
    ),
    object_graph(
        "asks",
        """
input: {text: string}
agents: {clerk: {instruction: Work.}}
nodes:
  done: {tool: act, with: {name: "{{ input.text }}"}}
  sign: {approval: "{{ input.text }}?", approvers: [boss], needs: [done]}
  say: {agent: clerk, prompt: "{{ input.text }}", conversation: session, needs: [sign]}
output: "{{ say }}"
""",
    ),
    object_graph(
        "brief",
        """
session: {keep: 4, summarize_after: 8}
agents: {helper: {instruction: Help.}}
""",
    ),
    object_graph("short", "session: {keep: 4}\nagents: {helper: {instruction: Help.}}\n"),
    graph(
        "talks",
        """
input: {topic: string}
agents:
  asker: {instruction: Ask.}
  expert: {instruction: Answer., tools: [act]}
nodes:
  one: {agent: asker, prompt: "ask {{ input.topic }}", conversation: talk}
  two:
    agent: expert
    prompt: answer
    conversation: talk
    needs: [one]
    on_error: continue
  aside: {agent: expert, prompt: "aside", conversation: other}
  three: {agent: asker, prompt: "and now", conversation: talk, needs: [two]}
output: "{{ three }}"
""",
    ),
]
HELPER = """
helper:
  - {if: "'broken' in prompt", error: 400}
  - {if: "'slow' in prompt and step == 0", call: {tool: act, with: {name: begun}}}
  - {if: "'slow' in prompt and step > 0", say: slowly, delay: 10s}
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
    "asks": "clerk: [{say: done}]\n",
    "brief": "helper: [{say: fine}]\nsession: [{say: they said plain things}]\n",
    "short": "helper: [{say: fine}]\n",
    "talks": "asker: [{say: one}, {say: two}]\nexpert: [{say: yes}]\n",
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
    found: dict[str, Any] = json.loads(service.call(graph, key, "history", page or None).body)
    return found


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
    return {str(row["key"]): json.loads(str(row["value_utf8"])) for row in rows if str(row["key"]).startswith("state.")}


JOTTED = [
    "helper calls jot",
    "helper gets {'result': 1}",
    "helper calls jot",
    "helper gets {'result': 2}",
    "helper: jotted",
]


def test_a_conversation_goes_on(service: Service) -> None:
    assert say(service, "ann", "plain 1") == "fine"
    service.restart()
    assert say(service, "ann", "jot it") == "jotted"
    assert lines(service, "ann") == [
        "user: plain 1",
        "helper: fine",
        "user: jot it",
        *JOTTED,
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
    page = service.call("chat", "bea", "history", {"limit": 1, "before": 4}).checked()["messages"]
    assert [(one["by"], one["at"] > 1e9) for one in page] == [("system", True)], "it has the time of what it is about"
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


# ---------------------------------------------------------------- the order of messages


def test_twenty_messages_to_three_keys_are_taken_in_order(service: Service) -> None:
    keys = ["k1", "k2", "k3"]
    for number in range(20):
        service.send_message("chat", keys[number % 3], {"message": f"plain {number}"})
    service.restart()
    until(lambda: not service.unfinished(), 60, "the end of all")
    for at, key in enumerate(keys):
        mine = [f"user: plain {number}" for number in range(20) if number % 3 == at]
        assert lines(service, key) == [line for text in mine for line in (text, "helper: fine")]
    again = [step for step, times in service.steps().items() if times > 1]
    assert len(again) <= len(keys), "only what was in flight when the service was killed was done again"


@pytest.mark.parametrize("entry", [1, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30])
def test_a_service_that_dies_anywhere_in_a_turn_loses_nothing(service: Service, entry: int) -> None:
    key = f"dies{entry}"
    say(service, key, "plain one")
    service.restart(AGENTFLOW_TEST_DIE_AT=str(entry))
    invocation = service.send_message("chat", key, {"message": "jot two"})
    until(lambda: not service.alive() or not service.unfinished(), 20, "its end, or the turn's")
    service.restart()
    assert service.attach(invocation) == "jotted"
    assert lines(service, key) == ["user: plain one", "helper: fine", "user: jot two", *JOTTED]
    assert state(service, key)["state.names"] == ["a", "b"]


def test_two_keys_work_side_by_side(service: Service) -> None:
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(service.call, "chat", "side1", "message", {"message": "slow"}, 60)
        until(lambda: service.names("act") == ["begun"], 20, "the call")
        assert say(service, "side2", "plain") == "fine"
        service.call("chat", "side1", "interrupt")
        assert slow.result(60).status == 499


# ---------------------------------------------------------------- a newer message


def test_a_new_message_stops_the_turn(service: Service) -> None:
    with ThreadPoolExecutor() as pool:
        first = pool.submit(service.call, "pushy", "eve", "message", {"message": "slow one"}, 60)
        until(lambda: service.names("act") == ["begun"], 20, "the call")
        assert say(service, "eve", "plain two", "pushy") == "fine"
        refused: Answer = first.result(60)
    assert refused.status == 499
    assert refused.refusal().metadata["state"] == "cancelled"
    told = lines(service, "eve", "pushy")
    assert told[:3] == ["user: slow one", "helper calls act", "helper gets {'id': 'begun'}"]
    assert told[3].startswith("system (interrupted): ")
    assert told[4:] == ["user: plain two", "helper: fine"]
    assert service.names("undo_act") == ["begun"]
    assert service.nothing_twice()


def test_of_many_messages_at_once_none_is_lost_and_the_last_is_answered(service: Service) -> None:
    with ThreadPoolExecutor(8) as pool:
        calls = []
        for number in range(8):
            calls.append(pool.submit(service.call, "pushy", "fay", "message", {"message": f"long {number}"}, 90))
            time.sleep(0.05)
        answers = [call.result(90).status for call in calls]
    messages = history(service, "fay", "pushy")["messages"]
    said = [message["text"] for message in messages if message["by"] == "user"]
    assert sorted(said) == [f"long {number}" for number in range(8)]
    assert answers.count(200) >= 1 and set(answers) <= {200, 499}
    assert messages[-1]["by"] == "helper", "the last message has an answer"
    interrupted = sum(message.get("outcome") == "interrupted" for message in messages)
    assert interrupted == answers.count(499) > 0


def test_a_turn_is_interrupted_while_the_service_is_away(service: Service) -> None:
    invocation = service.send_message("pushy", "gus", {"message": "slow one"})
    until(lambda: service.names("act") == ["begun"], 20, "the call")
    service.kill()
    with ThreadPoolExecutor() as pool:
        second = pool.submit(say, service, "gus", "plain two", "pushy", 90)
        time.sleep(0.3)
        service.start()
        assert second.result(90) == "fine"
    with pytest.raises(Refused) as first:
        service.attach(invocation)
    assert first.value.status == 499
    told = lines(service, "gus", "pushy")
    assert [line for line in told if line.startswith("user")] == ["user: slow one", "user: plain two"]
    assert told[-1] == "helper: fine"


@pytest.mark.parametrize("pause", [0.0, 0.02, 0.1, 0.4, 0.8])
def test_an_interrupt_at_any_moment_loses_nothing(service: Service, pause: float) -> None:
    key = f"any{pause}"
    invocation = service.send_message("chat", key, {"message": "jot it at long last"})
    time.sleep(pause)
    service.call("chat", key, "interrupt").checked()
    try:
        service.attach(invocation)
        ended = "answered"
    except Refused as refused:
        assert refused.status == 499
        ended = "interrupted"
    assert say(service, key, "plain") == "fine"
    told = lines(service, key)
    assert told[0] == "user: jot it at long last" and told[-2:] == ["user: plain", "helper: fine"]
    assert any("(interrupted)" in line for line in told) == (ended == "interrupted")
    assert len(state(service, key).get("state.names", [])) <= 2


# ---------------------------------------------------------------- state


def test_set_writes_what_later_messages_see(service: Service) -> None:
    assert service.call("counter", "c", "message", {"by": 2}).checked() == 2
    service.restart()
    assert service.call("counter", "c", "message", {"by": 3}).checked() == 5
    assert state(service, "c", "counter") == {"state.total": 5, "state.any": 1}
    service.call("counter", "c", "reset").checked()
    assert state(service, "c", "counter") == {}
    assert service.call("counter", "c", "message", {"by": 1}).checked() == 1


def test_nodes_join_the_session_and_state_is_as_it_was(service: Service) -> None:
    first = service.call("desk", "d", "message", {"text": "a"}).checked()
    assert first == {"total": 0, "last": "nothing", "said": "two"}
    second = service.call("desk", "d", "message", {"text": "b"}).checked()
    assert second == {"total": 1, "last": "a", "said": "four"}
    told = [line for line in lines(service, "d", "desk") if line.startswith("user")]
    assert told == ["user: first a", "user: second a", "user: first b", "user: second b"]
    with pytest.raises(Refused, match="no more"):
        service.call("desk", "d", "message", {"text": "act and fail"}).checked()
    after = lines(service, "d", "desk")
    assert after[-1].startswith("system (failed): This was not answered, for it failed: no more. Undone: second.more")
    assert state(service, "d", "desk")["state.total"] == 3, "what was written stays"


def test_tools_change_the_state_when_their_step_completes(service: Service) -> None:
    assert say(service, "hal", "journal it") == "journaled"
    assert state(service, "hal")["state.names"] == ["j"]
    service.control(jot={"fail": "error", "times": 2})
    assert say(service, "hal", "jot it") == "jotted"
    assert state(service, "hal")["state.names"] == ["j", "a", "b"], "a try that failed wrote nothing"
    with pytest.raises(Refused, match="the state that it leaves does not fit"):
        say(service, "hal", "spoil it")
    assert state(service, "hal")["state.names"] == ["j", "a", "b"]


# ---------------------------------------------------------------- how much of it


def test_history_gives_pages(service: Service) -> None:
    for number in range(12):
        say(service, "ida", f"plain {number}", "short")
    assert history(service, "ida", "short")["count"] == 24
    page = history(service, "ida", "short", limit=5)
    assert [message["text"] for message in page["messages"]] == ["fine", "plain 10", "fine", "plain 11", "fine"]
    seen = [message["text"] for message in page["messages"]]
    while page["before"] is not None:
        page = history(service, "ida", "short", limit=5, before=page["before"])
        seen = [message["text"] for message in page["messages"]] + seen
    assert seen == [text for number in range(12) for text in (f"plain {number}", "fine")]
    assert service.call("short", "ida", "history", {"limit": 0}).status == 400
    assert service.call("short", "ida", "history", {"last": 1}).status == 400
    assert service.call("short", "ida", "message", {"text": 1}).status == 400


def asked(provider: Standin) -> list[str]:
    """What the model was given last, one line a content."""
    contents = provider.requests[-1]["contents"]
    return ["".join(part.get("text", "?") for part in content["parts"]) for content in contents]


def test_a_model_is_given_the_last_messages(service: Service) -> None:
    with standin(answer("fine")) as provider:
        service.restart(AGENTFLOW_OFFLINE="0", GOOGLE_GEMINI_BASE_URL=provider.url, GOOGLE_API_KEY="none")
        for number in range(5):
            say(service, "joe", f"plain {number}", "short")
        assert asked(provider) == ["plain 2", "fine", "plain 3", "fine", "plain 4"]


def test_what_is_older_is_summarized(service: Service) -> None:
    with standin(answer("fine")) as provider:
        service.restart(AGENTFLOW_OFFLINE="0", GOOGLE_GEMINI_BASE_URL=provider.url, GOOGLE_API_KEY="none")
        for number in range(5):
            say(service, "kim", f"plain {number}", "brief")
        transcript = provider.requests[-2]["contents"][0]["parts"][0]["text"]
        assert transcript == "user: plain 0\nhelper: fine\nuser: plain 1\nhelper: fine"
        summary = "[What was said before, in short: fine]"
        assert asked(provider) == [summary, "plain 2", "fine", "plain 3", "fine", "plain 4"]
        assert history(service, "kim", "brief")["count"] == 10, "the history keeps everything"
        assert service.nodes("brief", "kim") == {"helper": "succeeded", "session": "succeeded"}


def test_the_next_turn_knows_what_became_of_the_last(service: Service) -> None:
    with standin(answer("fine")) as provider:
        service.restart(AGENTFLOW_OFFLINE="0", GOOGLE_GEMINI_BASE_URL=provider.url, GOOGLE_API_KEY="none")
        provider.script[:] = [error(400, "said no"), answer("fine")]
        with pytest.raises(Refused, match="said no"):
            say(service, "lea", "one", "short")
        say(service, "lea", "two", "short")
        given = asked(provider)
        assert given[0].startswith("one") and given[-1].endswith("two")
        assert any("[This was not answered, for it failed: " in text for text in given)


def test_a_turn_that_was_killed_is_remembered(service: Service) -> None:
    say(service, "liz", "plain one")
    service.send_message("chat", "liz", {"message": "slow two"})
    until(lambda: service.names("act") == ["begun"], 20, "the call")
    turn = runs.find(service.engine.admin, "chat", "liz")
    assert turn is not None
    request("PATCH", f"{service.engine.admin.url}/invocations/{turn.id}/kill").checked()
    assert say(service, "liz", "plain three") == "fine"
    assert lines(service, "liz") == [
        "user: plain one",
        "helper: fine",
        "user: slow two",
        "system (interrupted): This was not answered, for it was interrupted.",
        "user: plain three",
        "helper: fine",
    ]
    assert service.nodes("chat", "liz") == {"helper": "succeeded"}


# ---------------------------------------------------------------- approvals, and the command line


def test_an_approval_in_a_turn(service: Service) -> None:
    invocation = service.send_message("asks", "mia", {"text": "first"})
    service.gate("asks", "mia.1/sign")
    assert service.state("asks", "mia") == "waiting"
    service.restart()
    assert service.decide("asks", "mia.1/sign", "approve", by="boss").status == 200
    assert service.attach(invocation) == "done"
    second = service.send_message("asks", "mia", {"text": "second"})
    service.gate("asks", "mia.2/sign")
    service.decide("asks", "mia.2/sign", "reject", by="boss")
    with pytest.raises(Refused) as refused:
        service.attach(second)
    assert refused.value.status == 422
    told = lines(service, "mia", "asks")
    assert told[:3] == ["user: first", "clerk: done", 'user: {"text": "second"}']
    assert told[3].startswith("system (rejected): This was not answered, for it was rejected: ")
    third = service.send_message("asks", "mia", {"text": "third"})
    service.gate("asks", "mia.3/sign")
    service.call("asks", "mia", "interrupt")
    with pytest.raises(Refused) as cancelled:
        service.attach(third)
    assert cancelled.value.status == 499
    assert service.names("undo_act") == ["second", "third"]


def test_the_command_line(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    urls = ["--ingress", service.engine.ingress]
    told = json.dumps({"message": "plain"})
    assert main(["run", "chat", "--key", "ned", "--input", told, *urls]) == 0
    assert main(["run", "chat", "--key", "ned", "--input", told, *urls]) == 0
    assert capsys.readouterr().out == '"fine"\n"fine"\n'
    admin = ["--admin", service.engine.admin.url]
    assert main(["status", "chat", "ned", *admin]) == 0
    assert capsys.readouterr().out.startswith("chat ned  succeeded")
    service.send_message("chat", "ned", {"message": "slow"})
    until(lambda: service.names("act") == ["begun"], 20, "the call")
    waiting = service.send_message("chat", "ned", {"message": "plain again"})
    assert main(["cancel", "chat", "ned", *admin]) == 0
    assert service.attach(waiting) == "fine", "what waits in the queue is not what is cancelled"
    assert not service.engine.invocations("target_handler_name = 'events' and status = 'completed'")
    found = runs.find(service.engine.admin, "chat", "ned")
    assert found is not None and found.handler == "message"


def test_nodes_of_a_run_share_a_conversation(service: Service) -> None:
    with standin(answer("fine")) as provider:
        service.restart(AGENTFLOW_OFFLINE="0", GOOGLE_GEMINI_BASE_URL=provider.url, GOOGLE_API_KEY="none")
        assert service.run("talks", "t", {"topic": "tea"}) == "fine"
        contents = next(
            request["contents"]
            for request in provider.requests
            if request["contents"][-1]["parts"][-1].get("text") == "and now"
        )
        texts = ["".join(part.get("text", "") for part in content["parts"]) for content in contents]
        assert texts[0] == "ask tea" and texts[1] == "fine" and texts[2].startswith("answer")
        assert not any("aside" in text for text in texts)
