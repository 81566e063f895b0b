"""The graph desk.

Made by agentflow 0.1.0 from mcp/graph.yaml,
sha256 8afca8c5a8866540775c1d604c14514f9930a971cb008fbf5326e03209811794.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from agentflow import runtime as af


class Input(af.Type):
    path: str


GRAPH = af.Graph(
    "desk",
    kind="workflow",
    revision="17d8e902",
    source="mcp/graph.yaml",
    input=Input,
    limits=af.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000),
)

DEFAULT = af.Model("default", "gemini-2.5-flash")

FILES = af.mcp_server(
    ["npx", "-y", "@modelcontextprotocol/server-filesystem", "/data"],
    env={"TOKEN": af.Env("FILES_TOKEN")},
    allow=["read_file", "write_file"],
)

SEARCH = af.mcp_server(
    url="https://search.example.com/mcp",
    headers={"Authorization": af.Env("SEARCH_KEY")},
    allow=["web-search"],
)

FILES_READ_FILE = GRAPH.tool(
    af.Tool("files.read_file", FILES.tool("read_file"), effect="read", timeout="1m"),
)

FILES_WRITE_FILE = GRAPH.tool(
    af.Tool("files.write_file", FILES.tool("write_file"), timeout="1m"),
)

SEARCH_WEB_SEARCH = GRAPH.tool(
    af.Tool(
        "search.web-search",
        SEARCH.tool("web-search"),
        effect="read",
        timeout="20s",
    ),
)

CLERK = GRAPH.agent(
    af.Agent(
        "clerk",
        DEFAULT,
        "You keep files.",
        tools=[FILES_READ_FILE, FILES_WRITE_FILE, SEARCH_WEB_SEARCH],
    ),
)


@af.node("found", line=18)
def found(run: af.Run) -> af.Flight:
    return run.tool(FILES_READ_FILE, {"path": "{{ input.path }}"})


@af.node("answer", line=19)
async def answer(run: af.Run) -> af.Json:
    return await run.agent(CLERK, "What does it say? {{ found }}")


async def desk(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.one(found)
    await run.one(answer)
    return run.values("found", "answer")


SERVICES = [af.workflow(GRAPH, desk)]
