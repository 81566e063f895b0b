"""Turns of agents: durable, in order, bounded, and typed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Literal

import pytest
import restate
from google.adk.models.base_llm import BaseLlm
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.genai import types
from pydantic import Field

from agentflow import ToolError
from agentflow.runtime import models
from agentflow.runtime.errors import NodeError
from agentflow.runtime.graph import Agent, Limits, Model, Tool
from agentflow.runtime.schema import Number, Type
from tests.runtime.durable import MODEL, Run, Suspended, both_ways, replies


class Decision(Type):
    decision: Literal["pay", "reject"]
    amount: Number


def add(a: int, b: int = 2) -> dict[str, int]:
    """Adds two numbers."""
    return {"sum": a + b}


async def shout(text: str, idempotency_key: str) -> str:
    await asyncio.sleep(0)
    return text.upper()


def picky(text: str) -> str:
    raise ToolError(f"not {text}")


def journaling(ctx: restate.Context, text: str) -> str:
    raise AssertionError("not called here")


ADD, SHOUT, PICKY = Tool("add", add), Tool("shout", shout), Tool("picky", picky)


class Seen(BaseLlm):
    """A scripted model, chosen by the number of answers already in the request; keeps its requests."""

    script: list[Any]
    requests: list[LlmRequest] = Field(default_factory=list)

    async def generate_content_async(self, llm_request: LlmRequest, stream: bool = False) -> Any:
        assert stream is False
        self.requests.append(llm_request)
        parts = self.script[min(models.answers(llm_request), len(self.script) - 1)]
        yield LlmResponse(content=types.Content(role="model", parts=parts))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Any:
    def script(*answers: Any) -> Seen:
        model = Seen(
            model="seen-1", script=[[types.Part.from_text(text=a)] if isinstance(a, str) else a for a in answers]
        )
        real = models.provider
        monkeypatch.setattr(models, "provider", lambda of: model if of.model.startswith("seen-") else real(of))
        return model

    return script


SEEN = Model("seen", "seen-1")


def asks(name: str, **args: Any) -> types.Part:
    return types.Part(function_call=types.FunctionCall(name=name, args=args))


# ---------------------------------------------------------------- replay


async def test_tools_of_one_answer_run_together_in_the_models_order(tmp_path: Path) -> None:
    agent = Agent("clerk", MODEL, "You add.", tools=[ADD, SHOUT])
    said = "clerk: [{calls: [{tool: shout, with: {text: a}}, {tool: add, with: {a: 1}}]}, {say: done}]"
    run = await both_ways(lambda: Run([agent], replies(tmp_path, said)), agent)
    assert run.batches == [["shout#2", "add#3"]]
    assert [name for name, _ in run.journal] == ["model#1", "shout#2", "add#3", "model#4"]
    assert run.scope["answer"] == "done"


async def test_handoffs_go_round_in_a_cycle_and_replay(tmp_path: Path) -> None:
    triage = Agent("triage", MODEL, "You sort.", tools=[ADD], handoffs=["billing"])
    billing = Agent("billing", MODEL, "You bill.", handoffs=["triage"])
    said = """
        triage: [{handoff: billing}, {call: {tool: add, with: {a: 4}}}, {say: sorted}]
        billing: [{error: 503, times: 2}, {handoff: triage}]
    """
    run = await both_ways(lambda: Run([triage, billing], replies(tmp_path, said)), triage)
    assert run.handoffs == 2 and run.scope["answer"] == "sorted"


async def test_handoffs_without_end_meet_the_limit(tmp_path: Path) -> None:
    triage = Agent("triage", MODEL, "a", handoffs=["billing"])
    billing = Agent("billing", MODEL, "b", handoffs=["triage"])
    run = Run([triage, billing], replies(tmp_path, "{triage: [{handoff: billing}], billing: [{handoff: triage}]}"))
    with pytest.raises(NodeError, match="the run has made its 20 handoffs"):
        await run.turn(triage)
    assert run.handoffs == 20


async def test_an_agents_own_limit_counts_its_own_handoffs(tmp_path: Path) -> None:
    triage = Agent("triage", MODEL, "a", handoffs=["billing"], limits=Limits(handoffs=3))
    billing = Agent("billing", MODEL, "b", handoffs=["triage"])
    run = Run([triage, billing], replies(tmp_path, "{triage: [{handoff: billing}], billing: [{handoff: triage}]}"))
    with pytest.raises(NodeError, match=r"triage has made its 3 handoffs \(limits.handoffs\)"):
        await run.turn(triage)
    assert run.handoffs == 6


async def test_a_hundred_handoffs_need_no_deep_stack(tmp_path: Path) -> None:
    one = Agent("one", MODEL, "a", handoffs=["two"])
    two = Agent("two", MODEL, "b", handoffs=["one"])
    said = "{one: [{if: turn < 60, handoff: two}, {if: turn >= 60, say: end}], two: [{handoff: one}]}"
    run = Run([one, two], replies(tmp_path, said), handoff_limit=200)
    assert await run.turn(one) == "end"
    assert run.handoffs == 120


async def test_an_agent_as_a_tool_has_its_own_conversation_and_replays(tmp_path: Path) -> None:
    helper = Agent("helper", MODEL, "You help.", tools=[ADD], returns=Decision, description="Knows.")
    boss = Agent("boss", MODEL, "You ask.", tools=[helper, ADD])
    said = """
        boss:
          - calls: [{tool: add, with: {a: 1}}, {tool: helper, with: {message: "how much?"}}, {tool: helper}]
          - say: thanks
        helper:
          - {if: "'how much' in prompt", call: {tool: add, with: {a: 2}}}
          - say: {decision: pay, amount: 5000}
    """
    run = await both_ways(lambda: Run([helper, boss], replies(tmp_path, said)), boss)
    names = [name for name, _ in run.journal]
    assert names == ["model#1", "add#2", "helper#3.model#1", "helper#3.add#2", "helper#3.model#3", "model#4"]
    assert run.batches == [["add#2"], ["helper#3.add#2"]]


async def test_a_tool_with_its_own_journal_runs_in_order(tmp_path: Path) -> None:
    agent = Agent("clerk", MODEL, "You add.", tools=[ADD, Tool("journaling", journaling)])

    class Ordered(Run):
        async def tool_batch(self, calls: Any) -> Any:
            self.batches.append([call.address for call in calls])
            return [type("Told", (), {"value": 1, "error": None}) for _ in calls]

    said = "clerk: [{calls: [{tool: add, with: {a: 1}}, {tool: journaling, with: {text: b}}]}, {say: done}]"
    run = Ordered([agent], replies(tmp_path, said))
    assert await run.turn(agent) == "done"
    assert run.batches == [["add#2"], ["journaling#3"]]


async def test_the_node_has_its_own_replies_before_the_agents(tmp_path: Path) -> None:
    agent = Agent("clerk", MODEL, "You.")
    said = "{clerk: [{say: by agent}], letter: [{say: by node}]}"
    assert await Run([agent], replies(tmp_path, said), path="group[2].letter").turn(agent) == "by node"
    assert await Run([agent], replies(tmp_path, said), path="other").turn(agent) == "by agent"


# ---------------------------------------------------------------- what the model is told


async def test_mistakes_are_told_to_the_model_and_never_retried(seen: Any) -> None:
    model = seen([asks("nope"), asks("add", a="many"), asks("add", a=1, c=2), asks("picky", text="x")], "done")
    agent = Agent("clerk", SEEN, "You add.", tools=[ADD, PICKY])
    run = Run([agent])
    assert await run.turn(agent) == "done"
    told = [part.function_response for part in model.requests[1].contents[-1].parts]
    texts = [next(iter(response.response.values())) for response in told]
    assert "no tool with that name" in texts[0] and "add" in texts[0]
    assert "at $.a" in texts[1] and '"many"' in texts[1] and '"integer"' in texts[1]
    assert "at $.c: there is no such field" in texts[2]
    assert texts[3] == "not x"
    assert [name for name, _ in run.journal] == ["model#1", "picky#2", "model#3"]


async def test_a_handoff_that_was_not_declared_is_told(seen: Any) -> None:
    model = seen([asks("transfer_to_agent", agent_name="root")], "done")
    agent, other = Agent("clerk", SEEN, "You.", handoffs=["other"]), Agent("other", SEEN, "Other.", description="Else.")
    assert await Run([agent, other]).turn(agent) == "done"
    assert 'no agent "root"' in model.requests[1].contents[-1].parts[0].function_response.response["error"]
    declared = model.requests[0].config.tools[0].function_declarations[0]
    assert declared.parameters_json_schema["properties"]["agent_name"]["enum"] == ["other"]
    assert "other: Else." in declared.description


async def test_instructions_are_rendered_and_braces_survive(seen: Any) -> None:
    model = seen("done")
    agent = Agent(
        "clerk", SEEN, "For {{ input.name }}: answer {like} this.", generate={"temperature": 0.5, "stop": "X"}
    )
    run = Run([agent], scope={"input": {"name": "Ada {x}"}, "run": {}, "secret": 1})
    assert await run.turn(agent, "hi {there}") == "done"
    config = model.requests[0].config
    assert "For Ada {x}: answer {like} this." in config.system_instruction
    assert (config.temperature, config.stop_sequences) == (0.5, ["X"])
    assert model.requests[0].contents[0].parts[0].text == "hi {there}"


async def test_two_handoffs_at_once_are_one(seen: Any) -> None:
    seen([asks("transfer_to_agent", agent_name="a"), asks("transfer_to_agent", agent_name="b")], "done")
    first = Agent("first", SEEN, "x", handoffs=["a", "b"])
    a, b = Agent("a", Model("m", "offline"), "a"), Agent("b", SEEN, "b")
    run = Run([first, a, b])
    with pytest.raises(NodeError, match='no provider for model "offline"'):
        await run.turn(first)
    assert run.handoffs == 1


# ---------------------------------------------------------------- typed answers


@pytest.mark.parametrize(
    ("answer", "returns", "value"),
    [
        ('{"decision": "pay", "amount": 5000}', Decision, {"decision": "pay", "amount": 5000}),
        ('Here:\n```json\n{"decision": "pay", "amount": 5.5}\n```\nBye', Decision, {"decision": "pay", "amount": 5.5}),
        ('I think {"decision": "reject", "amount": 0} fits', Decision, {"decision": "reject", "amount": 0}),
        ("pay", Literal["pay", "reject"], "pay"),
        ('"pay"', Literal["pay", "reject"], "pay"),
        ("[1, 2]", list[int], [1, 2]),
        ("5000", float, 5000),
        ("null", Decision | None, None),
        ("true", bool, True),
        ("hello", str | None, "hello"),
        ("  kept as is\n", str, "  kept as is\n"),
    ],
)
async def test_answers_become_values(seen: Any, answer: str, returns: Any, value: Any) -> None:
    seen(answer)
    agent = Agent("clerk", SEEN, "You decide.")
    got = await Run([agent]).turn(agent, returns=returns)
    assert json.dumps(got) == json.dumps(value)


async def test_a_typed_agent_without_tools_uses_the_native_schema(seen: Any) -> None:
    model = seen('{"decision": "pay", "amount": 1}')
    agent = Agent("clerk", SEEN, "You decide.")
    await Run([agent]).turn(agent, returns=Decision)
    config = model.requests[0].config
    assert config.response_mime_type == "application/json"
    assert config.response_json_schema["properties"]["decision"]["enum"] == ["pay", "reject"]
    agent = Agent("clerk", SEEN, "You decide.", tools=[ADD])
    await Run([agent]).turn(agent, returns=Decision)
    assert model.requests[1].config.response_json_schema is None
    assert '"decision"' in model.requests[1].config.system_instruction


async def test_an_answer_that_does_not_fit_goes_back_twice_and_no_more(seen: Any) -> None:
    model = seen("pay it", '{"decision": "pay"}', '{"decision": "pay", "amount": 7}')
    agent = Agent("clerk", SEEN, "You decide.")
    assert await Run([agent]).turn(agent, returns=Decision) == {"decision": "pay", "amount": 7}
    assert "at $.amount: missing" in model.requests[2].contents[-1].parts[0].text
    model = seen('{"decision": "pay", "amount": true}')
    run = Run([agent])
    with pytest.raises(NodeError, match=r"3 answers.*\$\.amount") as raised:
        await run.turn(agent, returns=Decision)
    assert raised.value.kind == "output" and len(run.journal) == 3
    with pytest.raises(NodeError, match="3 answers"):
        await run.turn(agent, returns=Decision)
    assert len(model.requests) == 3, "the replay asked the model again"


async def test_whoever_answers_must_fit_the_type_of_the_node(tmp_path: Path) -> None:
    triage = Agent("triage", MODEL, "a", handoffs=["billing"], returns=str)
    billing = Agent("billing", MODEL, "b", returns=bool)
    said = "{triage: [{handoff: billing}], billing: [{say: yes}, {say: {decision: pay, amount: 3}}]}"
    run = Run([triage, billing], replies(tmp_path, said))
    assert await run.turn(triage, returns=Decision) == {"decision": "pay", "amount": 3}


async def test_an_empty_answer_goes_back_and_a_blocked_one_ends(seen: Any) -> None:
    seen([], "hello")
    agent = Agent("clerk", SEEN, "You.")
    with pytest.raises(NodeError, match="empty"):
        await Run([agent]).turn(agent)


# ---------------------------------------------------------------- failures


async def test_what_the_run_raises_reaches_the_caller_unchanged(tmp_path: Path) -> None:
    agent = Agent("clerk", MODEL, "You.", tools=[ADD])
    said = "clerk: [{calls: [{tool: add, with: {a: 1}}, {tool: add, with: {a: 2}}]}, {say: done}]"

    class Interrupted(BaseException):
        pass

    for error in (Interrupted(), NodeError("tool", "broke"), restate.TerminalError("ended"), asyncio.CancelledError()):
        for place in ("model_call", "tool_batch"):
            run = Run([agent], replies(tmp_path, said))

            async def fails(*_: Any, error: BaseException = error) -> Any:
                await asyncio.sleep(0)
                raise error

            setattr(run, place, fails)
            with pytest.raises(type(error)) as raised:
                await run.turn(agent)
            assert raised.value is error or isinstance(error, asyncio.CancelledError)


async def test_an_unknown_model_ends_at_once() -> None:
    agent = Agent("clerk", Model("x", "gpt-9"), "You.")
    run = Run([agent])
    with pytest.raises(NodeError, match='no provider for model "gpt-9"') as raised:
        await run.turn(agent)
    assert raised.value.kind == "model" and len(run.journal) == 1


async def test_an_agents_own_limit_of_model_calls_holds(tmp_path: Path) -> None:
    agent = Agent("clerk", MODEL, "You.", tools=[ADD], limits=Limits(model_calls=3))
    run = Run([agent], replies(tmp_path, "clerk: [{call: {tool: add, with: {a: 1}}}]"))
    with pytest.raises(NodeError, match="3 model calls") as raised:
        await run.turn(agent)
    assert raised.value.kind == "limit"


async def test_a_crashing_client_is_terminal(seen: Any) -> None:
    model = seen("x")
    model.script = []
    agent = Agent("clerk", SEEN, "You.")
    with pytest.raises(NodeError, match="IndexError"):
        await Run([agent]).turn(agent)


async def test_thought_signatures_survive_the_journal(seen: Any) -> None:
    signature = bytes(range(256))
    part = types.Part(function_call=types.FunctionCall(name="add", args={"a": 1}), thought_signature=signature)
    model = seen([part], "done")
    agent = Agent("clerk", SEEN, "You.", tools=[ADD])
    await both_ways(lambda: Run([agent]), agent)
    for request in model.requests:
        if models.answers(request):
            assert request.contents[1].parts[0].thought_signature == signature


def test_suspended_is_no_exception() -> None:
    assert not issubclass(Suspended, Exception)
