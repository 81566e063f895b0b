"""The graph ended.

Made by agentflow 0.1.0 from finally/graph.yaml,
sha256 a43397280e27269c8b43e523e888bec4c83ded9ba38ceb2bc0295f74fee4b2b5.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from agentflow import runtime as af

# isort: split
import tools.desk


class Input(af.Type):
    name: str


GRAPH = af.Graph(
    "ended",
    kind="workflow",
    revision="d3b78344",
    source="finally/graph.yaml",
    input=Input,
    limits=af.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000),
)

DEFAULT = af.Model("default", "gemini-2.5-flash")

LOOK = GRAPH.tool(af.Tool("look", tools.desk.look, effect="read"))

CLERK = GRAPH.agent(af.Agent("clerk", DEFAULT, "You sum up."))


@af.node("seen", line=10)
def seen(run: af.Run) -> af.Flight:
    return run.tool(LOOK, {"name": "{{ input.name }}"})


@af.node("again", line=11, when='seen != "nothing"')
def again(run: af.Run) -> af.Flight:
    return run.tool(LOOK, {"name": "{{ seen }}"})


@af.node("told", line=13)
def finally_told(run: af.Run) -> af.Flight:
    return run.tool(
        LOOK,
        {
            "name": "{{ run.state }}: {{ seen | default('nothing') }}{% if error %}, {{ error.message }}{% endif %}",
        },
    )


@af.node("summed", line=16, when="again is not skipped and again")
async def finally_summed(run: af.Run) -> af.Json:
    return await run.agent(CLERK, "{{ told }}")


async def ended(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.one(seen)
    await run.one(again)
    return run.value("{{ seen }}")


@af.finally_(GRAPH, uses=["input", "seen", "again"])
async def ended_finally(run: af.Run) -> af.Json:
    """Once the run has ended, however it did."""
    await run.one(finally_told)
    await run.one(finally_summed)
    return run.values("told", "summed")


SERVICES = [af.workflow(GRAPH, ended), af.own_invocations(GRAPH)]
