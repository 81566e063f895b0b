"""The example `assistant`: durable sessions, one writer a session, state beside the conversation, interruption."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from harness import PROJECT, Service, until

from agentflow.admin import text
from agentflow.client import Refused

sys.path.insert(0, str(Path(__file__).parents[1]))

from standin import Standin, standin  # noqa: E402 - found by the line above
from standin import say as answer  # noqa: E402 - likewise

GRAPHS = [PROJECT / "graphs" / "assistant.yaml"]


def say(service: Service, key: str, message: str, timeout: float = 60) -> Any:
    return service.call("assistant", key, "message", {"message": message}, timeout).checked()


def told(service: Service, key: str) -> list[dict[str, Any]]:
    answer: Any = service.call("assistant", key, "history").checked()
    messages: list[dict[str, Any]] = answer["messages"]
    return messages


def texts(service: Service, key: str, by: str) -> list[str]:
    return [message["text"] for message in told(service, key) if message["by"] == by and "text" in message]


def online(service: Service, provider: Standin) -> None:
    service.restart(AGENTFLOW_OFFLINE="0", GOOGLE_GEMINI_BASE_URL=provider.url, GOOGLE_API_KEY="none")


def test_ten_turns_over_a_restart_are_all_remembered(service: Service) -> None:
    with standin(answer("I have heard you.")) as provider:
        online(service, provider)
        for number in range(5):
            say(service, "ten", f"fact {number}")
        online(service, provider)
        for number in range(5, 10):
            say(service, "ten", f"fact {number}")
        given = "".join(part["text"] for content in provider.requests[-1]["contents"] for part in content["parts"])
        assert all(f"fact {number}" in given for number in range(10)), "the model was given all of them"
    assert texts(service, "ten", "user") == [f"fact {number}" for number in range(10)]


def test_a_failed_turn_loses_neither_the_history_nor_the_message(service: Service) -> None:
    say(service, "fail", "hello")
    with pytest.raises(Refused):
        say(service, "fail", "something forbidden")
    service.restart()
    say(service, "fail", "hello again")
    assert texts(service, "fail", "user") == ["hello", "something forbidden", "hello again"]
    [note] = [message for message in told(service, "fail") if message["by"] == "system"]
    assert note["outcome"] == "failed" and note["turn"] == 2


def test_a_turn_goes_on_after_a_kill_and_history_answers_meanwhile(service: Service) -> None:
    invocation = service.send_message("assistant", "kill", {"message": "tell me everything"})
    until(lambda: looks_further(service, "kill"), 20, "two answers")
    assert told(service, "kill")[-1]["outcome"] == "running"
    service.restart()
    assert told(service, "kill")[-1]["outcome"] == "running"
    service.call("assistant", "kill", "interrupt").checked()
    with pytest.raises(Refused) as refused:
        service.attach(invocation)
    assert refused.value.status == 499
    looked = [message for message in told(service, "kill") if "results" in message]
    assert looked[0]["results"][0]["result"]["result"].startswith("A program whose steps"), "what was said so far stays"
    assert told(service, "kill")[-1]["outcome"] == "interrupted"


def looks_further(service: Service, key: str) -> bool:
    """One subject has been looked up, and a second, which takes long, has been asked for."""
    where = f"target_service_name = 'assistant' and target_service_key = {text(key)} and target_handler_name = 'turn'"
    turns = [str(row["id"]) for row in service.engine.invocations(where)]
    return any(service.steps()[(turn, "assistant.model#3")] for turn in turns)


def test_twenty_messages_at_once_to_three_sessions(service: Service) -> None:
    """A newer message interrupts; each session is in order all the same, and nothing is lost."""
    keys = ["one", "two", "three"]
    for number in range(20):
        service.send_message("assistant", keys[number % 3], {"message": f"message {number:02}"})
        if number == 10:
            service.restart()
    until(lambda: not service.unfinished(), 90, "the end of all")
    for at, key in enumerate(keys):
        mine = [f"message {number:02}" for number in range(20) if number % 3 == at]
        assert sorted(texts(service, key, "user")) == mine
        turns = [message["turn"] for message in told(service, key)]
        assert turns == sorted(turns) and set(turns) == set(range(1, len(mine) + 1))
        assert told(service, key)[-1]["by"] == "assistant", "the last one has its answer"


def test_a_preference_steers_the_next_turn(service: Service) -> None:
    assert say(service, "pref", "In another language, please.") == "Volontiers, désormais en français."
    say(service, "pref", "Take a note.")
    service.restart()
    with standin(answer("Oui.")) as provider:
        online(service, provider)
        say(service, "pref", "hello")
        instruction = provider.requests[-1]["systemInstruction"]["parts"][0]["text"]
    assert "Answer in French." in instruction
    assert "- The train leaves at nine." in instruction
    rows = service.engine.admin.query(
        "select key, value_utf8 from state where service_name = 'assistant' and service_key = 'pref' "
        "and starts_with(key, 'state.') order by key"
    )
    assert [(row["key"], row["value_utf8"]) for row in rows] == [
        ("state.language", '"French"'),
        ("state.notes", '["The train leaves at nine."]'),
    ]


def test_a_new_message_stops_the_turn_and_knows_of_both(service: Service) -> None:
    with standin(answer("Yes.")) as provider, ThreadPoolExecutor() as pool:
        first = pool.submit(service.call, "assistant", "both", "message", {"message": "tell me everything"}, 60)
        until(lambda: looks_further(service, "both"), 20, "the first answers")
        second = pool.submit(service.call, "assistant", "both", "message", {"message": "hello"}, 60)
        assert first.result(60).status == 499
        assert second.result(60).json() == "I have heard you."
        online(service, provider)
        say(service, "both", "did you hear both?")
        given = "".join(
            part.get("text", "") for content in provider.requests[-1]["contents"] for part in content["parts"]
        )
    assert "tell me everything" in given and "for it was interrupted" in given and "hello" in given
    assert texts(service, "both", "user") == ["tell me everything", "hello", "did you hear both?"]
