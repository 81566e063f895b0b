"""The graph team.

Made by agentflow 0.1.0 from include/graph.yaml,
with shared/people.yaml, shared/desk.yaml,
sha256 dab2954191fc38be936f8bd7dda2c203f68571e2883a9d5359ae16130b8aeddc.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from agentflow import runtime as af

# isort: split
import tools.desk


class Finding(af.Type):
    ok: bool
    reason: str


class Input(af.Type):
    text: str


GRAPH = af.Graph(
    "team",
    kind="workflow",
    revision="e35e4006",
    source="include/graph.yaml",
    input=Input,
    limits=af.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000),
)

CAREFUL = af.Model("careful", "gemini-2.5-pro", generate={"temperature": 0})

DEFAULT = af.Model("default", "gemini-2.5-flash")

LOOK = GRAPH.tool(af.Tool("look", tools.desk.look, effect="read"))

REVIEWER = GRAPH.agent(af.Agent("reviewer", CAREFUL, "You review.", returns=Finding))

WRITER = GRAPH.agent(af.Agent("writer", DEFAULT, "You write.", tools=[LOOK]))


@af.node("review", line=9, uses=["input"])
async def review(run: af.Run) -> af.Json:
    return await run.agent(REVIEWER, "{{ input.text }}")


@af.node("write", line=10, when="review.ok", needs=["review"], uses=["input", "review"])
async def write(run: af.Run) -> af.Json:
    return await run.agent(WRITER, "{{ review.reason }}")


@af.node("keep", line=11)
def keep(run: af.Run) -> af.Flight:
    return run.tool(LOOK, {"name": "{{ input.text }}"})


async def team(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.together(review, write, keep)
    return run.value({"said": "{{ write | default('nothing') }}", "kept": "{{ keep }}"})


SERVICES = [
    af.workflow(GRAPH, team),
    af.own_invocations(GRAPH, review=review, write=write),
]
