"""An agent's turn on the real engine: tools asked for together, tools that fail, a provider that fails."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from harness import Service, graph, until

from agentflow.client import Refused

sys.path.insert(0, str(Path(__file__).parents[1]))

from standin import Standin, call, error, say, standin  # noqa: E402 - found by the line above

GRAPHS = [
    graph(
        "agent_tools",
        """
agents:
  busy: {instruction: Work., tools: [act, look, work, once, journaled, count, adviser], limits: {model_calls: 12}}
  adviser: {instruction: Advise., description: Knows., input: {about: string}, tools: [act], returns: {advice: string}}
input: {story: string}
nodes:
  work: {agent: busy, prompt: "{{ input.story }}"}
""",
    ),
    graph(
        "agent_typed",
        """
agents:
  judge: {instruction: Judge., returns: {good: boolean, points: integer}, tools: [look]}
nodes:
  verdict: {agent: judge, prompt: judge}
output: "{{ verdict.points + 1 }}"
""",
    ),
    graph(
        "agent_retry",
        """
agents:
  lone: {instruction: Work.}
nodes:
  one: {agent: lone, prompt: go, retry: {attempts: 2, initial: 20ms}}
""",
    ),
]
REPLIES = {
    "agent_tools": """
busy:
  - if: "'together' in prompt"
    calls:
      - {tool: act, with: {name: a}}
      - {tool: act, with: {name: b}}
      - {tool: look, with: {name: c}}
  - {if: "'together' in prompt", say: done}

  - if: "'mixed' in prompt"
    calls:
      - {tool: act, with: {name: a}}
      - {tool: journaled, with: {name: j}}
      - {tool: adviser, with: {about: x}}
  - {if: "'mixed' in prompt", say: done}

  - if: "'unknown' in prompt"
    calls:
      - {tool: nothing, with: {}}
      - {tool: act, with: {nom: a}}
      - {tool: count, with: {number: 3}}
  - {if: "'unknown' in prompt", say: recovered}

  - if: "'told' in prompt"
    calls:
      - {tool: act, with: {name: bad}}
      - {tool: act, with: {name: good}}
  - {if: "'told' in prompt", say: recovered}

  - {if: "'endless' in prompt", call: {tool: look, with: {name: x}}}
adviser:
  - call: {tool: act, with: {name: advice}}
  - say: {advice: do it}
""",
    "agent_typed": "judge:\n  - say: nonsense\n  - say: {good: perhaps}\n  - say: {good: true, points: 4}",
    "agent_retry": "lone:\n  - error: 503",
}
ENVIRONMENT = {"AGENTFLOW_TEST_JITTER": "0.1"}


def tell(service: Service, key: str, story: str | None = None) -> object:
    return service.run("agent_tools", key, {"story": story or key})


def terminal(service: Service, graph: str, key: str, given: object = None) -> Refused:
    with pytest.raises(Refused) as caught:
        service.run(graph, key, given)
    return caught.value


# ------------------------------------------------------------ tools


def test_calls_of_one_turn_run_together(service: Service) -> None:
    tell(service, "warm", "together")
    service.control(act={"delay": 1}, look={"delay": 1})
    service.steps_file.unlink()
    assert tell(service, "together") == "done"
    assert service.side_by_side("act", "look")
    assert service.nothing_twice()


def test_a_kill_repeats_no_call_of_the_turn_that_finished(service: Service) -> None:
    service.control(act={"a": {"delay": 0.1}, "b": {"delay": 2}}, look={"delay": 0.1})
    run = service.send("agent_tools", "kill", {"story": "together"})
    until(lambda: service.names("look") and service.names("act") == ["a"], 20, "two of the three")
    time.sleep(0.3)
    service.restart()
    assert service.attach(run) == "done"
    assert service.engine.inactivity == "0s" or service.names(event="begin").count("a") == 1
    assert service.names(event="begin").count("b") == 2
    assert len({line["key"] for line in service.effects("act", event="begin")}) == 2


def test_a_batch_with_an_agent_and_a_tool_that_keeps_a_journal_runs_in_order(service: Service) -> None:
    assert tell(service, "mixed") == "done"
    assert service.names("act") == ["a", "advice"] and service.nothing_twice()


def test_what_a_model_asks_for_wrongly_it_is_told(service: Service) -> None:
    assert tell(service, "unknown") == "recovered"
    assert service.names() == ["3"]


def test_a_tool_error_is_told_to_the_model_and_its_neighbour_is_not_disturbed(service: Service) -> None:
    service.control(act={"bad": {"fail": "tool"}})
    assert tell(service, "told") == "recovered"
    assert service.names() == ["good"]


def test_a_terminal_error_in_a_batch_ends_the_run_and_undoes_its_neighbour(service: Service) -> None:
    service.control(act={"bad": {"fail": "terminal"}, "good": {"delay": 0.4}})
    error = terminal(service, "agent_tools", "told terminal", {"story": "told"})
    assert (error.status, error.metadata["kind"]) == (402, "tool")
    assert service.names() == ["good", "good"] and service.names("undo_act") == ["good"]


def test_a_tool_that_fails_otherwise_is_tried_again_by_the_engine_too(service: Service) -> None:
    service.control(act={"bad": {"fail": "error", "times": 4}})
    assert tell(service, "told otherwise", "told") == "recovered"
    assert sorted(service.names()) == ["bad", "good"] and service.names(event="begin").count("bad") == 5


def test_an_agent_that_never_ends_is_ended_by_its_limit(service: Service) -> None:
    error = terminal(service, "agent_tools", "endless", {"story": "endless"})
    assert (error.status, error.metadata["kind"]) == (500, "limit") and "12 model calls" in error.message
    assert len(service.names("look")) == 12


# ------------------------------------------------------------ answers and providers


def test_an_answer_that_does_not_fit_goes_back_twice(service: Service) -> None:
    assert service.run("agent_typed", "1") == 5
    assert service.status("agent_typed", "1")["spent"]["model_calls"] == 3
    service.replies("agent_typed", "judge:\n  - say: nonsense")
    error = terminal(service, "agent_typed", "2")
    assert error.metadata["kind"] == "output" and service.status("agent_typed", "2")["spent"]["model_calls"] == 3


def test_a_model_call_is_tried_as_often_as_the_node_says(service: Service) -> None:
    error = terminal(service, "agent_retry", "1")
    assert (error.status, error.metadata["kind"], error.metadata["node"]) == (503, "model", "one")
    assert error.message.startswith("the model did not answer in 2 tries: ")
    service.replies("agent_retry", "lone:\n  - {error: 503, times: 1}\n  - say: well")
    assert service.run("agent_retry", "2") == "well"
    assert service.status("agent_retry", "2")["spent"]["model_calls"] == 1


def with_provider(service: Service, provider: Standin) -> None:
    service.restart(AGENTFLOW_OFFLINE="0", GOOGLE_GEMINI_BASE_URL=provider.url, GOOGLE_API_KEY="a-secret-key-of-ours")


def test_the_real_client_survives_a_provider_that_is_busy_and_down(service: Service) -> None:
    answers = [
        error(429, retry_after="0.2"),
        error(503),
        call(("act", {"name": "real"})),
        error(503),
        error(429),
        say("done by Gemini"),
    ]
    with standin(*answers) as provider:
        with_provider(service, provider)
        assert tell(service, "gemini") == "done by Gemini"
        assert len(provider.requests) == 6 and service.names() == ["real"] and service.nothing_twice()
        assert service.status("agent_tools", "gemini")["spent"]["model_calls"] == 2


def test_the_real_client_ends_in_a_named_error_when_the_provider_stays_down(service: Service) -> None:
    with standin(error(503, "the model is overloaded")) as provider:
        with_provider(service, provider)
        failure = terminal(service, "agent_tools", "down", {"story": "x"})
        assert (failure.status, failure.metadata["kind"], failure.metadata["node"]) == (503, "model", "work")
        assert failure.message.startswith("the model did not answer in 5 tries: ") and "overloaded" in failure.message
        assert len(provider.requests) == 5


def test_a_key_that_is_refused_ends_the_run_at_once_and_is_shown_nowhere(service: Service) -> None:
    with standin(error(401, "bad key a-secret-key-of-ours")) as provider:
        with_provider(service, provider)
        failure = terminal(service, "agent_tools", "key", {"story": "x"})
        assert failure.status == 401 and failure.metadata["kind"] == "model" and len(provider.requests) == 1
        seen = str(service.status("agent_tools", "key")) + failure.message + service.log.read_text()
        assert "a-secret-key-of-ours" not in seen


def test_a_kill_between_model_calls_asks_the_provider_nothing_again(service: Service) -> None:
    service.control(act={"delay": 1.0})
    with standin(call(("act", {"name": "slow"})), say("done")) as provider:
        with_provider(service, provider)
        run = service.send("agent_tools", "between", {"story": "x"})
        until(lambda: service.names(event="begin"), 20, "the tool")
        with_provider(service, provider)
        assert service.attach(run) == "done"
        assert len(provider.requests) == 2
