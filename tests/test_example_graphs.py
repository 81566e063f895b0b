"""The example graphs: valid, and their modules as clean as if somebody had written them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from agentflow.cli import main
from agentflow.driver import build, compile
from agentflow.rendering import render

ROOT = Path(__file__).parents[1]
GRAPHS = sorted(path for path in (ROOT / "graphs").glob("*.yaml") if len(path.suffixes) == 1)

per_graph = pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.stem)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the module of every example."""
    folder = tmp_path_factory.mktemp("build")
    for graph in GRAPHS:
        build(graph, folder)
    return folder


def tool(*arguments: str, folder: Path) -> None:
    """Runs a Python program as a module; its output is shown where it complains."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=folder, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_are_examples() -> None:
    assert {"claim", "weather", "support", "trip", "digest"} <= {graph.stem for graph in GRAPHS}


@per_graph
def test_an_example_is_valid(graph: Path) -> None:
    result = compile(graph)
    assert not result.diagnostics, render(result.diagnostics, result.source.files() if result.source else {}, "text")


@per_graph
def test_check_says_so(graph: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["check", graph.stem]) == 0
    assert capsys.readouterr().out == f"graphs/{graph.name}: valid\n"


@per_graph
def test_an_example_says_what_it_shows(graph: Path) -> None:
    for path in (graph, graph.with_suffix(".replies.yaml")):
        assert path.read_text(encoding="utf-8").startswith("# "), path.name


@per_graph
def test_the_replies_answer_for_agents_and_nodes_that_there_are(graph: Path) -> None:
    data = yaml.safe_load(graph.read_text(encoding="utf-8"))
    replies = yaml.safe_load(graph.with_suffix(".replies.yaml").read_text(encoding="utf-8"))
    kept = {"session"} if "session" in data else set()  # its summary
    assert set(replies) <= {*data.get("agents", {}), *data.get("nodes", {}), *kept}
    called = {call["tool"] for entries in replies.values() for entry in entries for call in _calls(entry)}
    assert called <= {*data.get("tools", {}), *data.get("agents", {})}


def _calls(entry: dict[str, object]) -> list[dict[str, str]]:
    many, one = entry.get("calls", []), entry.get("call")
    assert isinstance(many, list)
    return [*many, *([one] if isinstance(one, dict) else [])]


def test_the_modules_are_formatted_and_clean(built: Path) -> None:
    tool("ruff", "format", "--isolated", "--check", str(built), folder=built)  # at ruff's own width of 88
    tool("ruff", "check", "--isolated", str(built), folder=built)


def test_the_modules_pass_the_type_checker(built: Path) -> None:
    modules = sorted(str(path) for path in built.glob("*/*.py"))
    tool(
        "mypy",
        "--strict",
        "--follow-imports=silent",
        "--config-file",
        str(ROOT / "pyproject.toml"),
        *modules,
        folder=ROOT,
    )


def test_compiling_twice_gives_the_same_bytes(built: Path, tmp_path: Path) -> None:
    for graph in GRAPHS:
        again = build(graph, tmp_path)
        for path in (again.module_path, again.manifest_path):
            assert path.read_bytes() == (built / path.relative_to(tmp_path)).read_bytes()
