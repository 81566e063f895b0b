"""`agentflow visualize` as it is typed."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from agentflow.cli import main

GRAPHS = Path(__file__).parents[2] / "graphs"


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GRAPHS.parent)
    monkeypatch.setenv("NO_COLOR", "1")


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    "words", [["claim"], ["graph", "claim"], ["graphs/claim.yaml"], ["graph", "graphs/claim.yaml"]]
)
def test_a_name_and_a_path_with_and_without_the_word_graph(words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["visualize", *words]) == 0
    tree = capfd.readouterr().out
    assert tree.startswith("claim · workflow · graphs/claim.yaml\n")
    assert "asks claims, 24h; then claims_leads, 4h; no answer: counts as rejected; if rejected: goes on" in tree
    assert "undone by refund" in tree


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("x.txt", b"claim"),
        ("x.mmd", b"---\ntitle: claim"),
        ("x.dot", b"digraph"),
        ("x.svg", b"<svg"),
        ("x.png", b"\x89PNG"),
        ("x.HTML", b"<!DOCTYPE html>"),
    ],
)
def test_the_suffix_says_the_format(name: str, begins: bytes, tmp_path: Path) -> None:
    assert main(["visualize", "claim", "-o", str(tmp_path / name)]) == 0
    assert (tmp_path / name).read_bytes().startswith(begins)


def test_the_format_wins_over_the_suffix(tmp_path: Path) -> None:
    assert main(["visualize", "claim", "--format", "svg", "-o", str(tmp_path / "x.txt")]) == 0
    assert (tmp_path / "x.txt").read_bytes().startswith(b"<svg")


def test_a_png_is_refused_by_a_terminal_and_taken_by_a_pipe(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main(["visualize", "claim", "--format", "png"]) == 0
    assert capfdbinary.readouterr().out.startswith(b"\x89PNG")
    monkeypatch.setattr(sys, "stdout", Terminal(io.BytesIO(), encoding="utf-8"))
    assert main(["visualize", "claim", "--format", "png"]) == 2
    assert capfdbinary.readouterr().err.count(b"\n") == 1


def test_ascii_where_the_encoding_has_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    assert main(["visualize", "claim"]) == 0
    assert b"|- medical_review  agent" in written.getvalue()


@pytest.mark.parametrize(
    "words", [["claim", "trip"], ["claim", "-o", "x.bmp"], ["claim", "-o", "/nowhere/at/all/x.svg"], ["a", "b", "c"]]
)
def test_wrong_usage_is_one_line_and_exit_2(words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["visualize", *words]) == 2
    told = capfd.readouterr()
    assert told.out == "" and told.err.count("\n") == 1 and told.err.startswith("agentflow visualize: ")


def test_an_invalid_graph_prints_its_mistakes_and_writes_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("agentflow: 1\ngraph: bad\nnodes:\n  a: {valu: 1}\n", encoding="utf-8")
    assert main(["visualize", str(bad), "-o", str(tmp_path / "x.svg")]) == 1
    told = capfd.readouterr()
    assert told.out == "" and "error[" in told.err and "bad.yaml:4" in told.err
    assert not (tmp_path / "x.svg").exists()


def test_a_missing_graph_is_a_diagnostic(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["visualize", "nothing_of_that_name"]) == 1
    assert "Traceback" not in capfd.readouterr().err
