"""providers: Agents on models of several providers, within limits.

Made by agentflow 0.1.0 from models/graph.yaml,
sha256 624145bb5f6a7df94ac7eaf12781b9513f1e429d51046c5b2b2f9f30e0c2225a.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from agentflow import runtime as af


class Input(af.Type):
    pass


class JudgeReturns(af.Type):
    good: bool


class SecondReturns(af.Type):
    good: bool


GRAPH = af.Graph(
    "providers",
    kind="workflow",
    revision="17b90aa5",
    source="models/graph.yaml",
    input=Input,
    description="Agents on models of several providers, within limits.",
    limits=af.Limits(
        time="2h",
        model_calls=50,
        tool_calls=500,
        tokens=200000,
        cost=1.5,
        handoffs=20,
        fan_out=1000,
    ),
)

DEFAULT = af.Model("default", "gemini-2.5-flash", price=af.Price(input=0.3, output=2.5))

CAREFUL = af.Model(
    "careful",
    "claude-sonnet-4-6",
    generate={"max_output_tokens": 4000, "thinking_budget": 2000},
    retry=af.Retry(attempts=3, initial="2s", max="1m"),
    api_key=af.Env("TEAM_KEY"),
    price=af.Price(input=3, output=15),
)

OTHER = af.Model(
    "other",
    "mistral/mistral-small-latest",
    generate={"temperature": 0.2},
    price=af.Price(input=0.1, output=0.3),
)

OWN = af.Model(
    "own",
    "qwen3",
    base_url="http://localhost:8000/v1",
    price=af.Price(input=0, output=0),
)

SCOUT = GRAPH.agent(
    af.Agent(
        "scout",
        OWN,
        "You look around.",
        limits=af.Limits(tool_calls=5, fan_out=3),
    ),
)

WRITER = GRAPH.agent(
    af.Agent(
        "writer",
        DEFAULT,
        "You write.",
        tools=[SCOUT],
        limits=af.Limits(time="10m", cost=0.5),
    ),
)

JUDGE = GRAPH.agent(af.Agent("judge", CAREFUL, "You judge.", returns=JudgeReturns))

SECOND = GRAPH.agent(af.Agent("second", OTHER, "You judge too.", returns=SecondReturns))


@af.node("draft", line=24)
async def draft(run: af.Run) -> af.Json:
    return await run.agent(WRITER, "Write.")


@af.node("first", line=25, uses=["input", "draft"])
async def first(run: af.Run) -> af.Json:
    return await run.agent(JUDGE, "{{ draft }}")


@af.node("again", line=26, uses=["input", "draft"])
async def again(run: af.Run) -> af.Json:
    return await run.agent(SECOND, "{{ draft }}")


async def providers(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.one(draft)
    await run.together(first, again)
    return run.value("{{ first.good and again.good }}")


SERVICES = [
    af.workflow(GRAPH, providers),
    af.own_invocations(GRAPH, first=first, again=again),
    af.budget(GRAPH, "model_calls", "tokens", "cost"),
]
