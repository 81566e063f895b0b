"""Every mistake has its message: `errors/<code>-<what>.yaml`, with `# ERROR` on each guilty line, and beside it the
whole output. `AGENTFLOW_UPDATE=1 pytest tests/test_errors.py` writes the outputs anew; read the diff."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import pytest

from agentflow.cli import main
from agentflow.codes import CODES
from agentflow.driver import compile
from agentflow.rendering import render

FOLDER = Path(__file__).parent / "errors"
CASES = sorted(FOLDER.glob("*.yaml"))
NOT_IN_A_FILE = {"file-too-large", "missing-extra"}  # see test_source.py and test_models.py
IN_TESTS = {"bad-reply", "test-failed"}  # see test_cases.py and serve/test_test_command.py
UPDATE = bool(os.environ.get("AGENTFLOW_UPDATE"))


def code_of(case: Path) -> str:
    """The longest code that the file's name begins with."""
    return max((code for code in CODES if case.stem.startswith(code + "-")), key=len, default=case.stem)


def lines_with_error(text: str) -> list[int]:
    return [number for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1) if "# ERROR" in line]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_mistake_is_told_at_its_line(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)
    result = compile(Path(case.name))
    sources = result.source.files() if result.source else {case.name: case.read_bytes().decode("latin-1")}
    output = render(result.diagnostics, sources)
    expected = case.with_suffix(".txt")
    if UPDATE:
        expected.write_text(output, encoding="utf-8")
    guilty = {(name, number) for name, text in sources.items() for number in lines_with_error(text)}
    wrong = any(diagnostic.severity == "error" for diagnostic in result.diagnostics)
    assert (result.program is None) is wrong, output  # a warning stops nothing
    assert {diagnostic.code for diagnostic in result.diagnostics} == {code_of(case)}, output
    assert {(diagnostic.file, diagnostic.span.line) for diagnostic in result.diagnostics} == guilty, output
    assert output == expected.read_text(encoding="utf-8")


def test_every_code_has_two_cases() -> None:
    cases = Counter(map(code_of, CASES))
    assert set(CODES) == set(cases) | NOT_IN_A_FILE | IN_TESTS
    assert [code for code, count in cases.items() if count < 2] == []
    assert len(CASES) >= 150


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_is_explained(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", code]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"{code}: ")
    assert len(told.splitlines()) >= 3
    assert all(len(line) <= 120 for line in told.splitlines())
