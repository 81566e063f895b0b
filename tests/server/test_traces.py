"""Traces as a receiver of OpenTelemetry gets them: each span once, under the right one, at the right time."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from harness import Service, graph, until
from receiver import Receiver, Span, tree

from agentflow.client import path, request

ENVIRONMENT: dict[str, str] = {
    "OTEL_SERVICE_NAME": "desk",
    "AGENTFLOW_TEST_JITTER": "0.05",
    "DESK_PASSWORD": "swordfish-and-chips",
}
GRAPHS = [
    graph(
        "traced",
        """
agents:
  writer: {instruction: Write with care., tools: [look, act], generate: {temperature: 0.5}}
  helper: {instruction: Help.}
nodes:
  first: {tool: act, with: {name: first}}
  both:
    parallel:
      left: {agent: writer, prompt: "a marked prompt"}
      right:
        nodes:
          a: {tool: act, with: {name: a}}
          b: {tool: act, with: {name: b}, needs: [a]}
    needs: [first]
  sign: {approval: "a marked question", approvers: [ada], needs: [both]}
  pause: {wait: 100ms, needs: [sign]}
  last: {agent: helper, prompt: "{{ pause }}", needs: [pause]}
output: {text: "{{ last }}"}
""",
    ),
    graph(
        "fails",
        """
nodes:
  done: {tool: act, with: {name: done}}
  wrong: {tool: once, with: {name: wrong}, needs: [done]}
""",
    ),
]
GRAPHS += [
    *(
        graph(
            f"talk_{busy}",
            f"""
kind: object
on_busy: {busy}
agents: {{clerk: {{instruction: Work., tools: [look, act]}}}}
""",
        )
        for busy in ("queue", "interrupt")
    ),
    graph(
        "called",
        """
kind: service
input: {name: string}
nodes:
  done: {tool: act, with: {name: "{{ input.name }}"}}
""",
    ),
    graph(
        "calls",
        """
nodes:
  each:
    for_each: "[1, 2]"
    do: {graph: called, with: {name: "{{ item }}."}}
  rounds:
    loop:
      look: {tool: look, with: {name: "{{ index }}."}}
    until: index == 2
    max: 3
    every: 50ms
    needs: [each]
  sent: {graph: called, with: {name: later}, mode: send, needs: [rounds]}
finally:
  last: {tool: look, with: {name: over}}
""",
    ),
]
TALK = "clerk: [{call: {tool: act, with: {name: x}}}, {say: done}]"
REPLIES = {
    "talk_queue": TALK,
    "talk_interrupt": TALK,
    "traced": """
writer:
  - calls: [{tool: look, with: {name: x}}, {tool: act, with: {name: y}}]
  - say: a marked answer
helper:
  - {error: 503, times: 1}
  - say: done
""",
}
CALLER = "00-{trace}-00f067aa0ba902b7-01"


@pytest.fixture(scope="module", autouse=True)
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    ENVIRONMENT["OTEL_EXPORTER_OTLP_ENDPOINT"] = receiver.url
    yield receiver
    receiver.stop()


def send(service: Service, graph: str, key: str, trace: str) -> None:
    """Starts a run as a caller that is itself traced."""
    url = service.engine.ingress + path(graph, key, "run", "send")
    request("POST", url, {}, headers={"traceparent": CALLER.format(trace=trace)}).checked()


def trace_id() -> str:
    return os.urandom(16).hex()


EXPECTED = [
    [
        "invoke_workflow traced",
        [
            [
                "node both",
                [
                    [
                        "node both.left",
                        [
                            [
                                "invoke_agent writer",
                                [
                                    "chat gemini-2.5-flash",
                                    "chat gemini-2.5-flash",
                                    "execute_tool act",
                                    "execute_tool look",
                                ],
                            ]
                        ],
                    ],
                    [
                        "node both.right",
                        [["node both.right.a", ["execute_tool act"]], ["node both.right.b", ["execute_tool act"]]],
                    ],
                ],
            ],
            ["node first", ["execute_tool act"]],
            ["node last", [["invoke_agent helper", ["chat gemini-2.5-flash"]]]],
            ["node pause", ["wait pause"]],
            ["node sign", ["wait sign"]],
        ],
    ]
]


def whole(spans: list[Span]) -> bool:
    return any(span.name.startswith("invoke_workflow") for span in spans)


def test_a_run_is_one_trace_beneath_its_caller(service: Service, receiver: Receiver) -> None:
    trace = trace_id()
    before = time.time()
    send(service, "traced", "whole", trace)
    service.gate("traced", "whole/sign")
    waiting = {span.name for span in receiver.spans(trace)}
    assert {"node both", "node both.left", "node first"} <= waiting, "what is known when a wait begins is told then"
    assert not whole(receiver.spans(trace))
    decided = time.time()
    service.decide("traced", "whole/sign", "approve", by="ada")
    assert service.result("traced", "whole") == {"text": "done"}
    spans = until(lambda: found if whole(found := receiver.spans(trace)) else None, 20, "the trace")
    assert tree(spans, "00f067aa0ba902b7") == EXPECTED
    assert receiver.twice(trace) == []
    named = {span.name: span for span in spans}
    assert {(span.service, span.scope) for span in spans} == {("desk", "agentflow")}
    for span in spans:
        above = next((one for one in spans if one.id == span.parent), None)
        assert before - 1 <= span.start <= span.end <= time.time() + 1
        if above is not None:
            assert above.start - 0.001 <= span.start and span.end <= above.end + 0.001, (span, above)
    assert named["wait sign"].end >= decided - 0.5
    assert named["wait pause"].end - named["wait pause"].start == pytest.approx(0.1, abs=0.002)


def test_called_graphs_lists_and_rounds_hang_in_the_trace(service: Service, receiver: Receiver) -> None:
    trace = trace_id()
    send(service, "calls", "1", trace)
    service.result("calls", "1")
    done = ["invoke_workflow called", [["node done", ["execute_tool act"]]]]

    def whole() -> list[Span] | None:
        spans = receiver.spans(trace)
        return spans if sum(span.name.startswith("invoke_workflow") for span in spans) == 4 else None

    spans = until(whole, 20, "the trace")
    assert tree(spans, "00f067aa0ba902b7") == [
        [
            "invoke_workflow calls",
            [
                ["node each", [["node each", [done]], ["node each", [done]]]],
                ["node finally.last", ["execute_tool look"]],
                [
                    "node rounds",
                    [
                        ["node rounds.look", ["execute_tool look"]],
                        ["node rounds.look", ["execute_tool look"]],
                        "wait rounds",
                    ],
                ],
                ["node sent", [done]],
            ],
        ]
    ]
    assert receiver.twice(trace) == []
    assert {span.attributes["agentflow.node"] for span in spans if span.name == "node each"} == {
        *("each", "each[1]", "each[2]")
    }


@pytest.mark.parametrize("busy", ["queue", "interrupt"])
def test_each_turn_of_an_object_is_a_trace_beneath_its_caller(service: Service, receiver: Receiver, busy: str) -> None:
    for turn in ("chat", "act"):  # the second, with the last reply, does not call
        trace = trace_id()
        url = service.engine.ingress + path(f"talk_{busy}", "k", "message")
        headers = {"traceparent": CALLER.format(trace=trace)}
        assert request("POST", url, {"message": turn}, headers=headers).checked() == "done"
        spans = until(lambda trace=trace: found if whole(found := receiver.spans(trace)) else None, 20, "the trace")
        work = ["chat gemini-2.5-flash"] * (2 if turn == "chat" else 1)
        work += ["execute_tool act"] if turn == "chat" else []
        expected = [[f"invoke_workflow talk_{busy}", [["node clerk", [["invoke_agent clerk", work]]]]]]
        assert tree(spans, "00f067aa0ba902b7") == expected and receiver.twice(trace) == []


def test_a_model_call_is_told_as_the_conventions_say(service: Service, receiver: Receiver) -> None:
    receiver.forget()
    trace = trace_id()
    send(service, "traced", "model", trace)
    service.gate("traced", "model/sign")
    service.decide("traced", "model/sign", "approve", by="ada")
    service.result("traced", "model")
    spans = until(lambda: found if whole(found := receiver.spans(trace)) else None, 20, "the trace")
    chat = next(span for span in spans if span.name.startswith("chat") and span.attributes["agentflow.node"] == "last")
    assert chat.kind == 3  # a client
    assert chat.attributes["gen_ai.operation.name"] == "chat"
    assert chat.attributes["gen_ai.provider.name"] == "gcp.gemini"
    assert chat.attributes["gen_ai.request.model"] == "gemini-2.5-flash"
    assert chat.attributes["gen_ai.agent.name"] == "helper"
    assert chat.attributes["agentflow.tries"] == 2
    first = next(span for span in spans if span.attributes.get("gen_ai.agent.name") == "writer")
    assert first.attributes["gen_ai.request.temperature"] == 0.5
    assert b"a marked" not in receiver.raw, "what people and models say was not asked for"
    assert b"swordfish" not in receiver.raw


def test_a_run_that_is_killed_at_any_point_tells_each_span(service: Service, receiver: Receiver) -> None:
    for entry in range(1, 40, 3):
        trace, key = trace_id(), f"killed{entry}"
        service.restart(AGENTFLOW_TEST_DIE_AT=str(entry))
        send(service, "traced", key, trace)
        until(lambda: not service.alive() or service.gates("traced"), 30, "the kill")
        service.restart()
        service.gate("traced", f"{key}/sign", 60)
        service.kill()
        service.start()
        service.decide("traced", f"{key}/sign", "approve", by="ada")
        service.result("traced", key)
        found = until(lambda t=trace: found if whole(found := receiver.spans(t)) else None, 20, "the trace")
        assert tree(found, "00f067aa0ba902b7") == EXPECTED, entry
        assert len({span.id for span in found}) == len(set(found)), "what came twice is the same"
        again = [span for at, span in enumerate(found) if span in found[:at]]
        told = {re.sub(r"^(both\.(left|right))?.*", r"\1", span.attributes["agentflow.node"]) for span in again}
        assert len(told) <= 1, "only an invocation that was killed between its last word and its answer tells it again"


def test_a_failure_is_told_with_its_kind_and_what_was_undone(service: Service, receiver: Receiver) -> None:
    trace = trace_id()
    service.control(work={"wrong": {"fail": "error"}})
    send(service, "fails", "1", trace)
    spans = until(lambda: found if whole(found := receiver.spans(trace)) else None, 20, "the trace")
    assert tree(spans, "00f067aa0ba902b7") == [
        [
            "invoke_workflow fails",
            [
                "execute_tool undo_act",
                ["node done", ["execute_tool act"]],
                ["node wrong", ["execute_tool once"]],
            ],
        ]
    ]
    named = {span.name: span for span in spans}
    for name in ("invoke_workflow fails", "node wrong", "execute_tool once"):
        assert named[name].failed and named[name].attributes["error.type"] == "tool" and not named[name].said
    assert not named["execute_tool undo_act"].failed
    assert named["invoke_workflow fails"].attributes["agentflow.state"] == "failed"


def test_what_is_said_is_told_where_that_is_asked_for(service: Service, receiver: Receiver) -> None:
    service.restart(OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="true")
    trace = trace_id()
    send(service, "traced", "said", trace)
    service.gate("traced", "said/sign")
    service.decide("traced", "said/sign", "approve", by="ada")
    service.result("traced", "said")
    spans = until(lambda: found if whole(found := receiver.spans(trace)) else None, 20, "the trace")
    left: list[Any] = [span for span in spans if span.attributes.get("gen_ai.agent.name") == "writer"]
    last = max(left, key=lambda span: span.start)
    asked = json.loads(last.attributes["gen_ai.input.messages"])
    assert asked[0] == {"role": "user", "parts": [{"type": "text", "content": "a marked prompt"}]}
    assert [message["role"] for message in asked] == ["user", "assistant", "tool"]
    assert json.loads(last.attributes["gen_ai.output.messages"])[0]["parts"][0]["content"] == "a marked answer"
    assert "Write with care" in last.attributes["gen_ai.system_instructions"]


def test_nothing_is_told_of_a_run_whose_caller_is_not_recorded(service: Service, receiver: Receiver) -> None:
    trace = trace_id()
    url = service.engine.ingress + path("fails", "quiet", "run", "send")
    request("POST", url, {}, headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-00"}).checked()
    service.result("fails", "quiet")
    time.sleep(1)
    assert receiver.spans(trace) == []
