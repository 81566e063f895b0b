"""Tools of a real MCP server process, started for each call or listening: what is listed, called and refused."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ports import free_port
from tied import tied

from agentflow import ToolError
from agentflow import runtime as af
from agentflow.runtime.errors import NodeError, ToolUnavailable
from agentflow.runtime.mcp_tool import Server
from agentflow.runtime.schema import Mismatch
from tests.runtime.outside import Answer, outside

DESK = str(Path(__file__).with_name("mcp_desk.py"))
ALLOW = ["add", "look", "refuse", "die"]


@contextlib.contextmanager
def listening() -> Iterator[int]:
    """A server that listens, by its port."""
    number = free_port()
    process = subprocess.Popen([sys.executable, DESK, str(number)], stderr=subprocess.DEVNULL, preexec_fn=tied)
    try:
        for _ in range(600):
            with socket.socket() as trial:
                if trial.connect_ex(("127.0.0.1", number)) == 0:
                    break
            time.sleep(0.05)
        yield number
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with listening() as number:
        yield number


@pytest.fixture(params=["stdio", "http"])
def server(request: pytest.FixtureRequest) -> Server:
    if request.param == "stdio":
        return af.mcp_server([sys.executable, DESK], allow=ALLOW)
    number = request.getfixturevalue("port")
    return af.mcp_server(url=f"http://127.0.0.1:{number}/mcp", allow=ALLOW, hosts=[f"127.0.0.1:{number}"])


def call(server: Server, tool: str, **args: Any) -> Any:
    return asyncio.run(server.tool(tool).call(args, "run:step"))


def test_structured_content_is_the_value_else_the_text(server: Server) -> None:
    assert call(server, "add", a=1, b=2) == {"sum": 3}
    assert call(server, "look", name="you") == "saw you as nobody"


def test_an_error_of_the_tool_is_told(server: Server) -> None:
    with pytest.raises(ToolError, match="refuse: "):
        call(server, "refuse", name="tea")


def test_wrong_arguments_are_told(server: Server) -> None:
    with pytest.raises(ToolError, match="(?s)add: .*valid integer"):
        call(server, "add", a="x", b=2)


def test_only_what_is_allowed_is_called(server: Server) -> None:
    with pytest.raises(NodeError, match="the tool book is not in allow") as caught:
        call(server, "book", name="a room")
    assert caught.value.code == 403


def test_a_tool_that_the_server_has_not_ends_the_node(server: Server) -> None:
    wrong = Server(server.command, url=server.url, allow=("lok",), hosts=server.hosts)
    for attempt in (wrong.tool("lok").call({}, "k"), wrong.listed()):
        with pytest.raises(NodeError, match="has no tool lok: did you mean look?") as caught:
            asyncio.run(attempt)
        assert (caught.value.code, caught.value.unknown) == (404, False)


def test_the_allowed_tools_are_listed_and_no_others(server: Server) -> None:
    listed: Any = asyncio.run(server.listed())
    assert list(listed) == ALLOW
    assert listed["add"]["description"] == "Adds two numbers."
    pinned: Any = server.tool("add").pinned(listed)  # type: ignore[attr-defined]
    assert pinned.parameters.check({"a": 1, "b": 2}) == {"a": 1, "b": 2}
    with pytest.raises(Mismatch, match="'b' is a required property"):
        pinned.parameters.check({"a": 1})
    assert pinned.parameters.json_schema["properties"]["a"] == {"type": "integer"}
    assert asyncio.run(pinned.call({"a": 1, "b": 2}, "k")) == {"sum": 3}


def test_the_key_of_the_call_is_handed_over(tmp_path: Path) -> None:
    log = tmp_path / "log"
    server = af.mcp_server([sys.executable, DESK], env={"MCP_DESK_LOG": str(log)}, allow=["add"])
    call(server, "add", a=1, b=2)
    assert json.loads(log.read_text()) == {"tool": "add", "key": "run:step"}


def test_a_server_that_dies_in_a_call_may_have_done_it() -> None:
    with pytest.raises(ToolUnavailable, match="out of paper") as caught:
        call(af.mcp_server([sys.executable, DESK], allow=ALLOW), "die")
    assert caught.value.unknown


def test_a_listening_server_that_dies_in_a_call_may_have_done_it() -> None:
    with listening() as number:
        server = af.mcp_server(url=f"http://127.0.0.1:{number}/mcp", allow=ALLOW, hosts=["127.0.0.1"])
        with pytest.raises(ToolUnavailable) as caught:
            call(server, "die")
        assert caught.value.unknown
    with pytest.raises(ToolUnavailable) as caught:
        call(server, "look", name="you")
    assert not caught.value.unknown


@pytest.mark.parametrize("command", [["/nonexistent/server"], [sys.executable, "-c", "raise SystemExit('no licence')"]])
def test_a_server_that_does_not_start_may_start_later(command: list[str]) -> None:
    with pytest.raises(ToolUnavailable, match="No such file|no licence") as caught:
        call(af.mcp_server(command, allow=["look"]), "look")
    assert not caught.value.unknown


def test_a_secret_reaches_the_server_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESK_WORD", "sesame-open")
    monkeypatch.setenv("UNSEEN", "x")
    env: dict[str, Any] = {"MCP_DESK_SECRET": af.Env("DESK_WORD")}
    server = af.mcp_server([sys.executable, DESK], env=env, allow=["look"])
    assert call(server, "look", name="you") == "saw you as <DESK_WORD>"


def test_headers_are_sent_and_refusals_end_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESK_WORD", "Bearer sesame-open")
    headers: dict[str, Any] = {"Authorization": af.Env("DESK_WORD")}
    with outside() as one:
        server = af.mcp_server(url=f"{one.url}/mcp", headers=headers, allow=["look"], hosts=one.hosts)
        for status, error in ((401, NodeError), (403, NodeError), (503, ToolUnavailable), (429, ToolUnavailable)):
            one.says(Answer(status))
            with pytest.raises(error) as caught:
                call(server, "look", name="you")
            assert (caught.value.code, caught.value.unknown) == (status, False)  # type: ignore[attr-defined]
        assert one.asked[0].headers["authorization"] == "Bearer sesame-open"


def test_a_listening_server_is_asked_only_where_the_project_allows_it(port: int) -> None:
    server = af.mcp_server(url=f"http://127.0.0.1:{port}/mcp", allow=["look"])
    with pytest.raises(NodeError, match="is not of the open internet"):
        call(server, "look", name="you")


def test_no_server_is_left_behind_when_a_call_is_cancelled(tmp_path: Path) -> None:
    log = tmp_path / "log"
    server = af.mcp_server([sys.executable, DESK], env={"MCP_DESK_LOG": str(log)}, allow=["book"])

    async def scenario() -> None:
        calling = asyncio.ensure_future(server.tool("book").call({"name": "a", "seconds": 60}, "k"))
        for _ in range(600):
            if log.exists():
                break
            await asyncio.sleep(0.05)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling

    asyncio.run(scenario())
    children = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(os.getpid())], capture_output=True, text=True)
    assert not [line for line in children.stdout.splitlines() if DESK in line and len(line.split()) == 3]
