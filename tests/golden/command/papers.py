"""The graph papers.

Made by agentflow 0.1.0 from command/graph.yaml,
sha256 8475740ba3cd6066ba0c54c0954c911fe4a721023979fd9d2a4aeaa9ee1fcc27.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from agentflow import runtime as af


class Input(af.Type):
    path: str


class TextOfArgs(af.Type):
    path: str


class DescribeArgs(af.Type):
    name: str
    words: list[str]


class DescribeReturns(af.Type):
    title: str
    pages: int


GRAPH = af.Graph(
    "papers",
    kind="workflow",
    revision="e74c52b3",
    source="command/graph.yaml",
    input=Input,
    limits=af.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000),
)

TEXT_OF = GRAPH.tool(
    af.Tool(
        "text_of",
        af.command(
            ["pdftotext", "-layout", "--", "{{ args.path }}", "-"],
            args=TextOfArgs,
        ),
        effect="read",
        timeout="1m",
    ),
)

DESCRIBE = GRAPH.tool(
    af.Tool(
        "describe",
        af.command(
            [
                "./bin/describe",
                "--name={{ args.name }}",
                "{{ args.words | join(' ') }}",
            ],
            args=DescribeArgs,
            env={"API_KEY": af.Env("DESCRIBE_KEY"), "LANG": "C.UTF-8"},
            returns=DescribeReturns,
        ),
        timeout="10m",
    ),
)


@af.node("text", line=12)
def text(run: af.Run) -> af.Flight:
    return run.tool(TEXT_OF, {"path": "{{ input.path }}"})


@af.node("about", line=13)
def about(run: af.Run) -> af.Flight:
    return run.tool(DESCRIBE, {"name": "{{ input.path }}", "words": ["{{ text }}"]})


async def papers(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.one(text)
    await run.one(about)
    return run.value({"title": "{{ about.title }}", "pages": "{{ about.pages }}"})


SERVICES = [af.workflow(GRAPH, papers)]
