"""The graph both.

Made by agentflow 0.1.0 from together/graph.yaml,
sha256 eeb512a963161c9e4498bc5b3bce25c0902b35c66d9bda0f25e306f990d68d02.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from agentflow import runtime as af

# isort: split
import tools.desk


class Input(af.Type):
    name: str


class AtOnceArgs(af.Type):
    name: str
    times: int = 2


class LetterArgs(af.Type):
    to: str
    text: str
    name: str


GRAPH = af.Graph(
    "both",
    kind="workflow",
    revision="fb8965a9",
    source="together/graph.yaml",
    input=Input,
    limits=af.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000),
)

DEFAULT = af.Model("default", "gemini-2.5-flash")

LOOK = GRAPH.tool(af.Tool("look", tools.desk.look, effect="read"))

REMOVE = GRAPH.tool(af.Tool("remove", tools.desk.remove))

COPY = GRAPH.tool(
    af.Tool(
        "copy",
        tools.desk.copy,
        retry=af.Retry(attempts=2),
        undo=af.Undo(REMOVE, {"name": "{{ result }} {{ input.name }}"}, uses=["input"]),
    ),
)

AT_ONCE = GRAPH.tool(
    af.Tool(
        "at_once",
        af.parallel_tool(
            [af.Member(LOOK, ["name"]), af.Member(COPY, ["name", "times"])],
            args=AtOnceArgs,
        ),
    ),
)

MAIL = GRAPH.tool(af.Tool("mail", tools.desk.mail, effect="dangerous"))

LETTER = GRAPH.tool(
    af.Tool(
        "letter",
        af.parallel_tool(
            [af.Member(MAIL, ["to", "text"]), af.Member(LOOK, ["name"])],
            args=LetterArgs,
        ),
        effect="dangerous",
        confirm=af.Confirm(
            "Write to {{ args.to }}?",
            approvers=["desk"],
            timeout="2h",
            on_timeout="reject",
        ),
    ),
)

CLERK = GRAPH.agent(af.Agent("clerk", DEFAULT, "You look.", tools=[AT_ONCE, LETTER]))


@af.node("first", line=23, uses=["input"])
async def first(run: af.Run) -> af.Json:
    return await run.tools(
        AT_ONCE,
        {"name": "{{ input.name }}", "times": 2},
        retry=af.Retry(attempts=1),
    )


@af.node("beside", line=24)
def beside(run: af.Run) -> af.Flight:
    return run.tool(LOOK, {"name": "{{ input.name }}"})


@af.node("sent", line=25)
async def sent(run: af.Run) -> af.Json:
    return await run.confirmed_tool(
        LETTER,
        {"to": "ada", "text": "{{ first.copy }}", "name": "{{ beside }}"},
    )


@af.node("asked", line=26)
async def asked(run: af.Run) -> af.Json:
    return await run.agent(CLERK, "{{ sent.look }}")


async def both(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.together(first, beside)
    await run.one(sent)
    await run.one(asked)
    return run.value("{{ asked }}")


SERVICES = [
    af.workflow(GRAPH, both),
    af.own_invocations(GRAPH, first=first),
    af.approvals(GRAPH),
]
