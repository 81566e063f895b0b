"""tells: Tells what it does while it does it.

Made by agentflow 0.1.0 from emit/graph.yaml,
sha256 1695b8b4660dccc027ec33b36a2f57baae83249f4c49ca24315ad0d8fcf0cdac.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from agentflow import runtime as af


class Input(af.Type):
    names: list[str]


GRAPH = af.Graph(
    "tells",
    kind="workflow",
    revision="4aa96a75",
    source="emit/graph.yaml",
    input=Input,
    description="Tells what it does while it does it.",
    emits=True,
    limits=af.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000),
)


@af.node("begun", line=6)
def begun(run: af.Run) -> af.Json:
    return run.emit("progress", {"done": 0, "of": "{{ input.names | length }}"})


@af.node("both", line=7)
async def both(run: af.Run) -> af.Json:
    return await run.parallel(both_left, both_right)


@af.node("left", line=9, uses=["input"])
async def both_left(run: af.Run) -> af.Json:
    await run.one(both_left_near)
    await run.one(both_left_last)
    return run.values("near", "last")


@af.node("near", line=11)
def both_left_near(run: af.Run) -> af.Json:
    return run.emit("progress", "halfway: {{ input.names | join(', ') }}")


@af.node("last", line=12, when="input.names")
def both_left_last(run: af.Run) -> af.Json:
    return run.emit("found.first", "{{ input.names[0] | default('nobody') }}")


@af.node("right", line=13)
def both_right(run: af.Run) -> af.Json:
    return run.emit("side", None)


@af.node("done", line=15)
def done(run: af.Run) -> af.Json:
    """The last that is heard."""
    return run.emit("progress", "{{ begun.done + 1 }}")


async def tells(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.one(begun)
    await run.one(both)
    await run.one(done)
    return run.value({"told": "{{ done }}", "at_first": "{{ begun }}"})


SERVICES = [
    af.workflow(GRAPH, tells),
    af.own_invocations(GRAPH, both__left=both_left),
    af.stream(GRAPH),
]
