"""The graph guard.

Made by agentflow 0.1.0 from fail/graph.yaml,
sha256 4d106df96323ff085d99762c8566e56a5aef748dbe0c3ad43c943f5a322da8fd.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from agentflow import runtime as af


class Input(af.Type):
    amount: int


GRAPH = af.Graph(
    "guard",
    kind="workflow",
    revision="9620a0b5",
    source="fail/graph.yaml",
    input=Input,
    limits=af.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000),
)


@af.node("too_much", line=5, when="input.amount > 100")
def too_much(run: af.Run) -> af.Json:
    return run.fail("{{ input.amount }} is too much", code=422)


@af.node("rest", line=6)
def rest(run: af.Run) -> af.Json:
    return run.value("{{ input.amount }}")


async def guard(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.one(too_much)
    await run.one(rest)
    return run.value("{{ rest }}")


SERVICES = [af.workflow(GRAPH, guard)]
