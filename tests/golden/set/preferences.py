"""preferences: Keeps what somebody likes, and how often they said so.

Made by agentflow 0.1.0 from set/graph.yaml,
sha256 2b7bd895adc0d06ef98d79d561e4995974d5bd8279eb0ab3970ac8806627d419.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from agentflow import runtime as af


class Input(af.Type):
    language: str
    why: str | None = None


class State(af.Type):
    language: str = "English"
    changes: int = 0
    reasons: list[str] = af.Field(default=[])
    last: str | None = af.Field(
        default=None,
        description="the reason that was given last",
    )


GRAPH = af.Graph(
    "preferences",
    kind="object",
    revision="72b04bb0",
    source="set/graph.yaml",
    input=Input,
    description="Keeps what somebody likes, and how often they said so.",
    limits=af.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000),
    state=State,
)


@af.node("choose", line=12)
def choose(run: af.Run) -> af.Json:
    return run.set_state(
        {"language": "{{ input.language }}", "changes": "{{ state.changes + 1 }}"},
    )


@af.node("explain", line=16, when="input.why")
def explain(run: af.Run) -> af.Json:
    return run.set_state(
        {
            "reasons": "{{ state.reasons + [input.why] }}",
            "last": "{{ input.why | required }}",
        },
    )


async def preferences(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.together(choose, explain)
    return run.value(
        {
            "before": "{{ state.language }}",
            "now": "{{ choose.language }}",
            "last": "{{ state.last }}",
        },
    )


SERVICES = [af.object(GRAPH, preferences)]
