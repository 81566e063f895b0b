"""`agentflow serve` as a user meets it, with a graph file and before an engine is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

GRAPH = """agentflow: 1
graph: hello
agents:
  host: {model: gemini-2.5-flash, instruction: You greet.}
"""

KEYS = (
    "GOOGLE_API_KEY",
    "GEMINI_API_KEY",
    "GOOGLE_GEMINI_BASE_URL",
    "GOOGLE_GENAI_USE_VERTEXAI",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_BASE_URL",
)


def serve(folder: Path, *arguments: str) -> tuple[int, str]:
    environment = {name: value for name, value in os.environ.items() if name not in KEYS}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    command = [sys.executable, "-m", "agentflow", "serve", *arguments, "--data-dir", str(folder / "data")]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == ""
    return done.returncode, done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "graphs").mkdir()
    (tmp_path / "graphs" / "hello.yaml").write_text(GRAPH)
    return tmp_path


def test_a_graph_with_mistakes_is_not_served(project: Path) -> None:
    (project / "graphs" / "hello.yaml").write_text(GRAPH.replace("graph: hello", "graph: Hello"))
    code, err = serve(project, "hello", "none", "--offline")
    assert code == 1
    assert "--> graphs/hello.yaml:2:8" in err
    assert "graphs/none.yaml" in err  # all of it, at once
    assert "Traceback" not in err
    assert not (project / "data").exists()


def test_without_a_key_for_the_models_it_says_which(project: Path) -> None:
    code, err = serve(project, "hello")
    assert (code, err) == (
        1,
        "error: hello uses gemini-2.5-flash, and GOOGLE_API_KEY is not set (nor GEMINI_API_KEY, nor "
        "GOOGLE_GEMINI_BASE_URL); with --offline, graphs/hello.replies.yaml answers for it\n",
    )


@pytest.mark.parametrize(
    ("model", "lacking"),
    [
        ("{model: gemini-2.5-flash, api_key: {env: SOME_KEY}}", "uses gemini-2.5-flash, and SOME_KEY is not set;"),
        ("claude-x", "uses claude-x, and ANTHROPIC_API_KEY is not set (nor ANTHROPIC_BASE_URL);"),
        ("{model: qwen3, base_url: 'http://localhost:1/v1', api_key: {env: SOME_KEY}}", "and SOME_KEY is not set;"),
    ],
)
def test_a_key_that_is_missing_is_named(project: Path, model: str, lacking: str) -> None:
    graph = GRAPH.replace("model: gemini-2.5-flash", "model: mine") + f"models: {{mine: {model}}}\n"
    (project / "graphs" / "hello.yaml").write_text(graph)
    code, err = serve(project, "hello")
    assert code == 1 and err.startswith("error: hello uses ") and lacking in err and err.count("\n") == 1


def test_offline_needs_replies(project: Path) -> None:
    code, err = serve(project, "hello", "--offline")
    assert (code, err) == (
        1,
        "error: hello has agents, and there is no graphs/hello.replies.yaml to answer for them offline\n",
    )


def test_one_name_is_one_graph(project: Path) -> None:
    (project / "graphs" / "copy.yaml").write_text(GRAPH)
    code, err = serve(project, "hello", "copy")
    assert (code, err) == (1, 'error: two of the files are the graph "hello": a name stands for one graph\n')


def test_graphs_of_two_projects_are_served_each_by_itself(project: Path) -> None:
    other = project / "other"
    (other / "tools").mkdir(parents=True)
    (project / "tools").mkdir()
    (other / "bye.yaml").write_text(GRAPH.replace("graph: hello", "graph: bye"))
    code, err = serve(project, "hello", "other/bye.yaml")
    assert (code, err) == (
        1,
        f"error: the graphs are of different projects, {project} and {other}: serve each by itself\n",
    )


def test_a_data_directory_that_cannot_be_is_one_line(project: Path) -> None:
    (project / "data").write_text("a file")
    (project / "graphs" / "hello.replies.yaml").write_text("host: [{say: hello}]\n")
    code, err = serve(project, "hello", "--offline")
    assert (code, err) == (1, f"error: {project}/data: File exists\n")


@pytest.mark.parametrize("port", ["x", "-1", "65536"])
def test_a_port_is_a_number(project: Path, port: str) -> None:
    code, err = serve(project, "hello", f"--port={port}")
    assert code == 2
    assert "argument --port: invalid" in err
