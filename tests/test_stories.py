"""Each code has a story: a case of `errors/`, and the same graph mended in `errors/mended/`.

`test_docs.py` holds `agentflow/stories.json` and `docs/checks.md` to them.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agentflow.cli import main
from agentflow.codes import CODES
from agentflow.driver import compile
from agentflow.stories import Story, stories
from tests.test_errors import FOLDER, IN_TESTS, NOT_IN_A_FILE, code_of

MENDED = sorted((FOLDER / "mended").glob("*.yaml"))
WIDTH = 110  # of a line that is shown
_MARK = re.compile(r"[ \t]*# ERROR\b.*$", re.MULTILINE)


def _shown(text: str) -> str:
    """Without the marks of the tests, in characters that can be seen, and in lines that fit."""
    seen = re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", lambda match: chr(0x2400 + ord(match[0]) % 0x7F), _MARK.sub("", text))
    lines = (line if len(line) <= WIDTH else f"{line[: WIDTH - 4]} ..." for line in seen.split("\n"))
    return "\n".join(line.rstrip() for line in lines).strip("\n") + "\n"


def made() -> dict[str, Story]:
    """The stories that the corpus tells."""
    found = {}
    for mended in MENDED:
        case = FOLDER / mended.name
        wrong = _shown(case.read_bytes().decode("utf-8", "replace"))
        said = _shown(case.with_suffix(".txt").read_text(encoding="utf-8").replace(case.name, "case.yaml"))
        found[code_of(case)] = Story(wrong, said, _shown(mended.read_text(encoding="utf-8")))
    return dict(sorted(found.items()))


def test_every_code_has_one_story() -> None:
    assert sorted(map(code_of, MENDED)) == sorted(set(CODES) - NOT_IN_A_FILE - IN_TESTS)


@pytest.mark.parametrize("mended", MENDED, ids=lambda path: path.stem)
def test_what_is_mended_has_no_mistake(mended: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)
    assert (FOLDER / mended.name).is_file()
    result = compile(mended)
    codes = [diagnostic.code for diagnostic in result.diagnostics]
    if code_of(mended) == "not-a-graph":  # the file is right, as one that graphs include
        assert codes == ["not-a-graph"]
    else:
        assert codes == [] and result.program is not None, [diagnostic.message for diagnostic in result.diagnostics]


@pytest.mark.parametrize("code", sorted(set(CODES) - NOT_IN_A_FILE - IN_TESTS))
def test_explain_tells_the_story(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", code]) == 0
    told = capsys.readouterr().out
    story = stories()[code]
    assert CODES[code].text.strip() in told
    lines = [line.strip() for line in told.splitlines()]
    for text in (story.wrong, story.said, story.mended):
        assert all(line.strip() in lines for line in text.splitlines())
