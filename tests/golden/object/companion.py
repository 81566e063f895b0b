"""companion: Talks, and remembers.

Made by agentflow 0.1.0 from object/graph.yaml,
sha256 dec0fb8289a689a7ab4b7f47cff6f22b4eda31c6b2a2952f99a3a49e572219f1.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from typing import Literal

from agentflow import runtime as af

# isort: split
import tools.memory


class Input(af.Type):
    message: str


class State(af.Type):
    name: str | None = None
    mood: Literal["calm", "lively"] = "calm"


COMPANION_INSTRUCTION = """\
Be {{ state.mood }}.{% if state.name %} You talk to {{ state.name }}.{% endif %}"""


GRAPH = af.Graph(
    "companion",
    kind="object",
    revision="a713e5e7",
    source="object/graph.yaml",
    input=Input,
    description="Talks, and remembers.",
    limits=af.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000),
    state=State,
    session=af.Session(keep=20, summarize_after=60, agent="companion"),
    on_busy="interrupt",
)

DEFAULT = af.Model("default", "gemini-2.5-flash")

REMEMBER = GRAPH.tool(af.Tool("remember", tools.memory.remember, takes_state=True))

COMPANION = GRAPH.agent(
    af.Agent("companion", DEFAULT, COMPANION_INSTRUCTION, tools=[REMEMBER]),
)


@af.node("companion", line=14)
async def companion_2(run: af.Run) -> af.Json:
    return await run.agent(COMPANION, "{{ input.message }}", conversation="session")


async def companion(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.one(companion_2)
    return run.value("{{ companion }}")


SERVICES = [af.object(GRAPH, companion), af.door(GRAPH)]
