"""What the documentation shows of the compiler is what the compiler does. `pytest --update-golden` writes it anew."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from agentflow import visualize
from agentflow.codegen import emit
from agentflow.driver import compile
from agentflow.editor.schema import schema
from agentflow.filters import FILTERS, TESTS
from agentflow.ir import Program
from agentflow.nodes.registry import VERBS
from agentflow.spec.graph import KEYS
from agentflow.stories import FILE, page, stories
from tests.test_stories import made

ROOT = Path(__file__).parents[1]
HOW = ROOT / "docs" / "how-it-compiles.md"
PICTURE = ROOT / "docs" / "claim.svg"
CHECKS = ROOT / "docs" / "checks.md"
STORIES = ROOT / "agentflow" / FILE
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


def test_the_page_of_checks_and_what_explain_tells_are_the_corpus(request: pytest.FixtureRequest) -> None:
    told = made()
    if request.config.getoption("--update-golden"):
        data = {code: asdict(story) for code, story in told.items()}
        STORIES.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        CHECKS.write_text(page(told), encoding="utf-8")
    assert stories() == told, f"{STORIES.name}: pytest --update-golden, then read the diff"
    assert CHECKS.read_text(encoding="utf-8") == page(told), f"{CHECKS.name}: pytest --update-golden, then read it"


def test_editors_are_told_of_every_kind_and_key() -> None:
    schema()  # or it raises Undescribed, which names them


# ---------------------------------------------------------------- the language reference

LANGUAGE = ROOT / "docs" / "language.md"
BASE = """
agentflow: 1
graph: example
input: {text: string, amount: number}
models: {default: gemini-2.5-flash}
types: {Finding: {ok: boolean, reason: string, risk: low | medium | high}}
tools:
  policy_of: {python: "tools.desk:policy_of", effect: read}
  rate_of: {python: "tools.desk:rate_of", effect: read}
  keep: {python: "tools.desk:keep"}
  mail: {python: "tools.desk:mail"}
  pay_small: {python: "tools.desk:pay"}
agents:
  medical: {instruction: You review., returns: Finding}
  fraud: {instruction: You look for fraud., returns: Finding}
  adjuster: {instruction: You decide., returns: {decision: pay | reject, amount: number, reason: string}}
  writer: {instruction: You write.}
nodes: {}
"""
DESK = """
from dataclasses import dataclass

@dataclass
class Payment:
    id: str

def policy_of(claim_id: str) -> str: ...
def rate_of(currency: str) -> float: ...
def keep(text: str) -> None: ...
def mail(to: str, text: str) -> None: ...
def pay(amount: float, idempotency_key: str, order: str = "") -> Payment: ...
def refund(payment: str, idempotency_key: str) -> None: ...
"""
SHARED = """
agents:
  reviewer: {instruction: You review., returns: Finding}
"""


def test_every_graph_in_the_reference_is_valid(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "desk.py").write_text(DESK)
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "people.yaml").write_text(SHARED)
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "crm.yaml").write_bytes((ROOT / "tests/golden/specs/crm.yaml").read_bytes())
    fragments = _blocks(LANGUAGE.read_text(encoding="utf-8"), "yaml")
    assert len(fragments) > 9
    for fragment in fragments:  # whole graphs may be called by others
        given = yaml.safe_load(fragment)
        if "graph" in given:
            (tmp_path / f"{given['graph']}.yaml").write_text(fragment, encoding="utf-8")
    for fragment in fragments:
        graph = tmp_path / "example.yaml"
        graph.write_text(_completed(fragment), encoding="utf-8")
        result = compile(graph)
        found = [problem for problem in result.diagnostics if problem.code != "unreachable-agent"]
        assert not found, f"{[(problem.code, problem.message) for problem in found]}\n{fragment}"


def _completed(fragment: str) -> str:
    """A graph that holds the fragment's keys; an agent of its own uses those that no node names."""
    given = yaml.safe_load(fragment)
    if "agentflow" in given:
        return fragment
    graph = {**yaml.safe_load(BASE), **given}
    base = yaml.safe_load(BASE)
    for key in ("tools", "agents", "types", "models"):
        graph[key] = {**base[key], **given.get(key, {})}
    if not graph["nodes"]:
        graph["nodes"] = {"it": {"agent": "medical", "prompt": "go"}}
    return yaml.safe_dump(graph, sort_keys=False)


def _rows(heading: str) -> str:
    return LANGUAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def test_the_reference_names_every_key_verb_filter_and_test() -> None:
    assert set(re.findall(r"^\| `(\w+)`(?: or `(\w+)`)? \|", _rows("The file"), re.MULTILINE)) == {
        (key, "steps" if key == "nodes" else "") for key in KEYS if key != "steps"
    }
    assert re.findall(r"^\| `(\w+): ", _rows("Nodes"), re.MULTILINE) == list(VERBS)
    told = _rows("Values, texts, expressions")
    assert re.findall(r"\w+", _after(told, "Filters:")) == sorted(FILTERS)
    assert re.findall(r"\w+", _after(told, "Tests:")) == sorted(TESTS)


def _after(text: str, word: str) -> str:
    return text.partition(f"- {word} `")[2].partition("`.")[0]
