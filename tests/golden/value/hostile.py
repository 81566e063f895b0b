"""The graph hostile.

Made by agentflow 0.1.0 from value/graph.yaml,
sha256 1e23575cd42d7595c503fe6e22cb156eb510cba29a52ac16135eb416b6ac9762.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from agentflow import runtime as af


class Input(af.Type):
    name: str
    class_: str = af.Field(alias="class")
    copy_: int = af.Field(default=3, alias="copy")
    model_x_: str | None = af.Field(default=None, alias="model_x")


GRAPH = af.Graph(
    "hostile",
    kind="workflow",
    revision="b70255ec",
    source="value/graph.yaml",
    input=Input,
    description="A \"quoted\" name\\\\ with '''all''' that \u202e breaks",
    limits=af.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000),
)


@af.node("quotes", line=6)
def quotes(run: af.Run) -> af.Json:
    return run.value('it\'s "both" {{ input.name }}')


@af.node("newline", line=7)
def newline(run: af.Run) -> af.Json:
    return run.value("a\nb\r\nc\t\\")


@af.node("triple", line=8)
def triple(run: af.Run) -> af.Json:
    return run.value("\"\"\" ''' #")


@af.node("braces", line=9)
def braces(run: af.Run) -> af.Json:
    return run.value("{{ '{{' }} and {{ '%}' }}")


@af.node("unicode", line=10)
def unicode(run: af.Run) -> af.Json:
    return run.value("\u202e\x00x\u2028 ünï")


@af.node("nested", line=11)
def nested(run: af.Run) -> af.Json:
    return run.value(
        {
            "list": [1, 2.5, True, None, "{{ input.copy }}"],
            'key "': {"deep": "{{ input.name | upper }}"},
        },
    )


async def hostile(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.together(quotes, newline, triple, braces, unicode, nested)
    return run.values("quotes", "newline", "triple", "braces", "unicode", "nested")


SERVICES = [af.workflow(GRAPH, hostile)]
