"""The graph two_gates.

Made by agentflow 0.1.0 from approval/graph.yaml,
sha256 919cff8bc88efc5f8520113e07814327482e58b3c4d8c296dd595363780baa1b.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from agentflow import runtime as af

# isort: split
import tools.desk


class Input(af.Type):
    amount: af.Number
    approvers: list[str]


class FirstForm(af.Type):
    reason: str
    until: str | None = af.Field(default=None, description="A date.")


GRAPH = af.Graph(
    "two_gates",
    kind="workflow",
    revision="6c6d35d4",
    source="approval/graph.yaml",
    input=Input,
    limits=af.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000),
)

MAIL = GRAPH.tool(af.Tool("mail", tools.desk.mail))


@af.node("first", line=7)
def first(run: af.Run) -> af.Flight:
    return run.approval(
        "Spend {{ input.amount }}?",
        approvers="{{ input.approvers }}",
        on_reject="fail",
        form=FirstForm,
        notify=af.Notify(
            MAIL,
            {
                "to": "{{ approver }}",
                "text": "{{ message }} {{ link }} ({{ input.amount }})",
            },
            uses=["input"],
        ),
    )


@af.node("second", line=12, when="input.amount > 1000")
def second(run: af.Run) -> af.Flight:
    return run.approval(
        "Really?",
        approvers=["boss"],
        timeout="2d12h",
        escalate=[
            af.Escalation(["board"], "1h30m"),
            af.Escalation(["{{ input.approvers[0] | default('board') }}"], "1h"),
        ],
        on_timeout="fail",
        on_reject="fail",
    )


async def two_gates(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.together(first, second)
    return run.value({"reason": "{{ first.form.reason | default('') }}"})


SERVICES = [af.workflow(GRAPH, two_gates), af.approvals(GRAPH)]
