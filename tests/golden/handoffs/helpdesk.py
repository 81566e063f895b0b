"""The graph helpdesk.

Made by agentflow 0.1.0 from handoffs/graph.yaml,
sha256 78eb275e64272ef0fc4ed9d6fbf45aae8447e486ac679009bbe215cd5710d359.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from agentflow import runtime as af


class Input(af.Type):
    message: str


GRAPH = af.Graph(
    "helpdesk",
    kind="workflow",
    revision="62aaadb8",
    source="handoffs/graph.yaml",
    input=Input,
    limits=af.Limits(
        time="15m",
        model_calls=40,
        tool_calls=500,
        handoffs=6,
        fan_out=1000,
    ),
)

GEMINI_2_5_FLASH = af.Model("gemini-2.5-flash", "gemini-2.5-flash")

TRIAGE = GRAPH.agent(
    af.Agent(
        "triage",
        GEMINI_2_5_FLASH,
        "You find out who can help.",
        handoffs=["billing", "tech"],
    ),
)

BILLING = GRAPH.agent(
    af.Agent(
        "billing",
        GEMINI_2_5_FLASH,
        "You know the bills.",
        description="Bills and payments.",
        handoffs=["triage"],
    ),
)

TECH = GRAPH.agent(
    af.Agent(
        "tech",
        GEMINI_2_5_FLASH,
        "You mend things.",
        description="Things that do not work.",
        handoffs=["triage", "billing"],
        limits=af.Limits(handoffs=3),
    ),
)


@af.node("triage", line=4)
async def triage(run: af.Run) -> af.Json:
    return await run.agent(TRIAGE, "{{ input.message }}")


async def helpdesk(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.one(triage)
    return run.value("{{ triage }}")


SERVICES = [af.workflow(GRAPH, helpdesk)]
