"""Limits on the real engine: what is counted, where a limit ends a run, and that nothing is counted twice."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from harness import TOOLS, Service, graph, until

from agentflow.client import Refused

sys.path.insert(0, str(Path(__file__).parents[1]))

from standin import Standin, call, say, standin  # noqa: E402 - found by the line above

PRICED = """
models:
  default:
    model: gemini-2.5-flash
    retry: {attempts: 5, initial: 50ms, max: 500ms}
    price: {input: 1000000, output: 2000000}
"""


def priced(name: str, body: str) -> str:
    return f"agentflow: 1\ngraph: {name}\n{PRICED}{TOOLS}{body}"


GRAPHS = [
    graph(
        "limit_tokens",
        """
limits: {tokens: 25}
agents:
  busy: {instruction: Work., tools: [look, act]}
steps:
  done: {tool: act, with: {name: done}}
  work: {agent: busy, prompt: go}
""",
    ),
    priced(
        "limit_cost",
        """
agents:
  busy: {instruction: Work., tools: [adviser], limits: {cost: 40}}
  adviser: {instruction: Advise., tools: [look]}
steps:
  done: {tool: act, with: {name: done}}
  work: {agent: busy, prompt: go}
""",
    ),
    priced(
        "limit_branch",
        """
limits: {cost: 35}
agents:
  busy: {instruction: Work., tools: [look]}
nodes:
  done: {tool: act, with: {name: done}}
  first: {agent: busy, prompt: go, needs: [done]}
  both:
    needs: [first]
    parallel:
      one:
        steps:
          a: {tool: act, with: {name: a}}
          b: {agent: busy, prompt: again}
      two: {tool: act, with: {name: two}}
""",
    ),
    graph(
        "limit_tools",
        """
limits: {tool_calls: 2}
nodes:
  a: {tool: act, with: {name: a}}
  b: {tool: act, with: {name: b}}
  c: {tool: act, with: {name: c}}
""",
    ),
    graph(
        "limit_agent",
        """
input: {story: string}
agents:
  busy: {instruction: Work., tools: [act, adviser], limits: {tool_calls: 3, fan_out: 2}}
  adviser: {instruction: Advise., description: Knows., tools: [act, look]}
  slow: {instruction: Work., tools: [sloth]}
  sloth: {instruction: Think., tools: [look], limits: {time: 1s}}
  triage: {instruction: Sort., handoffs: [worker], limits: {model_calls: 2, time: 1m}}
  worker: {instruction: Work., tools: [look], handoffs: [triage]}
nodes:
  work:
    switch: input.story
    cases:
      inside: {agent: busy, prompt: "{{ input.story }}"}
      at_once: {agent: busy, prompt: "{{ input.story }}"}
      slow: {agent: slow, prompt: "{{ input.story }}"}
      handed: {agent: triage, prompt: "{{ input.story }}"}
    default: {value: null}
""",
    ),
]
REPLIES = {
    "limit_agent": """
busy:
  - {if: "prompt == 'inside'", calls: [{tool: act, with: {name: a}}]}
  - {if: "prompt == 'inside'", call: {tool: adviser, with: {message: go}}}
  - if: "prompt == 'at_once'"
    calls: [{tool: act, with: {name: x}}, {tool: act, with: {name: y}}, {tool: act, with: {name: z}}]
adviser: [{call: {tool: act, with: {name: inner}}}]
slow: [{call: {tool: sloth, with: {message: go}}}, {say: done}]
sloth: [{call: {tool: look, with: {name: slow}}}, {say: thought}]
triage: [{handoff: worker}, {say: sorted}]
worker:
  - {call: {tool: look, with: {name: one}}}
  - {call: {tool: look, with: {name: two}}}
  - {call: {tool: look, with: {name: three}}}
  - {handoff: triage}
""",
    "limit_tools": "{}",
}


def with_provider(service: Service, provider: Standin) -> None:
    service.restart(AGENTFLOW_OFFLINE="0", GOOGLE_GEMINI_BASE_URL=provider.url, GOOGLE_API_KEY="a-secret-key-of-ours")


def over(service: Service, name: str, key: str, given: dict[str, str] | None = None) -> Refused:
    """The error of a run that a limit ended."""
    with pytest.raises(Refused) as caught:
        service.run(name, key, given)
    assert caught.value.metadata["kind"] == "limit", caught.value.message
    assert service.state(name, key) == "failed" and service.nothing_twice()
    return caught.value


def test_the_tokens_of_a_run_end_it_before_the_next_call(service: Service) -> None:
    with standin(call(("look", {"name": "x"}))) as provider:
        with_provider(service, provider)
        error = over(service, "limit_tokens", "1")
        assert error.message == "the run has used 30 tokens, of 25 (limits.tokens). Undone: done (undo_act)"
        assert (error.status, error.metadata["node"]) == (500, "work") and service.names("undo_act") == ["done"]
        assert len(provider.requests) == 3
    spent = service.status("limit_tokens", "1")["spent"]
    assert (spent["model_calls"], spent["tool_calls"]) == (3, 4)
    assert (spent["input_tokens"], spent["output_tokens"], spent["cost"]) == (21, 9, 0)


def test_a_kill_makes_nothing_count_twice(service: Service) -> None:
    service.control(look={"delay": 1.0})
    with standin(call(("look", {"name": "x"}))) as provider:
        with_provider(service, provider)
        run = service.send("limit_tokens", "kill")
        for times in (1, 2):
            until(lambda times=times: len(service.names("look", event="begin")) >= times, 30, "the tool")
            with_provider(service, provider)
        with pytest.raises(Refused, match="used 30 tokens, of 25"):
            service.attach(run)
        assert len(provider.requests) == 3 and service.nothing_twice()
    spent = service.status("limit_tokens", "kill")["spent"]
    assert (spent["model_calls"], spent["tool_calls"], spent["input_tokens"]) == (3, 4, 21)


def test_what_an_agent_called_as_a_tool_costs_is_its_callers_cost(service: Service) -> None:
    answers = [call(("adviser", {"message": "go"})), call(("look", {"name": "x"}))]
    with standin(*answers) as provider:
        with_provider(service, provider)
        error = over(service, "limit_cost", "1")
        assert error.message.startswith("busy has cost 52, of 40 (limits.cost). Undone: done")
        assert len(provider.requests) == 4
    spent = service.status("limit_cost", "1")["spent"]
    assert (spent["cost"], spent["model_calls"]) == (52, 4)


def test_a_branch_begins_with_what_the_run_has_cost(service: Service) -> None:
    with standin(call(("look", {"name": "x"})), say("well"), call(("look", {"name": "y"}))) as provider:
        with_provider(service, provider)
        error = over(service, "limit_branch", "1")
        assert error.message.startswith("the run has cost 39, of 35 (limits.cost). Undone: ")
        assert error.metadata["node"] == "both.one.b" and len(provider.requests) == 3
    assert sorted(service.names("undo_act")) == ["a", "done", "two"]
    assert service.status("limit_branch", "1")["spent"]["cost"] == 39


def test_a_tool_that_is_too_much_is_not_called(service: Service) -> None:
    error = over(service, "limit_tools", "1")
    assert error.message.startswith("the run has made its 2 tool calls (limits.tool_calls)")
    assert sorted(service.names("act")) == sorted(service.names("undo_act")) and "c" not in service.names("act")
    assert service.status("limit_tools", "1")["spent"]["tool_calls"] == 2


def test_an_agents_limit_holds_for_the_agents_that_it_calls(service: Service) -> None:
    error = over(service, "limit_agent", "inside", {"story": "inside"})
    assert error.message.startswith("busy has made its 3 tool calls (limits.tool_calls)")
    assert service.names("act") == ["a", "inner", "inner"]
    assert sorted(service.names("undo_act")) == ["a", "inner", "inner"]


def test_an_answer_that_asks_for_too_much_at_once_starts_none_of_it(service: Service) -> None:
    error = over(service, "limit_agent", "at_once", {"story": "at_once"})
    assert error.message == "busy: 3 tool calls at once are more than 2 (limits.fan_out)"
    assert service.names("act", event="begin") == []


def test_the_time_of_an_agent_that_is_called_is_its_own(service: Service) -> None:
    service.control(look={"delay": 2.5})
    error = over(service, "limit_agent", "slow", {"story": "slow"})
    assert (error.status, error.message) == (504, "sloth took longer than 1s (limits.time)")


def test_an_agent_does_not_answer_for_those_that_it_hands_over_to(service: Service) -> None:
    assert service.run("limit_agent", "handed", {"story": "handed"}) == "sorted"
    spent = service.status("limit_agent", "handed")["spent"]
    assert (spent["model_calls"], spent["handoffs"], spent["tool_calls"]) == (6, 2, 3)
