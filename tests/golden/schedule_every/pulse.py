"""The graph pulse.

Made by agentflow 0.1.0 from schedule_every/graph.yaml,
sha256 e775a1facd2ecf5b31add57ec5c957e9434a6e2973ae806e5eda283d064e0022.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from agentflow import runtime as af


class Input(af.Type):
    pass


GRAPH = af.Graph(
    "pulse",
    kind="service",
    revision="2d951e98",
    source="schedule_every/graph.yaml",
    input=Input,
    limits=af.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000),
    schedule=af.Schedule(every="1h30m"),
)


@af.node("beat", line=6)
def beat(run: af.Run) -> af.Json:
    return run.value("{{ run.started }}")


async def pulse(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.one(beat)
    return run.value("{{ beat }}")


SERVICES = [af.service(GRAPH, pulse), af.schedule(GRAPH)]
