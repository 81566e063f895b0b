"""The schema for editors: every right graph fits it, and every wrong one does not whose mistake a schema can see."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from agentflow.cli import main
from agentflow.codes import CODES
from agentflow.driver import compile
from agentflow.editor import schema as editor
from agentflow.editor.vocabulary import Described
from agentflow.nodes.registry import KINDS as NODE_KINDS
from agentflow.source import read
from agentflow.tools.registry import KINDS as TOOL_KINDS
from agentflow.types import Json
from tests.test_errors import CASES, code_of

ROOT = Path(__file__).parents[1]
RIGHT = [
    *(path for path in sorted((ROOT / "graphs").glob("*.yaml")) if path.name.count(".") == 1),
    *sorted((ROOT / "tests" / "golden").glob("*/graph.yaml")),
    *sorted((ROOT / "tests" / "golden" / "shared").glob("*.yaml")),
]
SCHEMA = editor.schema()
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)

# Codes whose mistakes the shape of a file shows.
SEEN = {
    "unknown-key": "keys are listed",
    "wrong-type": "types are given",
    "bad-choice": "choices are listed",
    "missing-key": "what must be there is given",
    "no-verb": "one branch a verb",
    "several-verbs": "one branch a verb",
    "out-of-range": "bounds are given",
    "misplaced-key": "which keys need which is given",
    "missing-on-timeout": "which keys need which is given",
    "bad-version": "it is a constant",
    "bad-duration": "they have a pattern",
    "bad-name": "they have a pattern",
    "bad-type": "types have a pattern",
    "unknown-type": "words that are types elsewhere are none",
    "bad-reference": "they have a pattern",
    "bad-url": "they have a pattern",
    "bad-env": "they have a pattern",
    "bad-header": "they have a pattern",
    "bad-service": "they have a pattern",
    "empty-block": "mappings have a least size",
    "empty-text": "texts have a pattern",
}
# What of them it cannot see, and why.
ORDER = "the order of keys is not seen"
OTHER_FILE = "the mistake is in another file"
MEANING = "what the value means is not seen"
BESIDE = "a value is compared with another"
LET_THROUGH = {
    "bad-choice-join": BESIDE,
    "bad-duration-wait-number": MEANING,
    "bad-header-twice": BESIDE,
    "bad-url-http-list": BESIDE,
    "bad-url-http-optional": BESIDE,
    "bad-version-later": ORDER,
    "empty-text-file": OTHER_FILE,
    "misplaced-key-after": BESIDE,
    "misplaced-key-compensate-set": BESIDE,
    "missing-key-base-url": OTHER_FILE,
    "out-of-range-pauses": BESIDE,
    "out-of-range-session": BESIDE,
    "unknown-key-include": OTHER_FILE,
    "unknown-type-name": BESIDE,
    "wrong-type-approvers-computed": MEANING,
    "wrong-type-default": BESIDE,
    "wrong-type-for-each-number": MEANING,
    "wrong-type-include": OTHER_FILE,
    "wrong-type-schedule-input": BESIDE,
    "wrong-type-schedule-lacks": BESIDE,
    "wrong-type-set": BESIDE,
    "wrong-type-text-around": MEANING,
}
# Cases of other codes that it sees all the same.
SEEN_TOO = {"duplicate-name-in-list", "misplaced-secret-command", "unknown-model-entry"}

OTHERS = [case for case in CASES if code_of(case) not in SEEN and read(case)[0] is not None]


def plain(data: Json) -> Json:
    """As JSON has it: keys are texts."""
    if isinstance(data, dict):
        return {str(key): plain(value) for key, value in data.items()}
    return [plain(item) for item in data] if isinstance(data, list) else data


def misfits(path: Path) -> list[str]:
    source, _ = read(path)
    assert source is not None, path
    return [f"{error.json_path}: {error.message[:200]}" for error in VALIDATOR.iter_errors(plain(source.data))]


def test_it_is_valid_draft_7() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"


@pytest.mark.parametrize("path", RIGHT, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_right_graph_fits(path: Path) -> None:
    assert misfits(path) == []


@pytest.mark.parametrize("case", [case for case in CASES if code_of(case) in SEEN], ids=lambda case: case.stem)
def test_a_wrong_graph_does_not_fit_where_that_can_be_seen(case: Path) -> None:
    assert bool(misfits(case)) is (case.stem not in LET_THROUGH), LET_THROUGH.get(case.stem)


@pytest.mark.parametrize("case", OTHERS, ids=lambda case: case.stem)
def test_what_a_schema_cannot_know_fits(case: Path) -> None:
    """Whatever else is wrong with it, it is no schema's to say, and an editor accuses nothing that is right."""
    assert bool(misfits(case)) is (case.stem in SEEN_TOO)


def test_every_case_that_is_let_through_is_there() -> None:
    assert set(LET_THROUGH) <= {case.stem for case in CASES if code_of(case) in SEEN}
    assert {case.stem for case in CASES if code_of(case) not in SEEN} >= SEEN_TOO
    assert set(SEEN) <= set(CODES)


@pytest.mark.parametrize(
    "kind",
    [*NODE_KINDS.values(), *TOOL_KINDS.values()],
    ids=lambda kind: getattr(kind, "verb", "") or type(kind).__name__,
)
def test_a_kind_without_a_description_is_an_error(kind: object, monkeypatch: pytest.MonkeyPatch) -> None:
    if not getattr(kind, "verb", True):
        return
    described: Described = kind.described  # type: ignore[attr-defined]  # both kinds of kinds have it
    monkeypatch.setattr(type(kind), "described", Described(described.about, {}))
    with pytest.raises(editor.Undescribed):
        editor.schema()


def _properties(schema: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Every key of every mapping that is described."""
    if isinstance(schema, dict):
        properties = schema.get("properties")
        if isinstance(properties, dict) and schema.get("additionalProperties") is False:
            yield from ((f"{path}.{key}", value) for key, value in properties.items())
        for key, value in schema.items():
            yield from _properties(value, f"{path}.{key}")
    elif isinstance(schema, list):
        for index, value in enumerate(schema):
            yield from _properties(value, f"{path}[{index}]")


def test_every_key_is_described_in_one_sentence() -> None:
    found = dict(_properties(SCHEMA))
    assert len(found) > 250
    for path, value in found.items():
        about = value.get("description") if isinstance(value, dict) else None
        assert isinstance(about, str), path
        assert about.endswith("."), f"{path}: {about}"
        assert len(about) <= 110, f"{path}: {about}"


def _refs(schema: Json) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(given := schema.get("$ref"), str):
            yield given
        for value in schema.values():
            yield from _refs(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _refs(value)


def test_every_definition_is_used_and_there() -> None:
    definitions = SCHEMA["definitions"]
    assert isinstance(definitions, dict)
    assert {ref.removeprefix("#/definitions/") for ref in _refs(SCHEMA)} == set(definitions)


def test_there_is_one_branch_a_kind() -> None:
    definitions = json.loads(json.dumps(SCHEMA["definitions"]))
    for what, kinds in (("node", NODE_KINDS), ("tool", TOOL_KINDS)):
        branches = [one["$ref"].rpartition("/")[2] for one in definitions[what]["anyOf"]]
        assert branches == [f"{kind}_{what}" for kind in kinds if kind]
        for kind, branch in zip(filter(None, kinds), branches, strict=True):
            assert kind in definitions[branch]["required"]


def test_the_command_prints_and_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA
    assert main(["schema", "--output", str(tmp_path / "graph.json")]) == 0
    assert json.loads((tmp_path / "graph.json").read_text()) == SCHEMA
    assert main(["schema", "-o", str(tmp_path / "nowhere" / "graph.json")]) == 2


def test_the_line_that_editors_look_for_is_a_comment_to_the_compiler(tmp_path: Path) -> None:
    graph = tmp_path / "hello.yaml"
    text = (
        "# yaml-language-server: $schema=graph.json\nagentflow: 1\ngraph: hello\nmodels: {default: gemini-2.5-flash}\n"
        "agents:\n  greeter: {instruction: You greet people.}\n"
    )
    graph.write_text(text)
    assert compile(graph).diagnostics == []
    assert misfits(graph) == []
    assert main(["fmt", "--check", str(graph)]) == 0
    assert graph.read_text() == text
