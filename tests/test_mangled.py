"""However a graph file is mangled: located diagnostics or a program, never a traceback, and never for long."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
import yaml

from agentflow.driver import compile
from agentflow.rendering import FORMATS, render

ROOT = Path(__file__).parent.parent
SEEDS = [ROOT / "graphs" / "claim.yaml", *sorted((ROOT / "tests" / "errors").glob("*.yaml"))]
HOSTILE = [
    '"',
    "'",
    "\\",
    "{{",
    "}}",
    "{%",
    "%}",
    "{#",
    "\r",
    "\u2028",
    "\U0001f600",
    "\u202e",
    "&a ",
    "*a ",
    "- ",
    ": ",
    "|",
    ">",
    "!",
    "[",
    "}",
    "null",
    "9" * 50,
    "{{ 9**(9**9) }}",
    "__class__",
    "\t",
]
VALUES: list[object] = [
    None,
    True,
    0,
    -1,
    1.5,
    "",
    " ",
    "x",
    [],
    ["x"],
    {},
    {"x": 1},
    {"file": "x"},
    "{{ x }}",
    [[["x"]]],
]


def mangled(text: str, rng: random.Random) -> str:
    """One to three small accidents."""
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(text) + 1)
        match rng.randrange(4):
            case 0:
                text = text[:at] + text[at + rng.randint(1, 20) :]
            case 1:
                text = text[:at] + rng.choice(HOSTILE) + text[at:]
            case 2:
                other = rng.randrange(len(text) + 1)
                text = text[:at] + text[other : other + 30] + text[at:]
            case _:
                lines = text.splitlines(True)
                rng.shuffle(lines) if rng.random() < 0.05 else lines and lines.pop(rng.randrange(len(lines)))
                text = "".join(lines)
    return text


def replaced(data: object, rng: random.Random) -> object:
    """The same data with one value somewhere in it replaced by another kind of value."""
    if isinstance(data, dict) and data and rng.random() < 0.85:
        key = rng.choice(list(data))
        if rng.random() < 0.1:
            return {(rng.choice(["x", "input", "ＡＢ", "a b"]) if k == key else k): v for k, v in data.items()}
        return {**data, key: replaced(data[key], rng)}
    if isinstance(data, list) and data and rng.random() < 0.85:
        at = rng.randrange(len(data))
        return [*data[:at], replaced(data[at], rng), *data[at + 1 :]]
    return rng.choice(VALUES)


def check(path: Path) -> None:
    started = time.perf_counter()
    result = compile(path)
    assert time.perf_counter() - started < 5
    assert result.program is not None or result.diagnostics
    texts = result.source.files() if result.source else {}
    for diagnostic in result.diagnostics:
        lines = texts.get(diagnostic.file, "").count("\n") + texts.get(diagnostic.file, "").count("\r") + 1
        assert 1 <= diagnostic.span.line <= lines or result.source is None
        assert diagnostic.span.column >= 1
    for format in FORMATS:
        render(result.diagnostics, texts, format)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "tools").symlink_to(ROOT / "tests" / "errors" / "tools")
    return tmp_path


@pytest.mark.parametrize("seed", range(20))
def test_mangled_text_is_diagnosed(seed: int, project: Path) -> None:
    rng = random.Random(seed)
    for number in range(20):
        file = project / f"case{number}.yaml"
        text = rng.choice(SEEDS).read_bytes().decode("utf-8", "replace")
        file.write_bytes(mangled(text, rng).encode("utf-8", "replace"))
        check(file)


@pytest.mark.parametrize("seed", range(20))
def test_replaced_values_are_diagnosed(seed: int, project: Path) -> None:
    rng = random.Random(seed)
    claim = yaml.safe_load(SEEDS[0].read_text(encoding="utf-8"))
    for number in range(20):
        file = project / f"case{number}.yaml"
        data = claim
        for _ in range(rng.randint(1, 3)):
            data = replaced(data, rng)
        file.write_text(yaml.safe_dump(data, allow_unicode=True, sort_keys=False), encoding="utf-8")
        check(file)
