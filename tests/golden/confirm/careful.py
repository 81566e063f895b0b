"""The graph careful.

Made by agentflow 0.1.0 from confirm/graph.yaml,
sha256 aeef70acb2056ad14a1d2cec575a47cf808600892336ff292e5a1b8f7dae07e0.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from agentflow import runtime as af

# isort: split
import tools.desk


class Input(af.Type):
    to: str


class AgainArgs(af.Type):
    to: str


class MayIArgs(af.Type):
    what: str


class WhoArgs(af.Type):
    what: str


class WhoForm(af.Type):
    name: str


GRAPH = af.Graph(
    "careful",
    kind="workflow",
    revision="eeb37d88",
    source="confirm/graph.yaml",
    input=Input,
    limits=af.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000),
)

DEFAULT = af.Model("default", "gemini-2.5-flash")

MAIL = GRAPH.tool(
    af.Tool(
        "mail",
        tools.desk.mail,
        effect="dangerous",
        confirm=af.Confirm(
            "Write to {{ args.to }}?",
            approvers=["desk", "{{ args.to }}"],
            when='args.to != "ada"',
            timeout="2h",
            escalate=[af.Escalation(["boss"], "1h")],
            on_timeout="reject",
        ),
    ),
)

AGAIN = GRAPH.tool(
    af.Tool(
        "again",
        af.graph_tool(af.CalledGraph("careful", kind="workflow"), args=AgainArgs),
        description="Does it again.",
    ),
)

MAY_I = GRAPH.tool(
    af.Tool(
        "may_i",
        af.approval_tool(
            "{{ args.what }}?",
            args=MayIArgs,
            to=["desk"],
            timeout="1h",
            on_timeout="reject",
        ),
    ),
)

WHO = GRAPH.tool(
    af.Tool(
        "who",
        af.ask_tool(
            "Who does {{ args.what }}?",
            args=WhoArgs,
            to=["anyone"],
            form=WhoForm,
        ),
    ),
)

CLERK = GRAPH.agent(
    af.Agent("clerk", DEFAULT, "You write.", tools=[MAIL, AGAIN, MAY_I, WHO]),
)


@af.node("letter", line=22)
async def letter(run: af.Run) -> af.Json:
    return await run.agent(CLERK, "To {{ input.to }}")


@af.node("note", line=23, uses=["input", "letter"])
async def note(run: af.Run) -> af.Json:
    return await run.confirmed_tool(
        MAIL,
        {"to": "{{ input.to }}", "text": "{{ letter }}"},
    )


@af.node("ok", line=24)
def ok(run: af.Run) -> af.Flight:
    return run.tool(MAY_I, {"what": "{{ letter }}"})


async def careful(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.one(letter)
    await run.together(note, ok)
    return run.value("{{ ok.outcome }}")


SERVICES = [
    af.workflow(GRAPH, careful),
    af.own_invocations(GRAPH, note=note),
    af.approvals(GRAPH),
]
