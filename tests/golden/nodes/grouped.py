"""The graph grouped.

Made by agentflow 0.1.0 from nodes/graph.yaml,
sha256 f17e4b9073a3e0ee9ef6c4061c8e9e5eae0a95f6b7a2d8ba42cd2b3d65319bcc.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from agentflow import runtime as af

# isort: split
import tools.desk


class Input(af.Type):
    name: str


GRAPH = af.Graph(
    "grouped",
    kind="workflow",
    revision="a66ea8ae",
    source="nodes/graph.yaml",
    input=Input,
    limits=af.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000),
)

LOOK = GRAPH.tool(af.Tool("look", tools.desk.look, effect="read"))


@af.node("left", line=7, uses=["input"])
async def left(run: af.Run) -> af.Json:
    await run.together(left_a, left_b)
    await run.one(left_both)
    return run.value("{{ both }}")


@af.node("a", line=9)
def left_a(run: af.Run) -> af.Flight:
    return run.tool(LOOK, {"name": "{{ input.name }}"})


@af.node("b", line=10)
def left_b(run: af.Run) -> af.Flight:
    return run.tool(LOOK, {"name": "b"})


@af.node("both", line=11)
def left_both(run: af.Run) -> af.Json:
    return run.value("{{ a }} {{ b }}")


@af.node("right", line=13, uses=[])
async def right(run: af.Run) -> af.Json:
    """Has a region and a line of its own."""
    await run.together(right_c, right_d, right_e)
    return run.values("c", "d", "e")


@af.node("c", line=16)
def right_c(run: af.Run) -> af.Flight:
    return run.tool(LOOK, {"name": "c"})


@af.node("d", line=17, needs=["c"])
def right_d(run: af.Run) -> af.Flight:
    return run.tool(LOOK, {"name": "{{ c }}"})


@af.node("e", line=18)
def right_e(run: af.Run) -> af.Flight:
    return run.tool(LOOK, {"name": "e"})


@af.node("end", line=19)
def end(run: af.Run) -> af.Json:
    return run.value({"left": "{{ left }}", "d": "{{ right.d }}"})


async def grouped(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.together(left, right)
    await run.one(end)
    return run.values("left", "right", "end")


SERVICES = [
    af.workflow(GRAPH, grouped),
    af.own_invocations(GRAPH, left=left, right=right),
]
