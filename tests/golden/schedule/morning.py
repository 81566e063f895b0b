"""morning: Greets on working days.

Made by agentflow 0.1.0 from schedule/graph.yaml,
sha256 a500d4d00213e0e37f9c7b79672cd239ad2a094b013c2ace372186e45f90f7b6.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from agentflow import runtime as af


class Input(af.Type):
    name: str
    tags: list[str]
    limit: int = 3


GRAPH = af.Graph(
    "morning",
    kind="workflow",
    revision="10b3af85",
    source="schedule/graph.yaml",
    input=Input,
    description="Greets on working days.",
    limits=af.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000),
    schedule=af.Schedule(
        cron="0 8 * * MON-FRI",
        timezone="Europe/Berlin",
        input={"name": "Ada", "tags": ["daily"], "limit": 5},
    ),
)


@af.node("greet", line=13)
def greet(run: af.Run) -> af.Json:
    return run.value("Good morning, {{ input.name }}: {{ run.key }}.")


async def morning(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.one(greet)
    return run.value("{{ greet }}")


SERVICES = [af.workflow(GRAPH, morning), af.schedule(GRAPH)]
