"""The graph fan.

Made by agentflow 0.1.0 from parallel/graph.yaml,
sha256 f3e1bed70f8c49b58048775949f5bf11cd04db799638ad350ff399c1650f3df9.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from agentflow import runtime as af

# isort: split
import tools.desk


class Input(af.Type):
    name: str


GRAPH = af.Graph(
    "fan",
    kind="workflow",
    revision="840099b8",
    source="parallel/graph.yaml",
    input=Input,
    limits=af.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000),
)

GEMINI_2_5_FLASH = af.Model("gemini-2.5-flash", "gemini-2.5-flash")

LOOK = GRAPH.tool(af.Tool("look", tools.desk.look, effect="read"))

WRITER = GRAPH.agent(af.Agent("writer", GEMINI_2_5_FLASH, "You write."))


@af.node("all", line=9, uses=["input"])
async def all_2(run: af.Run) -> af.Json:
    return await run.parallel(all_text, all_seen, all_fixed, on_failure="collect")


@af.node("text", line=11, uses=["input"])
async def all_text(run: af.Run) -> af.Json:
    return await run.agent(WRITER, "{{ input.name }}")


@af.node("seen", line=12)
def all_seen(run: af.Run) -> af.Flight:
    return run.tool(LOOK, {"name": "{{ input.name }}"})


@af.node("fixed", line=13)
def all_fixed(run: af.Run) -> af.Json:
    return run.value(3)


@af.node("fastest", line=15, uses=["input"])
async def fastest(run: af.Run) -> af.Json:
    return await run.parallel(fastest_one, fastest_two, join="first")


@af.node("one", line=17, uses=["input"])
async def fastest_one(run: af.Run) -> af.Json:
    return await run.agent(WRITER, "{{ input.name }}")


@af.node("two", line=18, uses=[], timeout="1s")
def fastest_two(run: af.Run) -> af.Flight:
    return run.tool(LOOK, {"name": "two"})


@af.node("quorum", line=20, uses=[])
async def quorum(run: af.Run) -> af.Json:
    return await run.parallel(quorum_a, quorum_b, quorum_c, join=2)


@af.node("a", line=22)
def quorum_a(run: af.Run) -> af.Flight:
    return run.tool(LOOK, {"name": "a"})


@af.node("b", line=23)
def quorum_b(run: af.Run) -> af.Flight:
    return run.tool(LOOK, {"name": "b"})


@af.node("c", line=24, uses=[])
async def quorum_c(run: af.Run) -> af.Json:
    await run.one(quorum_c_read)
    await run.one(quorum_c_again)
    return run.value("{{ again }}")


@af.node("read", line=26)
def quorum_c_read(run: af.Run) -> af.Flight:
    return run.tool(LOOK, {"name": "c"})


@af.node("again", line=27)
def quorum_c_again(run: af.Run) -> af.Flight:
    return run.tool(LOOK, {"name": "{{ read }}"})


async def fan(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.together(all_2, fastest, quorum)
    return run.value(
        {"winner": "{{ fastest.winner }}", "a": "{{ quorum.a | default('none') }}"},
    )


SERVICES = [
    af.workflow(GRAPH, fan),
    af.own_invocations(
        GRAPH,
        all=all_2,
        all__text=all_text,
        fastest=fastest,
        fastest__one=fastest_one,
        fastest__two=fastest_two,
        quorum=quorum,
        quorum__c=quorum_c,
    ),
]
