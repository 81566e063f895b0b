"""The graph in_order.

Made by agentflow 0.1.0 from steps/graph.yaml,
sha256 cd273b280b13a1d784940c5e14b60bfff8421604407ca1206fd60c282982ede6.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from agentflow import runtime as af

# isort: split
import tools.desk


class Input(af.Type):
    name: str


GRAPH = af.Graph(
    "in_order",
    kind="workflow",
    revision="010bb891",
    source="steps/graph.yaml",
    input=Input,
    limits=af.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000),
)

LOOK = GRAPH.tool(af.Tool("look", tools.desk.look, effect="read"))


@af.node("one", line=7)
def one(run: af.Run) -> af.Flight:
    return run.tool(LOOK, {"name": "one"})


@af.node("two", line=8)
def two(run: af.Run) -> af.Flight:
    return run.tool(LOOK, {"name": "two"})


@af.node("three", line=9, when='input.name != ""', timeout="1m")
async def three(run: af.Run) -> af.Json:
    await run.one(three_inner)
    await run.one(three_last)
    return run.values("inner", "last")


@af.node("inner", line=11)
def three_inner(run: af.Run) -> af.Flight:
    return run.tool(LOOK, {"name": "{{ input.name }}"})


@af.node("last", line=12)
def three_last(run: af.Run) -> af.Json:
    return run.value("{{ inner }}")


async def in_order(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.one(one)
    await run.one(two)
    await run.one(three)
    return run.value({"one": "{{ one }}"})


SERVICES = [af.workflow(GRAPH, in_order)]
