"""The graph customers.

Made by agentflow 0.1.0 from openapi/graph.yaml,
sha256 86c110dfccc78faa5db5bd614e82db7a4b0cdd77c1ee8844428bf8fc05b9732a.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from typing import Any, Literal

from agentflow import runtime as af


class Input(af.Type):
    name: str


class CrmGetCustomerArgs(af.Type):
    customerId: str
    expand: list[Literal["orders", "notes"]] | None = af.Field(
        default=None,
        description="What else to tell.",
    )
    X_Trace_: str | None = af.Field(default=None, alias="X-Trace")


class CrmGetCustomerReturns(af.Type):
    id: str
    name: str
    since: str | None = None
    parent: Any | None = None


class CrmCreateCustomerArgsParent(af.Type):
    id: str
    name: str
    since: str | None = None
    parent: Any | None = None


class CrmCreateCustomerArgs(af.Type):
    name: str = af.Field(description="As it is written on letters.")
    tags: list[str] | None = None
    parent: CrmCreateCustomerArgsParent | None = None


class CrmCreateCustomerReturns(af.Type):
    id: str
    name: str
    since: str | None = None
    parent: Any | None = None


class CrmDeleteCustomerArgs(af.Type):
    customerId: str


ANSWER_PROMPT = """\
Who is {{ found.name }}, with us since {{ found.since | default('today') }}?"""


GRAPH = af.Graph(
    "customers",
    kind="workflow",
    revision="8f0ca6e2",
    source="openapi/graph.yaml",
    input=Input,
    limits=af.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000),
)

DEFAULT = af.Model("default", "gemini-2.5-flash")

CRM = af.Api(
    "https://crm.example.com/v2",
    headers={
        "Authorization": af.Env("CRM_KEY"),
        "Idempotency-Key": "{{ idempotency_key }}",
    },
)

CRM_GETCUSTOMER = GRAPH.tool(
    af.Tool(
        "crm.getCustomer",
        CRM.operation(
            "GET /customers/{customerId}",
            args=CrmGetCustomerArgs,
            query=["expand"],
            header=["X-Trace"],
            returns=CrmGetCustomerReturns,
        ),
        effect="read",
        description="Finds a customer. By the number of the customer.",
        retry=af.Retry(attempts=3),
        timeout="1m",
    ),
)

CRM_CREATECUSTOMER = GRAPH.tool(
    af.Tool(
        "crm.createCustomer",
        CRM.operation(
            "POST /customers",
            args=CrmCreateCustomerArgs,
            returns=CrmCreateCustomerReturns,
        ),
        retry=af.Retry(attempts=3),
        timeout="1m",
    ),
)

CRM_DELETECUSTOMER = GRAPH.tool(
    af.Tool(
        "crm.deleteCustomer",
        CRM.operation("DELETE /customers/{customerId}", args=CrmDeleteCustomerArgs),
        retry=af.Retry(attempts=3),
        timeout="1m",
    ),
)

CLERK = GRAPH.agent(
    af.Agent("clerk", DEFAULT, "You know our customers.", tools=[CRM_GETCUSTOMER]),
)


@af.node("made", line=15)
def made(run: af.Run) -> af.Flight:
    return run.tool(
        CRM_CREATECUSTOMER,
        {"name": "{{ input.name }}"},
        undo=af.Undo(
            CRM_DELETECUSTOMER,
            {"customerId": "{{ result.id }}"},
            uses=["result"],
        ),
    )


@af.node("found", line=19)
def found(run: af.Run) -> af.Flight:
    return run.tool(
        CRM_GETCUSTOMER,
        {"customerId": "{{ made.id }}", "expand": ["orders"]},
    )


@af.node("answer", line=20)
async def answer(run: af.Run) -> af.Json:
    return await run.agent(CLERK, ANSWER_PROMPT)


async def customers(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.one(made)
    await run.one(found)
    await run.one(answer)
    return run.value("{{ answer }}")


SERVICES = [af.workflow(GRAPH, customers)]
