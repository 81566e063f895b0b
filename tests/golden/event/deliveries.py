"""The graph deliveries.

Made by agentflow 0.1.0 from event/graph.yaml,
sha256 318132a1c89bdda19c4a1aecf37645ddc5a64ca83595a446cc9b8fbf01ebd6a8.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from agentflow import runtime as af


class Payment(af.Type):
    amount: af.Number
    reference: str | None = None


class Input(af.Type):
    pass


class HandedOverEvent(af.Type):
    by: str


GRAPH = af.Graph(
    "deliveries",
    kind="workflow",
    revision="46251026",
    source="event/graph.yaml",
    input=Input,
    limits=af.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000),
)

PAYMENT = GRAPH.event(af.Event("payment", Payment))

NOTE = GRAPH.event(af.Event("note"))

HANDED_OVER = GRAPH.event(af.Event("handed_over", HandedOverEvent))

CANCELLED = GRAPH.event(af.Event("cancelled", str))


@af.node("paid", line=6)
def paid(run: af.Run) -> af.Flight:
    return run.event(PAYMENT, timeout="3d", on_timeout="fail")


@af.node("more", line=7, needs=["paid"])
def more(run: af.Run) -> af.Flight:
    return run.event(PAYMENT, timeout="1h", on_timeout="continue")


@af.node("note", line=8)
def note(run: af.Run) -> af.Flight:
    return run.event(NOTE)


@af.node("left", line=9, needs=["paid"], uses=["paid"])
async def left(run: af.Run) -> af.Json:
    return await run.parallel(left_parcel, left_cancelled, join="first")


@af.node("parcel", line=11)
def left_parcel(run: af.Run) -> af.Flight:
    return run.event(HANDED_OVER)


@af.node("cancelled", line=12, when="paid.amount > 5")
def left_cancelled(run: af.Run) -> af.Flight:
    return run.event(CANCELLED)


async def deliveries(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.together(paid, more, note, left)
    return run.value(
        {
            "amount": "{{ paid.amount }}",
            "more": "{{ more.amount if more else 0 }}",
            "note": "{{ note }}",
            "first": "{{ left.winner }}",
        },
    )


SERVICES = [
    af.workflow(GRAPH, deliveries),
    af.own_invocations(GRAPH, left=left),
    af.inbox(GRAPH),
]
