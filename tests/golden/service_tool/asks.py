"""The graph asks.

Made by agentflow 0.1.0 from service_tool/graph.yaml,
sha256 3150d98828c71fe445d119647ad9747b1ecaf695954c907755039df119ef1bd7.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from agentflow import runtime as af

# isort: split
import tools.desk


class Opinion(af.Type):
    fine: bool
    why: str


class Input(af.Type):
    text: str


class LawyerArgs(af.Type):
    question: str


class NoteArgs(af.Type):
    text: str = af.Field(max_length=200)
    pages: int | None = None


GRAPH = af.Graph(
    "asks",
    kind="workflow",
    revision="544a7f4a",
    source="service_tool/graph.yaml",
    input=Input,
    limits=af.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000),
)

DEFAULT = af.Model("default", "gemini-2.5-flash")

LAWYER = GRAPH.tool(
    af.Tool(
        "lawyer",
        af.service_tool(
            af.CalledService("LegalAgent/run", returns=Opinion),
            args=LawyerArgs,
        ),
        description="Knows the law.",
    ),
)

STRIKE = GRAPH.tool(af.Tool("strike", tools.desk.remove))

NOTE = GRAPH.tool(
    af.Tool(
        "note",
        af.service_tool(af.CalledService("notes.archive/put"), args=NoteArgs),
        undo=af.Undo(STRIKE, {"name": "{{ args.text }}"}),
    ),
)

PING = GRAPH.tool(
    af.Tool("ping", af.service_tool(af.CalledService("Health/ping")), effect="read"),
)

CLERK = GRAPH.agent(af.Agent("clerk", DEFAULT, "You ask.", tools=[LAWYER, NOTE, PING]))


@af.node("ask", line=18, uses=["input"])
async def ask(run: af.Run) -> af.Json:
    return await run.agent(CLERK, "{{ input.text }}")


@af.node("again", line=19, needs=["ask"], uses=["ask"], timeout="1h")
async def again(run: af.Run) -> af.Json:
    return await run.confirmed_tool(LAWYER, {"question": "{{ ask }}"})


@af.node("up", line=20, uses=[])
async def up(run: af.Run) -> af.Json:
    return await run.confirmed_tool(PING, {})


async def asks(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.together(ask, again, up)
    return run.value({"fine": "{{ again.fine }}", "up": "{{ up }}"})


SERVICES = [
    af.workflow(GRAPH, asks),
    af.own_invocations(GRAPH, ask=ask, again=again, up=up),
]
