"""The graph questions.

Made by agentflow 0.1.0 from ask/graph.yaml,
sha256 e3a2bf0ee49a6ef08d0bd344072ee21e938d05db2dbd4dfb2ef8298c4a57b700.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from typing import Literal

from agentflow import runtime as af

# isort: split
import tools.desk


class Input(af.Type):
    topic: str
    editors: list[str]


class BriefForm(af.Type):
    tone: Literal["formal", "plain"]
    words: int = 300
    note: str | None = None


class DeadlineForm(af.Type):
    date: str


class SignForm(af.Type):
    name: str


SIGN_MESSAGE = """\
{{ brief.tone }}, by {{ deadline.date if deadline else 'any day' }}: who signs?"""


GRAPH = af.Graph(
    "questions",
    kind="workflow",
    revision="3f94a8b5",
    source="ask/graph.yaml",
    input=Input,
    limits=af.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000),
)

MAIL = GRAPH.tool(af.Tool("mail", tools.desk.mail))


@af.node("brief", line=7)
def brief(run: af.Run) -> af.Flight:
    return run.ask(
        "What should the text on {{ input.topic }} say?",
        to="{{ input.editors }}",
        form=BriefForm,
        notify=af.Notify(
            MAIL,
            {
                "to": "{{ approver }}",
                "text": "{{ message }} {{ link }} ({{ input.topic }})",
            },
            uses=["input"],
        ),
    )


@af.node("deadline", line=12)
def deadline(run: af.Run) -> af.Flight:
    return run.ask(
        "When is it due?",
        to=["anyone"],
        form=DeadlineForm,
        timeout="2h",
        on_timeout="continue",
    )


@af.node("sign", line=17, on_error=af.Use({"name": "nobody"}))
def sign(run: af.Run) -> af.Flight:
    return run.ask(
        SIGN_MESSAGE,
        to=["desk"],
        form=SignForm,
        timeout="24h",
        on_timeout="fail",
    )


async def questions(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.together(brief, deadline)
    await run.one(sign)
    return run.value({"tone": "{{ brief.tone }}", "name": "{{ sign.name }}"})


SERVICES = [af.workflow(GRAPH, questions), af.approvals(GRAPH)]
