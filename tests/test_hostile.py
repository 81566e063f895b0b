"""Whatever a graph's texts are, they stay texts: the module differs from one with harmless texts in literals only.

A few hundred graphs in every run; `pytest tests/test_hostile.py --many` fills in 10,000.
"""

from __future__ import annotations

import ast
import copy
import functools
import hashlib
import subprocess
import sys
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from corpus import RIGHT, Place, Seed, copied, dumped, holder, parts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentflow.codegen import emit
from agentflow.driver import Result, compile

PIECES = [
    *('"', "'", '"""', "'''", "\\", "\\\\", '\\"', "\n", "\r", "\r\n", "\t", "\0", "\x1b[31m", "\x7f", "\x85"),
    *("\\n", "\\N{BULLET}", "\\x", "\\u12", "{}", "{0}", "%s", "${x}", "{", "}", "}}", "%}", "#}", "# noqa", "# type:"),
    *("\u2028", "\u2029", "\u202e", "\ufeff", "\u00ad", "\u0301", "\U0001f600", "\U000e0041", "é", "ｘ", "\ue000"),
    *(
        '"""\nimport os\n"""',
        "');import os;('",
        "__import__('os')",
        "<revision>",
        "\0revision\0",
        'revision="',
        ")",
        "]",
    ),
    *("f'", 'r"', "a", "b", " ", "  ", "x" * 70, "lambda: 0", "\n    pass\n", "pass", "# fmt: off", "coding: latin-1"),
]
TEXTS = (
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map("".join)
    | st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map(lambda pieces: f"x{''.join(pieces)}x")
    | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80)
)
NAMED = {"schema", "allow"}  # texts in a text, and names of a server's tools, which name a constant too
HARMLESS = "Some harmless, plain text."


def safe(text: str) -> str:
    """No template: what opens one is taken apart. And it shows something, so that it is not an empty text."""
    for opening in ("{{", "{%", "{#"):
        text = text.replace(opening, "{ " + opening[1])
    return text if text.strip() else text + "x"


def of_no_sure_width(character: str) -> bool:
    """Versions of Unicode, of which Python and the formatter have their own, differ in how wide it is."""
    return unicodedata.category(character)[0] in "MC" and character != "\n" or 0x1100 <= ord(character) <= 0x11FF


def twin(text: str, number: int) -> str:
    """A harmless text of the same size, and with the same lines; no other field has it."""
    lines = [len(line) * "x" for line in text.split("\n")]
    return "\n".join([*lines[:-1], lines[-1] + "x"]) if not lines[-1] and len(text) == 1 else "\n".join(lines)


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(tmp_path_factory.mktemp("projects"))


def filled(seed: Seed, projects: Path, texts: Mapping[Place, str]) -> Result:
    """The graph with these texts in these places."""
    data = copy.deepcopy(_data(seed))
    for place, text in texts.items():
        holder(data, place)[place[-1]] = text
    file = projects / seed.project / "hostile.yaml"
    file.write_text(dumped(data, quoted=True), encoding="utf-8")
    return compile(file)


@functools.cache
def _data(seed: Seed) -> Any:
    return seed.data


@functools.cache
def fields(seed: Seed, projects: Path) -> list[Place]:
    """Where any text may stand: found by trying."""
    places = [place for place, value in parts(_data(seed)) if isinstance(value, str) and not NAMED & {*place}]
    return [place for place in places if filled(seed, projects, {place: HARMLESS}).program is not None]


class _Bare(ast.NodeTransformer):
    """Without what the texts say: docstrings go, and each text is like any."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def visit(self, node: ast.AST) -> Any:
        body = getattr(node, "body", None)
        if isinstance(body, list) and len(body) > 1 and isinstance(body[0], ast.Expr):
            first = body[0].value
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                del body[0]
        return super().visit(node)

    def visit_Constant(self, node: ast.Constant) -> Any:
        if isinstance(node.value, str):
            self.texts.append(node.value)
            return ast.Constant("text")
        return node


def bare(module: str) -> tuple[str, list[str]]:
    """The tree without its texts, and the texts."""
    transformer = _Bare()
    tree = transformer.visit(ast.parse(module))
    return ast.dump(tree), transformer.texts


@st.composite
def hostile(draw: st.DrawFn) -> tuple[Seed, list[str]]:
    return draw(st.sampled_from(RIGHT)), draw(st.lists(TEXTS.map(safe), min_size=1, max_size=6))


def test_texts_stay_texts(projects: Path, tmp_path: Path) -> None:
    seen: set[tuple[Seed, Place]] = set()

    def compare(seed: Seed, texts: Mapping[Place, str]) -> bool:
        found = filled(seed, projects, texts)
        if found.program is None:
            assert found.diagnostics
            return False
        module, _ = emit(found.program)
        folder = tmp_path / ("odd" if any(map(of_no_sure_width, module)) else "plain")
        folder.mkdir(exist_ok=True)
        file = folder / f"m_{hashlib.sha256(module.encode()).hexdigest()[:16]}.py"
        file.write_text(module, encoding="utf-8")
        other = filled(seed, projects, {place: twin(text, at) for at, (place, text) in enumerate(texts.items())})
        assert other.program is not None
        tree, constants = bare(module)
        assert tree == bare(emit(other.program)[0])[0]
        said = {
            text for place, text in texts.items() if place[-1] != "description"
        }  # a node's is a docstring, or nowhere
        assert said <= set(constants)
        seen.update((seed, place) for place in texts)
        return True

    @settings(suppress_health_check=list(HealthCheck), deadline=None)
    @given(hostile(), st.randoms(use_true_random=False))
    def fill(chosen: tuple[Seed, list[str]], random: Any) -> None:
        seed, texts = chosen
        places = fields(seed, projects)
        if not places:
            return
        given = dict(zip(random.sample(places, min(len(places), len(texts))), texts, strict=False))
        if not compare(seed, given):
            for place, text in given.items():  # one of them is refused; the others are not
                compare(seed, {place: text})

    fill()
    for folder, *command in ((tmp_path, "check"), (tmp_path / "plain", "format", "--diff")):
        ruff = [sys.executable, "-m", "ruff", *command, "--isolated", "-q", str(folder)]
        done = subprocess.run(ruff, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert len(seen) > 100  # places that were filled in
