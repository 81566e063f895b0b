"""The graph forgiving.

Made by agentflow 0.1.0 from on_error/graph.yaml,
sha256 d1ed0a8cb70f5d203faee83416c5604a56b294274db7365b5aa836b6363d99a5.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from agentflow import runtime as af

# isort: split
import tools.desk


class Input(af.Type):
    name: str


GRAPH = af.Graph(
    "forgiving",
    kind="workflow",
    revision="913423d5",
    source="on_error/graph.yaml",
    input=Input,
    limits=af.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000),
)

GEMINI_2_5_FLASH = af.Model("gemini-2.5-flash", "gemini-2.5-flash")

LOOK = GRAPH.tool(
    af.Tool("look", tools.desk.look, effect="read", retry=af.Retry(attempts=3)),
)

WRITER = GRAPH.agent(af.Agent("writer", GEMINI_2_5_FLASH, "You write."))


@af.node("a", line=9, on_error="continue")
def a(run: af.Run) -> af.Flight:
    return run.tool(LOOK, {"name": "a"})


@af.node("b", line=10, on_error=af.Use("nothing"))
def b(run: af.Run) -> af.Flight:
    return run.tool(LOOK, {"name": "b"})


@af.node("on_error", line=15)
async def c_on_error(run: af.Run) -> af.Json:
    return await run.agent(
        WRITER,
        "{{ error.message }} in {{ error.node | default('the run') }}",
    )


@af.node("c", line=11, uses=["input"], on_error=af.Otherwise(c_on_error))
def c(run: af.Run) -> af.Flight:
    return run.tool(LOOK, {"name": "c"})


async def forgiving(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.together(a, b, c)
    return run.value(
        {
            "a": "{{ a | default('none') }}",
            "failed": "{{ a is failed }}",
            "b": "{{ b }}",
            "c": "{{ c }}",
        },
    )


SERVICES = [af.workflow(GRAPH, forgiving), af.own_invocations(GRAPH, c=c)]
