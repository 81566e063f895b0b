"""The provider path: Google's own client against a stand-in on loopback."""

from __future__ import annotations

from typing import Any

import pytest
from google.adk.models.llm_request import LlmRequest

from agentflow.runtime.answers import Usage, usage
from agentflow.runtime.errors import ModelUnavailable, NodeError
from agentflow.runtime.gemini import connect
from agentflow.runtime.graph import Agent, Model, Retry, Tool
from tests import standin
from tests.runtime.durable import MODEL, Run, both_ways

KEY = "key-that-nobody-may-see"


def add(a: int, b: int = 2) -> dict[str, int]:
    """Adds two numbers."""
    return {"sum": a + b}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GEMINI_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI", "AGENTFLOW_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GOOGLE_API_KEY", KEY)


def agent(model: Model = MODEL, **more: Any) -> Agent:
    return Agent("clerk", model, "You are a clerk.", **more)


async def test_a_turn_on_the_real_client(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = standin.call(("add", {"a": 1}), ("add", {"a": 2}))
    with standin.standin(asked, standin.say("done"), asked, standin.say("done")) as host:
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", host.url)
        clerk = agent(tools=[Tool("add", add)], generate={"temperature": 0, "thinking_budget": 0, "seed": 3})
        run = await both_ways(lambda: Run([clerk]), clerk)
    assert run.scope["answer"] == "done" and len(host.requests) == 4
    journaled: Any = run.journal[0][1]
    assert usage(journaled["value"]) == Usage(input=7, output=3)
    request = host.requests[0]
    assert host.models[0] == "gemini-2.5-flash" and host.keys[0] == KEY
    assert request["generationConfig"]["temperature"] == 0
    assert request["generationConfig"]["thinkingConfig"] == {"thinking_budget": 0}  # the client's own spelling
    declared = request["tools"][0]["functionDeclarations"][0]
    assert declared["name"] == "add" and declared["parameters_json_schema"]["required"] == ["a"]
    assert host.requests[1]["contents"][-1]["parts"][0]["functionResponse"]["response"] == {"sum": 3}


async def test_typed_answers_ask_for_their_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    with standin.standin(standin.say([1, 2])) as host:
        run = Run([clerk := agent(Model("m", "gemini-x", base_url=host.url))])
        assert await run.turn(clerk, returns=list[int]) == [1, 2]
    config = host.requests[0]["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    assert config["responseJsonSchema"] == {"type": "array", "items": {"type": "integer"}}


@pytest.mark.parametrize(
    "failure",
    [standin.error(429), standin.error(503), standin.error(500), standin.error(408), standin.DROPPED],
)
async def test_what_may_pass_is_tried_again(failure: standin.Answer) -> None:
    with standin.standin(failure, failure, standin.say("done")) as host:
        run = Run([clerk := agent(Model("m", "gemini-x", base_url=host.url))])
        assert await run.turn(clerk) == "done"
    assert len(host.requests) == 3, "and the client tried nothing by itself"


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [(400, 400, "rejected the request"), (401, 401, "refused the key"), (403, 403, "refused"), (404, 404, "not know")],
)
async def test_refusals_are_terminal_and_hide_the_key(status: int, code: int, words: str) -> None:
    with standin.standin(standin.error(status, f"no: {KEY}")) as host:
        run = Run([clerk := agent(Model("m", "gemini-x", base_url=host.url))])
        with pytest.raises(NodeError, match=f"gemini-x.*{words}") as raised:
            await run.turn(clerk)
    assert raised.value.code == code and raised.value.kind == "model"
    assert KEY not in str(raised.value) and KEY not in str(run.journal) and len(host.requests) == 1


async def test_tries_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with standin.standin(standin.error(503)) as host:
        model = Model("m", "gemini-x", base_url=host.url, retry=Retry(attempts=2))
        run = Run([clerk := agent(model)])
        with pytest.raises(NodeError, match="answered 503"):
            await run.turn(clerk)
    assert len(host.requests) == 2


async def test_retry_after_is_read() -> None:
    details = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "13s"}
    for answer, seconds in (
        (standin.error(429, retry_after="7"), 7.0),
        (standin.error(429, **details), 13.0),
        (standin.error(429), None),
    ):
        with standin.standin(answer) as host:
            client = connect(Model("m", "gemini-x", base_url=host.url))
            with pytest.raises(ModelUnavailable) as raised:
                async for _ in client.generate_content_async(LlmRequest(model="gemini-x", contents=[])):
                    pass
        assert raised.value.retry_after == seconds


async def test_nobody_there_is_unavailable() -> None:
    model = Model("m", "gemini-x", base_url="http://127.0.0.1:9", retry=Retry(attempts=1))
    run = Run([clerk := agent(model)])
    with pytest.raises(NodeError, match="gemini-x cannot be reached: ConnectError"):
        await run.turn(clerk)


async def test_no_key_is_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_API_KEY")
    run = Run([clerk := agent()])
    with pytest.raises(NodeError, match="set GOOGLE_API_KEY or GEMINI_API_KEY"):
        await run.turn(clerk)


async def test_a_blocked_answer_is_terminal_and_a_malformed_call_goes_back() -> None:
    with standin.standin(standin.blocked("SAFETY")) as host:
        run = Run([clerk := agent(Model("m", "gemini-x", base_url=host.url))])
        with pytest.raises(NodeError, match="no answer: SAFETY"):
            await run.turn(clerk)
    with standin.standin(standin.blocked("MALFORMED_FUNCTION_CALL"), standin.parts([]), standin.say("fine")) as host:
        run = Run([clerk := agent(Model("m", "gemini-x", base_url=host.url))])
        assert await run.turn(clerk) == "fine"
    assert len(host.requests) == 3


async def test_thoughts_are_no_part_of_the_answer() -> None:
    thinking = standin.parts([{"text": "hm", "thought": True}, {"text": "yes", "thoughtSignature": "AAEC/w=="}])
    with standin.standin(thinking) as host:
        run = Run([clerk := agent(Model("m", "gemini-x", base_url=host.url))])
        assert await run.turn(clerk) == "yes"
