"""The graph route.

Made by agentflow 0.1.0 from switch/graph.yaml,
sha256 86169fa6e456a4ef063b6c3f6462f65eb2eb85b4bf66b2c1641cc59d0bb30e14.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from typing import Literal

from agentflow import runtime as af

# isort: split
import tools.desk


class Input(af.Type):
    kind: Literal["low", "high", "urgent"]
    sure: bool
    count: int


GRAPH = af.Graph(
    "route",
    kind="workflow",
    revision="f52c52dc",
    source="switch/graph.yaml",
    input=Input,
    limits=af.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000),
)

LOOK = GRAPH.tool(af.Tool("look", tools.desk.look, effect="read"))


@af.node("by_kind", line=7, uses=["input"])
async def by_kind(run: af.Run) -> af.Json:
    match run.expression("input.kind"):
        case "low":
            return await run.branch(by_kind_low)
        case "high":
            return await run.branch(by_kind_high)
        case "urgent":
            return await run.branch(by_kind_urgent)
        case other:
            return run.no_case(other)


@af.node("low", line=10)
def by_kind_low(run: af.Run) -> af.Json:
    return run.value("nothing")


@af.node("high", line=11)
def by_kind_high(run: af.Run) -> af.Flight:
    return run.tool(LOOK, {"name": "high"})


@af.node("urgent", line=12)
async def by_kind_urgent(run: af.Run) -> af.Json:
    await run.one(by_kind_urgent_first)
    await run.one(by_kind_urgent_second)
    return run.value("{{ second }}")


@af.node("first", line=14)
def by_kind_urgent_first(run: af.Run) -> af.Flight:
    return run.tool(LOOK, {"name": "urgent"})


@af.node("second", line=15)
def by_kind_urgent_second(run: af.Run) -> af.Json:
    return run.value("{{ first }}!")


@af.node("by_sure", line=17, uses=["input"])
async def by_sure(run: af.Run) -> af.Json:
    match run.expression("input.sure"):
        case True:
            return await run.branch(by_sure_true)
        case False:
            return await run.branch(by_sure_false)
        case other:
            return run.no_case(other)


@af.node("true", line=20)
def by_sure_true(run: af.Run) -> af.Json:
    return run.value(1)


@af.node("false", line=21)
def by_sure_false(run: af.Run) -> af.Json:
    return run.value(2)


@af.node("by_count", line=22, uses=["input"])
async def by_count(run: af.Run) -> af.Json:
    match run.expression("input.count"):
        case 1:
            return await run.branch(by_count_1)
        case 2:
            return await run.branch(by_count_2)
        case _:
            return await run.branch(by_count_default)


@af.node("1", line=24)
def by_count_1(run: af.Run) -> af.Json:
    return run.value("one")


@af.node("2", line=24)
def by_count_2(run: af.Run) -> af.Json:
    return run.value("two")


@af.node("default", line=25)
def by_count_default(run: af.Run) -> af.Json:
    return run.value("many")


async def route(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.together(by_kind, by_sure, by_count)
    return run.values("by_kind", "by_sure", "by_count")


SERVICES = [
    af.workflow(GRAPH, route),
    af.own_invocations(GRAPH, by_kind=by_kind, by_sure=by_sure, by_count=by_count),
]
