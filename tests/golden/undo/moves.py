"""The graph moves.

Made by agentflow 0.1.0 from undo/graph.yaml,
sha256 fc4a514e00b4ae0ca3d616c0dcf23574159290294cebcd55fc91325bccba0bf2.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from agentflow import runtime as af

# isort: split
import tools.desk


class Input(af.Type):
    name: str


GRAPH = af.Graph(
    "moves",
    kind="workflow",
    revision="012729f2",
    source="undo/graph.yaml",
    input=Input,
    limits=af.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000),
)

REMOVE = GRAPH.tool(af.Tool("remove", tools.desk.remove))

COPY = GRAPH.tool(
    af.Tool("copy", tools.desk.copy, undo=af.Undo(REMOVE, {"name": "{{ result }}"})),
)

LOOK = GRAPH.tool(af.Tool("look", tools.desk.look, effect="read"))


@af.node("moved", line=9)
def moved(run: af.Run) -> af.Flight:
    return run.tool(COPY, {"name": "{{ input.name }}"})


@af.node(
    "group",
    line=10,
    undo=af.Undo(
        REMOVE,
        {"name": "{{ input.name }} {{ moved }} {{ error.message }}"},
        on="attempted",
        uses=["input", "moved"],
    ),
)
async def group(run: af.Run) -> af.Json:
    await run.one(group_a)
    return run.value("{{ a }}")


@af.node("a", line=12)
def group_a(run: af.Run) -> af.Flight:
    return run.tool(LOOK, {"name": "a"})


async def moves(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.one(moved)
    await run.one(group)
    return run.values("moved", "group")


SERVICES = [af.workflow(GRAPH, moves)]
