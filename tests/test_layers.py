"""Who imports whom: the compiler knows nothing of the engine, the runtime nothing of the compiler."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "agentflow"

# What both sides may know: values without behaviour of either, and how templates and YAML are read.
SHARED = {
    "agentflow",
    "agentflow.diagnostics",
    "agentflow.durations",
    "agentflow.filters",
    "agentflow.frozen",
    "agentflow.jinja",
    "agentflow.journal",
    "agentflow.otel",
    "agentflow.providers",
    "agentflow.quick",
    "agentflow.rfc3339",
    "agentflow.scalars",
    "agentflow.source",
    "agentflow.syntax",
    "agentflow.timetable",
    "agentflow.toolnames",
    "agentflow.types",
    "agentflow.values",
    "agentflow.yamlmistakes",
    "agentflow.yamltree",
}
ENGINE = ("restate", "google", "hypercorn")
CLIENTS = (
    "agentflow.client",
    "agentflow.admin",
    "agentflow.events",
    "agentflow.runs",
    "agentflow.tokens",
    "agentflow.journals",
)  # what talks to a running server


def layer(module: str) -> str:
    """The part of the project that a module belongs to."""
    part = module.split(".")[1] if "." in module else ""
    if module in SHARED:
        return "shared"
    if module in CLIENTS:
        return "client"
    return part if part in ("runtime", "serve", "testing", "cli", "__main__") else "compiler"


# Which layers each may import, beside itself.
MAY = {
    "shared": {"shared"},
    "client": {"shared"},
    "compiler": {"shared"},
    "runtime": {"shared", "client"},
    "serve": {"shared", "client", "runtime"},
    "testing": {"shared", "client", "compiler", "runtime", "serve"},
    "cli": {"shared", "client", "compiler", "serve", "testing"},
    "__main__": {"cli"},
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        yield name, ast.parse(path.read_bytes())


def imported(tree: ast.Module) -> Iterator[str]:
    """Every module that is imported at run time, also within functions."""
    skipped = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, "imports are absolute"
            for alias in node.names:
                inner = Path(ROOT, *node.module.split("."), alias.name)
                yield f"{node.module}.{alias.name}" if _is_module(inner) else node.module


def _is_module(path: Path) -> bool:
    return path.is_dir() or path.with_suffix(".py").is_file()


ALL = dict(modules())


@pytest.mark.parametrize("name", ALL)
def test_a_module_imports_only_what_its_layer_may(name: str) -> None:
    own = layer(name)
    for other in imported(ALL[name]):
        top = other.partition(".")[0]
        if top == "agentflow":
            assert layer(other) in {own, *MAY[own]}, f"{name} ({own}) imports {other} ({layer(other)})"
        elif top in ENGINE:
            assert own in ("runtime", "serve"), f"{name} ({own}) imports {other}"


def test_the_shared_modules_exist() -> None:
    assert set(ALL) >= SHARED


def loaded(script: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after a script."""
    done = subprocess.run(
        [sys.executable, "-c", f"{script}\nimport sys; print('\\n'.join(sys.modules), file=sys.stderr)"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )
    return set(done.stderr.split())


def test_compiling_loads_neither_the_engine_nor_the_agents_nor_any_tool() -> None:
    script = """
from agentflow.cli import main
import tempfile
with tempfile.TemporaryDirectory() as folder:
    assert main(["compile", "claim", "-o", folder]) == 0
for format in ("text", "mermaid", "dot", "svg", "html"):
    assert main(["visualize", "claim", "--format", format, "-o", "/dev/null"]) == 0
assert main(["schema"]) == main(["explain", "unknown-key"]) == 0
"""
    found = loaded(script)
    assert "agentflow.codegen.emit" in found
    tops = {name.partition(".")[0] for name in found}
    assert not tops & {"restate", "google", "hypercorn", "tools"}
    assert not any(name.startswith(("agentflow.runtime", "agentflow.serve")) for name in found)


def test_the_runtime_loads_no_compiler() -> None:
    found = loaded("import agentflow.runtime, agentflow.runtime.agents, agentflow.runtime.approvals")
    ours = {name for name in found if name.partition(".")[0] == "agentflow"}
    assert "agentflow.runtime.agents" in ours
    assert {layer(name) for name in ours} == {"shared", "client", "runtime"}, sorted(
        n for n in ours if layer(n) == "compiler"
    )


@pytest.mark.parametrize("command", ["--help", "run --help", "approvals --help", "explain unknown-key"])
def test_a_command_loads_only_what_it_needs(command: str) -> None:
    script = f"""
from agentflow.cli import main
try:
    main({command.split()!r})
except SystemExit:
    pass
"""
    tops = {name.partition(".")[0] for name in loaded(script)}
    assert not tops & {"restate", "google", "hypercorn", "networkx", "jinja2", "pydantic", "yaml"}
