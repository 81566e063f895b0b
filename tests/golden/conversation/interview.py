"""The graph interview.

Made by agentflow 0.1.0 from conversation/graph.yaml,
sha256 8a75fc3c8affa255e8ecee111eadd2296fc0c2d85af098dcc93a3858a794a76b.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from agentflow import runtime as af


class Input(af.Type):
    topic: str
    long: bool


GRAPH = af.Graph(
    "interview",
    kind="workflow",
    revision="cc7df5d6",
    source="conversation/graph.yaml",
    input=Input,
    limits=af.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000),
)

DEFAULT = af.Model("default", "gemini-2.5-flash")

ASKER = GRAPH.agent(af.Agent("asker", DEFAULT, "You ask questions."))

EXPERT = GRAPH.agent(af.Agent("expert", DEFAULT, "You answer."))


@af.node("question", line=9)
async def question(run: af.Run) -> af.Json:
    return await run.agent(ASKER, "Ask about {{ input.topic }}.", conversation="talk")


@af.node("answer", line=10, uses=["input"], conversations=["talk"])
async def answer(run: af.Run) -> af.Json:
    return await run.agent(EXPERT, "Answer.", conversation="talk")


@af.node("aside", line=11, uses=["input", "question"], conversations=["money"])
async def aside(run: af.Run) -> af.Json:
    return await run.agent(
        EXPERT,
        "What did {{ input.topic }} cost? {{ question }}",
        conversation="money",
    )


@af.node(
    "further",
    line=15,
    when="input.long",
    needs=["answer"],
    uses=["input"],
    conversations=["talk"],
)
async def further(run: af.Run) -> af.Json:
    await run.one(further_more)
    await run.one(further_last)
    return run.values("more", "last")


@af.node("more", line=19)
async def further_more(run: af.Run) -> af.Json:
    return await run.agent(ASKER, "Ask once more.", conversation="talk")


@af.node("last", line=20)
async def further_last(run: af.Run) -> af.Json:
    return await run.agent(EXPERT, "Answer that too.", conversation="talk")


@af.node(
    "short",
    line=21,
    when="not input.long",
    needs=["answer"],
    uses=["input"],
    conversations=["talk"],
)
async def short(run: af.Run) -> af.Json:
    return await run.agent(ASKER, "Say thanks.", conversation="talk")


async def interview(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.one(question)
    await run.together(answer, aside, further, short)
    return run.value({"answer": "{{ answer }}", "cost": "{{ aside }}"})


SERVICES = [
    af.workflow(GRAPH, interview),
    af.own_invocations(GRAPH, answer=answer, aside=aside, further=further, short=short),
]
