"""What the compiler makes of a graph for each node kind, read as code in reviews: IR, Python, Mermaid.

`pytest --update-golden` writes the folders anew.
"""

from __future__ import annotations

import pprint
import subprocess
import sys
from pathlib import Path

import pytest

from agentflow import visualize
from agentflow.codegen import emit
from agentflow.driver import compile
from agentflow.nodes.registry import VERBS
from agentflow.rendering import render

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(path.parent for path in GOLDEN.glob("*/graph.yaml"))


def made(case: Path) -> dict[str, str]:
    result = compile(case / "graph.yaml")
    files = {} if result.source is None else result.source.files()
    assert result.program is not None, render(result.diagnostics, files, "text", False)
    text, _ = emit(result.program)
    return {
        "ir.txt": pprint.pformat(result.program, width=110) + "\n",
        f"{result.program.name}.py": text,
        "graph.mmd": visualize.render(result.program, "mermaid").decode(),
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_compiler_makes_what_the_golden_folder_holds(case: Path, request: pytest.FixtureRequest) -> None:
    files = made(case)
    if request.config.getoption("--update-golden"):
        for name, text in files.items():
            (case / name).write_text(text, newline="\n")
    for name, text in files.items():
        assert (case / name).read_text() == text, f"{case.name}/{name}: pytest --update-golden, then read the diff"
    assert made(case) == files


def test_every_node_kind_has_a_golden_folder() -> None:
    assert set(VERBS) <= {case.name for case in CASES}


def test_the_modules_are_formatted_and_clean() -> None:
    modules = [str(path) for case in CASES for path in case.glob("*.py")]
    for command in (["format", "--check", "--isolated"], ["check", "--isolated"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, *modules], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_modules_pass_the_type_checker() -> None:
    modules = [str(path.relative_to(GOLDEN)) for case in CASES for path in case.glob("*.py")]
    command = [sys.executable, "-m", "mypy", "--strict", "--namespace-packages", "--explicit-package-bases"]
    done = subprocess.run(
        [*command, "--config-file=", "--ignore-missing-imports", "--follow-imports=silent", *modules],
        cwd=GOLDEN,
        env={"MYPYPATH": f"{GOLDEN}:{GOLDEN.parents[1]}", "PATH": ""},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_modules_load(case: Path) -> None:
    module = next(case.glob("*.py"))
    script = (
        f"import sys, runpy; sys.path.insert(0, {str(GOLDEN)!r}); runpy.run_path({str(module)!r})['SERVICES'][0].name"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
