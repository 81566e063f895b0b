"""The graph route.

Made by agentflow 0.1.0 from switch/graph.yaml,
sha256 57f3b21a3886c0fc9261049533d87b1f51b9a833c6cfa111685bf10d51ba94a7.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from typing import Any, Literal

from agentflow import runtime as af

# isort: split
import tools.desk


class Input(af.Type):
    kind: Literal["low", "high", "urgent"]
    sure: bool
    count: int
    anything: Any


GRAPH = af.Graph(
    "route",
    kind="workflow",
    revision="56b6601b",
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
    match subject := run.expression("input.count"):
        case 1 if subject is not True:
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


@af.node("by_any", line=26, needs=["by_anything"], uses=["by_anything"])
async def by_any(run: af.Run) -> af.Json:
    match subject := run.expression("by_anything"):
        case True:
            return await run.branch(by_any_true)
        case 1 if subject is not True:
            return await run.branch(by_any_1)
        case "true":
            return await run.branch(by_any_true_2)
        case 0 if subject is not False:
            return await run.branch(by_any_0)
        case "1":
            return await run.branch(by_any_1_2)
        case _:
            return await run.branch(by_any_default)


@af.node("true", line=28)
def by_any_true(run: af.Run) -> af.Json:
    return run.value(True)


@af.node("1", line=28)
def by_any_1(run: af.Run) -> af.Json:
    return run.value("one")


@af.node("true_", line=28)
def by_any_true_2(run: af.Run) -> af.Json:
    return run.value("the word")


@af.node("0", line=28)
def by_any_0(run: af.Run) -> af.Json:
    return run.value("none")


@af.node("1_", line=28)
def by_any_1_2(run: af.Run) -> af.Json:
    return run.value("the digit")


@af.node("default", line=29)
def by_any_default(run: af.Run) -> af.Json:
    return run.value("other")


@af.node("by_anything", line=30)
def by_anything(run: af.Run) -> af.Json:
    return run.value("{{ input.anything }}")


async def route(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.together(by_kind, by_sure, by_count, by_any, by_anything)
    return run.values("by_kind", "by_sure", "by_count", "by_any", "by_anything")


SERVICES = [
    af.workflow(GRAPH, route),
    af.own_invocations(
        GRAPH,
        by_kind=by_kind,
        by_sure=by_sure,
        by_count=by_count,
        by_any=by_any,
    ),
]
