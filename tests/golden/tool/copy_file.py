"""The graph copy_file.

Made by agentflow 0.1.0 from tool/graph.yaml,
sha256 bdc398154133d8f90f44f881a0a5bbc44c4c71a69de44de150e37bcd7e93bd61.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from agentflow import runtime as af

# isort: split
import tools.desk


class Input(af.Type):
    name: str
    size: int


GRAPH = af.Graph(
    "copy_file",
    kind="service",
    revision="918eed29",
    source="tool/graph.yaml",
    input=Input,
    limits=af.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000),
)

LOOK = GRAPH.tool(af.Tool("look", tools.desk.look, effect="read", timeout="5s"))

REMOVE = GRAPH.tool(af.Tool("remove", tools.desk.remove))

COPY = GRAPH.tool(
    af.Tool(
        "copy",
        tools.desk.copy,
        description="Copies a file.",
        retry=af.Retry(attempts=4, initial="1s", factor=3, max="1m", within="10m"),
        undo=af.Undo(
            REMOVE,
            {"name": "{{ result | default(args.name) }}"},
            on="attempted",
        ),
    ),
)


@af.node("found", line=14)
def found(run: af.Run) -> af.Flight:
    return run.tool(LOOK, {"name": "{{ input.name }}"})


@af.node("copied", line=15, needs=["found"], uses=["input"], timeout="30s")
def copied(run: af.Run) -> af.Flight:
    return run.tool(COPY, {"name": "{{ input.name }}", "times": 2})


@af.node("other", line=16, when="input.size > 10")
def other(run: af.Run) -> af.Flight:
    return run.tool(COPY, {"name": "other"}, retry=af.Retry(attempts=1))


async def copy_file(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.together(found, copied, other)
    return run.value("{{ copied }}")


SERVICES = [af.service(GRAPH, copy_file), af.own_invocations(GRAPH, copied=copied)]
