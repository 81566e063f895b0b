"""Data flows one way: the compiler knows nothing of the runtime, and the runtime nothing of the compiler."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "agentflow"
COMPILER = [
    *("source", "yamltree", "scalars", "spec", "nodes", "tools", "expressions", "check", "lower", "codegen"),
    *("driver", "manifest", "listing", "diagnostics", "rendering", "codes", "project", "visualize"),
]
READING = {"diagnostics", "rendering", "scalars", "source", "yamltree"}  # one loader everywhere, also for replies
SERVER = ("restate", "google", "hypercorn", "agentflow.runtime", "agentflow.serve")


def modules(folder: str) -> list[Path]:
    path = PACKAGE / folder
    return sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            if node.module == "agentflow":
                found |= {f"agentflow.{alias.name}" for alias in node.names}
    return found


def within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


@pytest.mark.parametrize("part", COMPILER)
def test_the_compiler_imports_nothing_that_runs(part: str) -> None:
    wrong = {(path.name, name) for path in modules(part) for name in imports(path) if within(name, SERVER)}
    assert not wrong


def test_the_runtime_imports_nothing_of_the_compiler() -> None:
    compiler = tuple(f"agentflow.{part}" for part in COMPILER if part not in READING)
    wrong = {(path.name, name) for path in modules("runtime") for name in imports(path) if within(name, compiler)}
    assert not wrong


def test_the_ir_imports_only_types() -> None:
    assert {name for name in imports(PACKAGE / "ir.py") if name.startswith("agentflow")} == {"agentflow.types"}
