"""The graph audits.

Made by agentflow 0.1.0 from graph/graph.yaml,
sha256 5ba31f0a9724d7d097b2156c32c23a954e01b586946cfce1d1d255f07fd7eaf7.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from agentflow import runtime as af

# isort: split
import tools.desk


class InputCasesItem(af.Type):
    id: str
    amount: af.Number


class Input(af.Type):
    cases: list[InputCasesItem]
    depth: int


GRAPH = af.Graph(
    "audits",
    kind="workflow",
    revision="3e90b32e",
    source="graph/graph.yaml",
    input=Input,
    limits=af.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000),
)

WITHDRAW = GRAPH.tool(af.Tool("withdraw", tools.desk.mail))


@af.node("first", line=7)
def first(run: af.Run) -> af.Flight:
    return run.call_out(
        af.CalledGraph("checked", kind="workflow"),
        {"id": "{{ input.cases[0].id | default('none') }}", "amount": 5},
        undo=af.Undo(
            WITHDRAW,
            {"to": "ada", "text": "{{ result.note | default('') }}"},
            uses=["result"],
        ),
    )


@af.node("again", line=11, uses=["first"], on_error="continue")
async def again(run: af.Run) -> af.Json:
    return await run.call_again(
        af.CalledGraph("checked", kind="workflow"),
        {"id": "{{ first.id }}"},
        key="audit-{{ first.id }}",
        retry=af.Retry(attempts=3, initial="1s"),
    )


@af.node("inner", line=18, when="input.depth > 0")
def inner(run: af.Run) -> af.Flight:
    return run.call_out(
        af.CalledGraph("audits", kind="workflow"),
        {"cases": "{{ input.cases }}", "depth": "{{ input.depth - 1 }}"},
    )


@af.node("later", line=23, needs=["inner"])
def later(run: af.Run) -> af.Json:
    return run.send(
        af.CalledGraph("checked", kind="workflow"),
        {"id": "later"},
        delay="2h",
    )


@af.node("at_noon", line=24, needs=["inner"])
def at_noon(run: af.Run) -> af.Json:
    return run.send(
        af.CalledGraph("checked", kind="workflow"),
        {"id": "noon"},
        until="run.started",
    )


async def audits(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.one(first)
    await run.together(again, inner, later, at_noon)
    return run.value(
        {
            "note": "{{ first.note }}",
            "again": "{{ again.id | default('') }}",
            "sent": "{{ later.key }}",
        },
    )


SERVICES = [af.workflow(GRAPH, audits), af.own_invocations(GRAPH, again=again)]
