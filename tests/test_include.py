"""Files that a graph includes are part of it: of its revision, of its diagnostics, and only from inside the project."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentflow.cli import main
from agentflow.driver import build, compile

GRAPH = """agentflow: 1
graph: team
include: [shared/people.yaml]
nodes: {it: {agent: clerk, prompt: Go.}}
"""
PEOPLE = """models: {default: gemini-2.5-flash}
agents:
  clerk: {instruction: You help.}
  other: {instruction: You do not.}
"""


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in ("tools", "shared", "graphs"):
        (tmp_path / folder).mkdir()
    (tmp_path / "shared" / "people.yaml").write_text(PEOPLE)
    (tmp_path / "graphs" / "team.yaml").write_text(GRAPH)
    monkeypatch.chdir(tmp_path)
    return Path("graphs/team.yaml")


def test_the_revision_is_another_when_an_included_file_is(graph: Path, tmp_path: Path) -> None:
    first = build(graph, tmp_path / "build")
    assert build(graph, tmp_path / "build").revision == first.revision
    Path("shared/people.yaml").write_text(PEOPLE + "# the same, and yet another file\n")
    second = build(graph, tmp_path / "build")
    assert second.revision != first.revision and second.program.digest != first.program.digest


def test_an_included_agent_that_is_not_used_is_no_mistake_and_no_part(graph: Path) -> None:
    result = compile(graph)
    assert not result.diagnostics and result.program is not None
    assert [agent.name for agent in result.program.agents] == ["clerk"]
    assert result.program.includes == ("shared/people.yaml",)


def test_what_is_wrong_in_an_included_file_is_told_there_in_every_format(
    graph: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("shared/people.yaml").write_text(PEOPLE.replace("You help.", '"You help {{ nobody }}."'))
    assert main(["check", "team"]) == 1
    assert "--> shared/people.yaml:3:37" in capsys.readouterr().out
    assert main(["check", "team", "--format", "json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["file"], found["line"], found["column"]) == ("shared/people.yaml", 3, 37)
    assert main(["check", "team", "--format", "github"]) == 1
    assert "file=shared/people.yaml,line=3" in capsys.readouterr().out
    assert main(["check", "team", "--format", "sarif"]) == 1
    assert '"uri": "shared/people.yaml"' in capsys.readouterr().out


def test_both_ends_of_a_conflict_have_their_files(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph.write_text(GRAPH + "agents: {clerk: {instruction: Mine.}}\n")
    assert main(["check", "team", "--format", "json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["code"], found["file"], found["line"]) == ("duplicate-name", "graphs/team.yaml", 5)
    (related,) = found["related"]
    assert (related["file"], related["line"]) == ("shared/people.yaml", 3)


def test_a_link_out_of_the_project_is_not_followed(graph: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "people.yaml"
    outside.write_text(PEOPLE)
    Path("shared/people.yaml").unlink()
    Path("shared/people.yaml").symlink_to(outside)
    assert [problem.code for problem in compile(graph).diagnostics] == ["file-outside-project"]


@pytest.mark.parametrize("text", ["", "agents: 3\n", "- 1\n", "agents: {clerk: 3}\n", "a: &a [*a]\n", "\x00", "{[}]"])
def test_whatever_is_in_an_included_file_has_its_diagnostic(graph: Path, text: str) -> None:
    Path("shared/people.yaml").write_text(text)
    result = compile(graph)
    assert result.program is None and result.diagnostics
    assert {problem.file for problem in result.diagnostics} <= {"shared/people.yaml", "graphs/team.yaml"}
    assert any(problem.file == "shared/people.yaml" for problem in result.diagnostics)
