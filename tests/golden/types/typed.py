"""The graph typed.

Made by agentflow 0.1.0 from types/graph.yaml,
sha256 fad11b20343d480d0376745c76b8961b32321d56804cff6aacbf1bdbef70c893.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from agentflow import runtime as af

Risk = Literal["low", "high"]


class Place(af.Type):
    city: str
    zip: str | None = af.Field(default=None, pattern="^[0-9]{5}$")


class Trip(af.Type):
    from_: Place = af.Field(alias="from")
    to: Place
    risks: list[Risk]
    price: af.Number = af.Field(description="In euros.", ge=0, le=10000)
    note: str | None = None


class InputNestedA(af.Type):
    b: int


class InputNested(af.Type):
    a: InputNestedA


class Input(af.Type):
    trip: Trip
    tags: list[str] | None = None
    free: Any
    whole: Annotated[Any, af.JsonSchema('{"required":["a"],"type":"object"}')]
    nested: InputNested


PLANNED_PROMPT = "{{ input.trip.to.city }} {{ input.tags | default([]) | join(', ') }}"


GRAPH = af.Graph(
    "typed",
    kind="workflow",
    revision="04c40f78",
    source="types/graph.yaml",
    input=Input,
    limits=af.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000),
)

GEMINI_2_5_FLASH = af.Model("gemini-2.5-flash", "gemini-2.5-flash")

PLANNER = GRAPH.agent(af.Agent("planner", GEMINI_2_5_FLASH, "You plan.", returns=Trip))


@af.node("planned", line=16, uses=["input"])
async def planned(run: af.Run) -> af.Json:
    return await run.agent(PLANNER, PLANNED_PROMPT)


@af.node("scored", line=17, uses=["input"])
async def scored(run: af.Run) -> af.Json:
    return await run.agent(PLANNER, "Score it.", returns=list[Risk])


async def typed(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.together(planned, scored)
    return run.value({"city": "{{ planned.to.city }}", "n": "{{ input.nested.a.b }}"})


SERVICES = [
    af.workflow(GRAPH, typed),
    af.own_invocations(GRAPH, planned=planned, scored=scored),
]
