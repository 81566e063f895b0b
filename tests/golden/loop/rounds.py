"""The graph rounds.

Made by agentflow 0.1.0 from loop/graph.yaml,
sha256 95935a45b58a9476cde051a48291f6eaa6e077edddf53a999c93b3667e6c0c86.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from agentflow import runtime as af

# isort: split
import tools.desk


class Input(af.Type):
    topic: str


class CriticReturns(af.Type):
    content: bool
    advice: str


IMPROVE_WRITE_PROMPT = """\
About {{ input.topic }}. {% if previous %}Better: {{ previous.advice }}{% endif %}"""


GRAPH = af.Graph(
    "rounds",
    kind="workflow",
    revision="f39c2e08",
    source="loop/graph.yaml",
    input=Input,
    limits=af.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000),
)

DEFAULT = af.Model("default", "gemini-2.5-flash")

LOOK = GRAPH.tool(af.Tool("look", tools.desk.look, effect="read"))

WRITER = GRAPH.agent(af.Agent("writer", DEFAULT, "You write."))

CRITIC = GRAPH.agent(
    af.Agent("critic", DEFAULT, "You criticise.", returns=CriticReturns),
)


async def improve_round(run: af.Run) -> af.Json:
    await run.one(improve_write)
    await run.one(improve_judge)
    return run.value(
        {
            "text": "{{ write }}",
            "advice": "{{ judge.advice }}",
            "rounds": "{{ index }}",
        },
    )


@af.node("improve", line=11, uses=["input"])
async def improve(run: af.Run) -> af.Json:
    return await run.loop(
        improve_round,
        until="judge.content",
        max=3,
        on_max="continue",
    )


@af.node("write", line=13)
async def improve_write(run: af.Run) -> af.Json:
    return await run.agent(WRITER, IMPROVE_WRITE_PROMPT)


@af.node("judge", line=16)
async def improve_judge(run: af.Run) -> af.Json:
    return await run.agent(CRITIC, "{{ write }}")


async def poll_round(run: af.Run) -> af.Json:
    await run.together(poll_light, poll_noted)
    return run.value({"last": "{{ light }}"})


@af.node("poll", line=21, uses=[])
async def poll(run: af.Run) -> af.Json:
    return await run.loop(
        poll_round,
        until='light == "done" or previous.last == "over"',
        max=60,
        start={"last": "nothing"},
        every="1m",
    )


@af.node("light", line=23)
def poll_light(run: af.Run) -> af.Flight:
    return run.tool(LOOK, {"name": "{{ index }} after {{ previous.last }}"})


@af.node("noted", line=24)
def poll_noted(run: af.Run) -> af.Flight:
    return run.tool(LOOK, {"name": "noted"})


async def rounds(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.together(improve, poll)
    return run.values("improve", "poll")


SERVICES = [
    af.workflow(GRAPH, rounds),
    af.own_invocations(GRAPH, improve=improve, poll=poll),
]
