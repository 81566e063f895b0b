"""The graph patient.

Made by agentflow 0.1.0 from wait/graph.yaml,
sha256 8cdb77e7c34a90b38eac0698f075b8989cef45667f302805c3fea2c112aedd20.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from agentflow import runtime as af

# isort: split
import tools.desk


class Input(af.Type):
    pause: str
    due: str
    days: int


GRAPH = af.Graph(
    "patient",
    kind="workflow",
    revision="e2f97b28",
    source="wait/graph.yaml",
    input=Input,
    limits=af.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000),
)

LOOK = GRAPH.tool(af.Tool("look", tools.desk.look, effect="read"))


@af.node("cooling", line=7)
def cooling(run: af.Run) -> af.Flight:
    return run.wait("1h30m")


@af.node("computed", line=8, when="input.days > 0", uses=["input"], timeout="60d")
def computed(run: af.Run) -> af.Flight:
    return run.wait("{{ input.days }}d")


@af.node("beside", line=9)
def beside(run: af.Run) -> af.Flight:
    return run.tool(LOOK, {"name": "{{ input.due }}"})


@af.node("after", line=10)
def after(run: af.Run) -> af.Flight:
    return run.wait("{{ input.pause }}")


@af.node("date", line=11)
def date(run: af.Run) -> af.Flight:
    return run.wait(until="'2026-12-24T18:00:00+01:00'")


@af.node("due", line=12, on_error="continue")
def due(run: af.Run) -> af.Flight:
    return run.wait(until="input.due")


async def patient(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.together(cooling, computed, beside)
    await run.one(after)
    await run.one(date)
    await run.one(due)
    return run.value({"ended": "{{ cooling }}", "due": "{{ due }}"})


SERVICES = [af.workflow(GRAPH, patient), af.own_invocations(GRAPH, computed=computed)]
