"""Limits on the real engine: what is counted, where a limit ends a run, and that nothing is counted twice."""

from __future__ import annotations

import sys
import time
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
        "limit_beside",
        """
limits: {model_calls: 7}
agents:
  clerk: {instruction: Work., tools: [act]}
nodes:
  done: {tool: act, with: {name: done}}
  all:
    needs: [done]
    parallel:
      one: {agent: clerk, prompt: go}
      two: {agent: clerk, prompt: go}
      three: {agent: clerk, prompt: go}
output: "{{ all }}"
""",
    ),
    graph(
        "limit_race",
        """
limits: {model_calls: 50, tool_calls: 50, tokens: 100000}
agents:
  clerk: {instruction: Work., tools: [act]}
nodes:
  race:
    join: any
    parallel:
      one: {steps: {a: {tool: act, with: {name: one}}, b: {agent: clerk, prompt: go}}}
      two: {steps: {a: {tool: act, with: {name: two}}, b: {agent: clerk, prompt: go}}}
      three: {tool: act, with: {name: three}}
  after: {tool: act, with: {name: after}, needs: [race]}
output: "{{ race.winner }}"
""",
    ),
    graph(
        "limit_mixed",
        """
limits: {tool_calls: 3}
nodes:
  a: {tool: act, with: {name: a}}
  b: {tool: act, with: {name: b}}
  group:
    steps:
      c: {tool: act, with: {name: c}}
      d: {tool: act, with: {name: d}}
""",
    ),
    graph(
        "limit_beside_tokens",
        """
limits: {tokens: 45}
agents:
  clerk: {instruction: Work., tools: [look]}
nodes:
  one: {agent: clerk, prompt: go}
  two: {agent: clerk, prompt: go}
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
    "limit_beside": "clerk: [{call: {tool: act, with: {name: x}}}]",
    "limit_mixed": "{}",
    "limit_race": "clerk: [{call: {tool: act, with: {name: x}}}, {delay: 100ms, say: done}]",
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


# ------------------------------------------------------------ side by side


def test_branches_take_from_one_budget(service: Service) -> None:
    """Three agents that would ask four times each, and seven calls in all: eight are never made."""
    error = over(service, "limit_beside", "1")
    assert error.message.startswith("the run has made its 7 model calls (limits.model_calls)")
    assert service.names("undo_act")[-1] == "done" and not service.unfinished()
    asked = [name for (_, name), times in service.steps().items() for _ in range(times) if ".model#" in name]
    assert len(asked) == 7
    assert service.status("limit_beside", "1")["spent"]["model_calls"] == 7


def test_a_budget_over_kills(service: Service) -> None:
    service.control(act={"delay": 0.3})
    run = service.send("limit_beside", "kill")
    for _ in range(3):
        until(lambda: service.names("act", event="begin"), 30, "a tool")
        time.sleep(0.7)
        service.restart()
    with pytest.raises(Refused, match="made its 7 model calls"):
        service.attach(run)
    until(lambda: not service.unfinished(), 30, "the end of all")
    asked = [name for _, name in service.steps() if ".model#" in name]  # one that a kill cut off is asked again
    assert len(asked) <= 7


def test_a_budget_that_is_enough_is_forgotten(service: Service) -> None:
    service.replies("limit_beside", "clerk:\n  - {call: {tool: act, with: {name: x}}}\n  - say: done")
    assert service.run("limit_beside", "fine") == {"one": "done", "two": "done", "three": "done"}
    spent = service.status("limit_beside", "fine")["spent"]
    assert (spent["model_calls"], spent["tool_calls"]) == (6, 4)
    query = "select * from state where service_name like 'limit_beside.budget%'"
    until(lambda: not service.engine.admin.query(query), 20, "forgetting")


def test_tools_beside_each_other_take_from_one_budget(service: Service) -> None:
    """Two steps of the run's own beside a group of two: three of the four are called."""
    error = over(service, "limit_mixed", "1")
    assert "made its 3 tool calls (limits.tool_calls)" in error.message
    assert len(service.names("act", event="begin")) <= 3 and not service.unfinished()
    assert sorted(service.names("act")) == sorted(service.names("undo_act"))


def test_tokens_are_counted_side_by_side_before_each_call(service: Service) -> None:
    with standin(call(("look", {"name": "x"}))) as provider:
        with_provider(service, provider)
        error = over(service, "limit_beside_tokens", "1")
        assert "has used" in error.message and "of 45 (limits.tokens)" in error.message
        assert 5 <= len(provider.requests) <= 6, "the calls under way when the fifth was made, and no more"


def test_losers_and_cancels_leave_no_budget_behind(service: Service) -> None:
    for number, delay in enumerate((0.0, 0.01, 0.03, 0.2)):
        service.control(act={"three": {"delay": delay}, "one": {"delay": 0.02}})
        assert service.run("limit_race", f"race {number}") in ("one", "two", "three")
    for number in range(6):
        run = service.send("limit_race", f"cancel {number}")
        time.sleep(0.02 * number)
        service.cancel(run)
        with pytest.raises(Refused):
            service.attach(run)
    until(lambda: not service.unfinished(), 30, "the end of all")
    query = "select * from state where service_name like 'limit_race.budget%'"
    until(lambda: not service.engine.admin.query(query), 20, "forgetting")
    assert service.nothing_twice()
