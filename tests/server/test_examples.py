"""The examples do what they are there to show, and go on doing it when things break."""

from __future__ import annotations

import json
import time

import pytest
from harness import PROJECT, Service, until

from agentflow import cli
from agentflow.client import Refused

GRAPHS = [PROJECT / "graphs" / f"{name}.yaml" for name in ("weather", "support", "trip", "claim", "digest")]
ENVIRONMENT = {"AGENTFLOW_TEST_JITTER": "0.1"}


@pytest.fixture(scope="module", autouse=True)
def hurry(stand: Service) -> None:
    """Quito, where there is time to interrupt everything, takes a third of its time."""
    module, replies = stand.root / "tools" / "weather.py", stand.folder / "weather.replies.yaml"
    module.write_text(module.read_text().replace('"Quito": 5.0', '"Quito": 1.0'))
    replies.write_text(replies.read_text().replace("delay: 2s", "delay: 700ms"))
    stand.restart()


def weather(service: Service, city: str) -> object:
    return service.run("weather", None, {"message": f"How is it in {city}?"})


def ask_weather(service: Service, city: str) -> str:
    return service.send("weather", None, {"message": f"How is it in {city}?"})


def terminal(service: Service, city: str) -> Refused:
    with pytest.raises(Refused) as caught:
        weather(service, city)
    return caught.value


def told(service: Service, capsys: pytest.CaptureFixture[str], graph: str, key: str) -> str:
    """What `agentflow status` prints."""
    capsys.readouterr()
    assert cli.main(["status", graph, key, "--admin", service.engine.admin.url]) == 0
    return capsys.readouterr().out


# ------------------------------------------------------------ weather


def test_an_agent_with_a_tool_answers(service: Service) -> None:
    assert weather(service, "Lisbon") == "It is 21 degrees and clear in Lisbon."
    assert service.nothing_twice()


def test_three_tools_asked_for_in_one_turn_work_side_by_side(service: Service) -> None:
    assert str(weather(service, "Oslo")).startswith("It is 4 degrees in Oslo")
    assert service.side_by_side("air_in", "forecast_for", "weather_in")
    assert sorted(line["tool"] for line in service.ledger()) == ["air_in", "forecast_for", "weather_in"]
    assert service.nothing_twice()


def test_a_kill_while_three_tools_run_repeats_none_that_finished(service: Service) -> None:
    run = ask_weather(service, "Oslo")
    until(lambda: len(service.ledger()) == 3, 20, "the three tools' start")
    time.sleep(0.3)
    service.restart()
    assert str(service.attach(run)).startswith("It is 4 degrees in Oslo")
    assert len(service.ledger()) == 6 and service.nothing_twice()  # none had finished: each began twice, ended once


@pytest.mark.parametrize("moment", ["in the first model call", "in the tool", "in the second model call"])
def test_a_kill_anywhere_in_an_agents_turn_repeats_nothing_that_finished(service: Service, moment: str) -> None:
    run = ask_weather(service, "Quito")
    step = {"in the first model call": "model#1", "in the tool": "weather_in", "in the second model call": "model#3"}
    begun = f'"name": "forecaster.{step[moment]}'
    until(lambda: service.steps_file.exists() and begun in service.steps_file.read_text(), 30, moment)
    service.restart()
    assert service.attach(run) == "It is 15 degrees in Quito, and it rains."
    assert service.nothing_twice()
    assert len(service.ledger()) == (2 if moment == "in the tool" else 1)


def test_a_tool_that_fails_is_tried_until_it_is_mended_and_status_says_why(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ask_weather(service, "Atlantis")
    until(lambda: len(service.ledger()) >= 4, 20, "a few tries")
    until(lambda: "does not answer" in told(service, capsys, "weather", run), 20, "the reason in `status`")
    assert "weather_in: ConnectionError: the station in Atlantis does not answer" in told(
        service, capsys, "weather", run
    )
    module = service.root / "tools" / "weather.py"
    text = module.read_text()
    try:
        module.write_text(text.replace('DOWN = ("Atlantis",)', "DOWN = ()"))
        service.restart()
        assert service.attach(run) == "It is 18 degrees in Atlantis, and it rains."
        calls = {name: times for (_, name), times in service.steps().items() if "model#" in name}
        assert set(calls.values()) == {1}  # the model was not asked again
    finally:
        module.write_text(text)
        service.restart()


def test_a_failing_tool_is_told_to_the_model_ends_the_run_or_is_tried_again(service: Service) -> None:
    assert str(weather(service, "Erewhon")).startswith("Erewhon has no station. In Lisbon")  # told
    error = terminal(service, "Eden")  # terminal
    assert (error.status, error.metadata["kind"]) == (403, "tool") and "not open to the public" in error.message
    service.forget()
    assert str(weather(service, "Cairo")).startswith("It will be 34")  # tried again, by its own policy
    assert len(service.ledger()) == 3
    error = terminal(service, "Pompeii")
    assert error.message == "forecast_for failed after 3 tries: ConnectionError: the forecast of Pompeii was cut off"
    assert len(service.ledger()) == 6


def test_a_provider_that_is_busy_for_a_while_is_asked_again_and_one_that_stays_down_ends_the_run(
    service: Service,
) -> None:
    assert weather(service, "Delhi") == "It is 36 degrees and cloudy in Delhi."
    error = terminal(service, "Perth")
    assert (error.status, error.metadata["kind"], error.metadata["node"]) == (503, "model", "forecaster")
    assert error.message.startswith("the model did not answer in 5 tries: ")


# ------------------------------------------------------------ support


def test_agents_hand_the_conversation_over_and_back(service: Service) -> None:
    output = service.run("support", "1", {"message": "I was charged twice for order 7."})
    assert output == "You were charged twice for order 7; 40 have been given back."
    assert [line["tool"] for line in service.ledger()] == ["credit"] and service.nothing_twice()
    assert service.status("support", "1")["spent"]["handoffs"] == 2
    assert service.run("support", "2", {"message": "Where is order 8?"}) == "Order 8 is on its way."


def test_a_cycle_of_handoffs_ends_at_the_limit(service: Service) -> None:
    with pytest.raises(Refused) as caught:
        service.run("support", "3", {"message": "I am lost."})
    assert caught.value.metadata["kind"] == "limit"
    assert caught.value.message == "the run has made its 6 handoffs (limits.handoffs)"


def test_handoffs_survive_kills(service: Service) -> None:
    run = service.send("support", "4", {"message": "I was charged twice for order 7."})
    for calls in (2, 4):
        until(lambda: len([1 for _, name in service.steps() if "model#" in name]) >= calls, 20)  # noqa: B023
        service.restart()
    assert service.attach(run) == "You were charged twice for order 7; 40 have been given back."
    assert len({line["key"] for line in service.ledger()}) == 1


# ------------------------------------------------------------ trip

ENDS = {
    "Paris": ["book_flight", "book_hotel", "charge", "issue_tickets"],
    "Atlantis": [],
    "Venice": ["book_flight", "cancel_flight"],
    "Monaco": ["book_flight", "book_hotel", "cancel_hotel", "cancel_flight"],
    "Lima": ["book_flight", "book_hotel", "charge", "repay", "cancel_hotel", "cancel_flight"],
    "Dubai": ["book_flight", "book_hotel", "charge", "repay", "cancel_flight"],
}


@pytest.mark.parametrize("city", ENDS)
def test_a_trip_that_fails_is_rolled_back(service: Service, city: str) -> None:
    given = {"traveller": "Ada", "to": city, "nights": 3}
    if city == "Paris":
        assert service.run("trip", city, given) == {"tickets": "tickets-Paris", "price": 670}
    else:
        with pytest.raises(Refused) as caught:
            service.run("trip", city, given)
        not_undone = json.loads(caught.value.metadata["not_undone"])
        assert [entry["tool"] for entry in not_undone] == (["cancel_hotel"] if city == "Dubai" else [])
        assert "Undone: " in caught.value.message or city == "Atlantis"
    assert [line["tool"] for line in service.ledger()] == ENDS[city]
    keys = [line["key"] for line in service.ledger()]
    assert len(set(keys)) == len(keys) and service.nothing_twice()


@pytest.mark.at("60s")
def test_a_trip_is_rolled_back_when_it_is_cancelled_while_the_model_thinks(service: Service) -> None:
    run = service.send("trip", "Kyoto", {"traveller": "Ada", "to": "Kyoto", "nights": 3})
    until(lambda: len(service.ledger()) == 3, 20, "the payment")
    time.sleep(0.3)
    service.cancel(run)
    with pytest.raises(Refused) as caught:
        service.attach(run, timeout=10)
    assert caught.value.status == 499
    assert [line["tool"] for line in service.ledger()][3:] == ["repay", "cancel_hotel", "cancel_flight"]


# ------------------------------------------------------------ digest


def test_a_digest_waits_before_it_sends_and_sends_once_over_a_kill(service: Service) -> None:
    run = service.send("digest", "monday", {"topic": "energy", "hold": "2s"})
    until(lambda: service.state("digest", "monday") == "waiting", 20, "the wait")
    assert not service.ledger()
    service.restart()
    result = service.attach(run)
    assert (result["issue"], result["subject"]) == ("monday", "Energy: wind at a new high")
    assert result["letter"] == "letter of 51 characters"
    assert [line["tool"] for line in service.ledger()] == ["send"] and service.nothing_twice()


def test_a_digest_that_is_cancelled_in_time_is_not_sent(service: Service) -> None:
    run = service.send("digest", "tuesday", {"topic": "space", "hold": "1h"})
    until(lambda: service.state("digest", "tuesday") == "waiting", 20, "the wait")
    service.cancel(run)
    with pytest.raises(Refused) as caught:
        service.attach(run, timeout=30)
    assert caught.value.status == 499 and not service.ledger()


# ------------------------------------------------------------ claim


def claim(amount: int) -> dict[str, object]:
    return {"claim_id": "7", "holder": "Ada", "amount": amount, "text": "broken arm"}


def test_a_small_claim_needs_nobody_and_a_large_one_waits_for_a_person(service: Service) -> None:
    output = service.run("claim", "small-claim", claim(200))
    assert output["decision"] == "pay" and output["receipt"] == "p-7"
    run = service.send("claim", "large", claim(5000))
    service.gate("claim", "large/sign_off")
    assert service.nodes("claim", "large")["sign_off"] == "waiting"
    service.decide("claim", "large/sign_off", "approve", by="claims").checked()
    assert service.attach(run)["receipt"] == "p-7"
    run = service.send("claim", "refused", claim(5000))
    service.gate("claim", "refused/sign_off")
    service.decide("claim", "refused/sign_off", "reject", by="claims").checked()
    assert service.attach(run)["receipt"] is None
    assert [line["tool"] for line in service.ledger()] == ["pay", "pay"] and service.nothing_twice()
