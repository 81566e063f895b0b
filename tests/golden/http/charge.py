"""The graph charge.

Made by agentflow 0.1.0 from http/graph.yaml,
sha256 b35d741b70c945732358ae7628c59c7406cff93d3bbc97f4dcc4cfd850cfce95.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from typing import Literal

from agentflow import runtime as af


class Charge(af.Type):
    id: str
    state: Literal["open", "paid"]
    paid_at: str | None = None


class Input(af.Type):
    customer: str
    amount: af.Number
    note: str | None = None


class RateArgs(af.Type):
    currency: str = af.Field(description="three letters, EUR say")
    day: str | None = None


class RateReturns(af.Type):
    rate: af.Number


class RefundArgs(af.Type):
    id: str


class PayArgs(af.Type):
    customer: str
    amount: af.Number
    note: str | None = None


class StoreArgs(af.Type):
    text: str


GRAPH = af.Graph(
    "charge",
    kind="workflow",
    revision="a4076be0",
    source="http/graph.yaml",
    input=Input,
    limits=af.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000),
)

DEFAULT = af.Model("default", "gemini-2.5-flash")

RATE = GRAPH.tool(
    af.Tool(
        "rate",
        af.http(
            "GET https://rates.example.com/v1/rates/{currency}?format=json",
            args=RateArgs,
            returns=RateReturns,
        ),
        effect="read",
        description="The rate of a currency on a day.",
        timeout="1m",
    ),
)

REFUND = GRAPH.tool(
    af.Tool(
        "refund",
        af.http(
            "DELETE https://api.example.com/charges/{id}",
            args=RefundArgs,
            headers={"Authorization": af.Env("PAY_KEY")},
        ),
        timeout="1m",
    ),
)

PAY = GRAPH.tool(
    af.Tool(
        "pay",
        af.http(
            "POST https://api.example.com/customers/{customer}/charges",
            args=PayArgs,
            headers={
                "Authorization": af.Env("PAY_KEY"),
                "Idempotency-Key": "{{ idempotency_key }}",
            },
            body={
                "amount": "{{ args.amount }}",
                "memo": "{{ args.note | default('none') }}",
            },
            returns=Charge,
        ),
        retry=af.Retry(attempts=5),
        timeout="10s",
        undo=af.Undo(REFUND, {"id": "{{ result.id }}"}),
    ),
)

STORE = GRAPH.tool(
    af.Tool(
        "store",
        af.http(
            "PUT https://files.internal:8443/notes",
            args=StoreArgs,
            hosts=["files.internal:8443"],
        ),
        timeout="1m",
    ),
)

BANKER = GRAPH.agent(af.Agent("banker", DEFAULT, "You know about money.", tools=[RATE]))


@af.node("advice", line=32, uses=["input"])
async def advice(run: af.Run) -> af.Json:
    return await run.agent(BANKER, "Is {{ input.amount }} much?")


@af.node("rate", line=33)
def rate(run: af.Run) -> af.Flight:
    return run.tool(RATE, {"currency": "EUR"})


@af.node("paid", line=34, needs=["rate"])
def paid(run: af.Run) -> af.Flight:
    return run.tool(
        PAY,
        {
            "customer": "{{ input.customer }}",
            "amount": "{{ input.amount * rate.rate }}",
            "note": "{{ input.note }}",
        },
    )


@af.node("stored", line=37)
def stored(run: af.Run) -> af.Flight:
    return run.tool(STORE, {"text": "{{ advice }}: {{ paid.state }}"})


async def charge(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.together(advice, rate, paid)
    await run.one(stored)
    return run.value({"charge": "{{ paid.id }}", "state": "{{ paid.state }}"})


SERVICES = [af.workflow(GRAPH, charge), af.own_invocations(GRAPH, advice=advice)]
