"""The graph each.

Made by agentflow 0.1.0 from for_each/graph.yaml,
sha256 360243f100745e5ff74a2e8d42f632226f040587a91dd4395de55b65502a2488.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from agentflow import runtime as af

# isort: split
import tools.desk


class InputOrdersItem(af.Type):
    id: str
    items: list[str]


class Input(af.Type):
    orders: list[InputOrdersItem]


GRAPH = af.Graph(
    "each",
    kind="workflow",
    revision="08598ccc",
    source="for_each/graph.yaml",
    input=Input,
    limits=af.Limits(model_calls=200, tool_calls=2500, handoffs=20, fan_out=1000),
)

DEFAULT = af.Model("default", "gemini-2.5-flash")

LOOK = GRAPH.tool(af.Tool("look", tools.desk.look, effect="read"))

CLERK = GRAPH.agent(af.Agent("clerk", DEFAULT, "You check orders."))


@af.node("seen", line=10, uses=["input"])
async def seen(run: af.Run) -> af.Json:
    return await run.for_each(
        "input.orders",
        seen_do,
        item="order",
        max_parallel=5,
        on_failure="collect",
    )


@af.node("do", line=15, when="order.items")
def seen_do(run: af.Run) -> af.Flight:
    return run.tool(LOOK, {"name": "{{ order.id }} {{ index }}"})


@af.node("checked", line=16, uses=["input"])
async def checked(run: af.Run) -> af.Json:
    return await run.for_each("input.orders", checked_do, max_parallel=10)


@af.node("do", line=18, uses=["input", "item"])
async def checked_do(run: af.Run) -> af.Json:
    await run.one(checked_do_all_of_it)
    return run.value("{{ all_of_it | join(', ') }}")


@af.node("all_of_it", line=20, uses=["input", "item"])
async def checked_do_all_of_it(run: af.Run) -> af.Json:
    return await run.for_each(
        "item.items",
        checked_do_all_of_it_do,
        item="article",
        max_parallel=10,
    )


@af.node("do", line=23, uses=["input", "item", "article"])
async def checked_do_all_of_it_do(run: af.Run) -> af.Json:
    return await run.agent(CLERK, "{{ article }} of {{ item.id }}")


@af.node("either", line=25, uses=["input"])
async def either(run: af.Run) -> af.Json:
    return await run.for_each(
        ["north", "south {{ input.orders | length }}"],
        either_do,
        max_parallel=10,
        join="any",
    )


@af.node("do", line=28)
def either_do(run: af.Run) -> af.Flight:
    return run.tool(LOOK, {"name": "{{ item }}"})


async def each(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.together(seen, checked, either)
    return run.value(
        {
            "checked": "{{ checked }}",
            "seen": "{{ seen }}",
            "winner": "{{ either.winner }}",
        },
    )


SERVICES = [
    af.workflow(GRAPH, each),
    af.own_invocations(
        GRAPH,
        seen=seen,
        checked=checked,
        checked__do=checked_do,
        checked__do__all_of_it=checked_do_all_of_it,
        checked__do__all_of_it__do=checked_do_all_of_it_do,
        either=either,
    ),
]
