"""The graph ask_twice.

Made by agentflow 0.1.0 from agent/graph.yaml,
sha256 a31d08294214056018c3d89f924dd66a1f88ca4f97201852bcc036430f673323.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from typing import Literal

from agentflow import runtime as af


class Input(af.Type):
    question: str


class WhyReturns(af.Type):
    reason: str
    sure: bool


JUDGE_INSTRUCTION = """\
You compare answers.
You are strict.
"""


GRAPH = af.Graph(
    "ask_twice",
    kind="workflow",
    revision="d325b688",
    source="agent/graph.yaml",
    input=Input,
    limits=af.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000),
)

GEMINI_2_5_FLASH = af.Model("gemini-2.5-flash", "gemini-2.5-flash")

GEMINI_2_5_PRO = af.Model("gemini-2.5-pro", "gemini-2.5-pro")

ANSWERER = GRAPH.agent(
    af.Agent(
        "answerer",
        GEMINI_2_5_FLASH,
        "You answer {{ input.question }} in one line.",
        limits=af.Limits(time="1m", model_calls=3),
    ),
)

JUDGE = GRAPH.agent(
    af.Agent(
        "judge",
        GEMINI_2_5_PRO,
        JUDGE_INSTRUCTION,
        description="Says which answer is better.",
        tools=[ANSWERER],
        returns=Literal["first", "second"],
        generate={"temperature": 0},
    ),
)


@af.node("first", line=16, uses=["input"])
async def first(run: af.Run) -> af.Json:
    return await run.agent(ANSWERER, "{{ input.question }}")


@af.node("second", line=17, uses=["input"])
async def second(run: af.Run) -> af.Json:
    return await run.agent(
        ANSWERER,
        "Again: {{ input.question }}",
        retry=af.Retry(attempts=2, initial="500ms"),
    )


@af.node("better", line=18)
async def better(run: af.Run) -> af.Json:
    return await run.agent(JUDGE, "{{ first }} or {{ second }}?")


@af.node("why", line=19)
async def why(run: af.Run) -> af.Json:
    return await run.agent(JUDGE, "Why {{ better }}?", returns=WhyReturns)


async def ask_twice(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.together(first, second)
    await run.one(better)
    await run.one(why)
    return run.value({"better": "{{ better }}", "why": "{{ why.reason }}"})


SERVICES = [
    af.workflow(GRAPH, ask_twice),
    af.own_invocations(GRAPH, first=first, second=second),
]
