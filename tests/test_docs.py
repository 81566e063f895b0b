"""What the documentation shows of the compiler is what the compiler does. `pytest --update-golden` writes it anew."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agentflow import visualize
from agentflow.codegen import emit
from agentflow.driver import compile
from agentflow.ir import Program
from agentflow.nodes.registry import KINDS, LATER, VERBS
from agentflow.spec.graph import KEYS

ROOT = Path(__file__).parents[1]
HOW = ROOT / "docs" / "how-it-compiles.md"
PICTURE = ROOT / "docs" / "claim.svg"
_FENCE = re.compile(r"^```(?P<language>python|yaml)\n(?P<body>.*?)\n```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def program() -> Program:
    made = compile(ROOT / "graphs" / "claim.yaml").program
    assert made is not None
    return made


def test_the_module_in_the_docs_is_what_the_compiler_writes(program: Program, request: pytest.FixtureRequest) -> None:
    module = emit(program)[0]
    if request.config.getoption("--update-golden"):
        HOW.write_text(_updated(HOW.read_text(encoding="utf-8"), module), encoding="utf-8")
    rest = module
    for block in _blocks(HOW.read_text(encoding="utf-8"), "python"):
        assert rest.lstrip("\n").startswith(block + "\n"), f"{HOW.name}: pytest --update-golden, then read the diff"
        rest = rest.lstrip("\n").removeprefix(block)
    assert rest.strip("\n") == "", f"{HOW.name} does not show: {rest}"


def test_the_yaml_in_the_docs_is_the_graphs() -> None:
    graph = (ROOT / "graphs" / "claim.yaml").read_text(encoding="utf-8")
    for block in _blocks(HOW.read_text(encoding="utf-8"), "yaml"):
        assert f"\n{block}\n" in graph, f"{HOW.name}: not in graphs/claim.yaml:\n{block}"


def test_the_picture_in_the_readme_is_the_graphs(program: Program, request: pytest.FixtureRequest) -> None:
    picture = visualize.render(program, "svg")
    if request.config.getoption("--update-golden"):
        PICTURE.write_bytes(picture)
    assert PICTURE.read_bytes() == picture, f"{PICTURE.name}: pytest --update-golden, then look at it"


def _blocks(document: str, language: str) -> list[str]:
    return [match["body"] for match in _FENCE.finditer(document) if match["language"] == language]


def _updated(document: str, module: str) -> str:
    """The document with its Python blocks made anew: each goes from where it began to where the next begins."""
    begins = [module.index(_opening(block)) for block in _blocks(document, "python")] + [len(module)]
    parts = iter(module[begin:end].strip("\n") for begin, end in zip(begins, begins[1:], strict=False))
    return _FENCE.sub(
        lambda match: f"```python\n{next(parts)}\n```" if match["language"] == "python" else match[0], document
    )


def _opening(block: str) -> str:
    """How a block begins, without what a change of the graph would change: line numbers, descriptions."""
    first, _, rest = block.partition("\n")
    if first.endswith("("):
        second = rest.partition("\n")[0]
        return f"{first}\n{second.partition(',')[0]}" if second else first
    return first.partition(",")[0]
