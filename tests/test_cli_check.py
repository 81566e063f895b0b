"""`check`, `compile` and `explain` as scripts use them: exit codes, formats, pipes, and what they import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from agentflow.cli import main

ROOT = Path(__file__).parent.parent
BAD = "tests/errors/unknown-agent-node.yaml"


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def agentflow(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **env}
    command = [sys.executable, "-m", "agentflow", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, cwd=ROOT)


def test_a_valid_graph_exits_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "claim"]) == 0
    assert capsys.readouterr().out == "graphs/claim.yaml: valid\n"


def test_a_name_and_its_path_are_one_graph(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "claim", "graphs/claim.yaml"]) == 0
    assert capsys.readouterr().out.count("valid") == 1


@pytest.mark.parametrize("graph", [BAD, "no_such_graph", "graphs", "no/such/file.yaml"])
def test_an_invalid_graph_exits_1(graph: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", graph]) == 1
    out = capsys.readouterr().out
    assert "error[" in out and "1 error" in out


@pytest.mark.parametrize(
    "args", [["check"], ["check", "--format", "xml", "claim"], ["chek"], ["explain", "nothing"], []]
)
def test_wrong_usage_exits_2(args: list[str]) -> None:
    try:
        code = main(args)
    except SystemExit as end:
        code = int(str(end.code))
    assert code == 2


def test_json_is_one_list_of_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", BAD, "claim", "--format", "json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [(d["code"], d["file"], d["line"], d["column"]) for d in found] == [("unknown-agent", BAD, 7, 19)]
    assert main(["check", "claim", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_github_gets_annotations(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", BAD, "--format", "github"]) == 1
    out = capsys.readouterr().out
    assert out.startswith(f"::error file={BAD},line=7,col=19,endLine=7,endColumn=24,title=unknown-agent::")
    assert out.count("\n") == 1


def test_sarif_names_its_rules(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", BAD, "--format", "sarif"]) == 1
    run = json.loads(capsys.readouterr().out)["runs"][0]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["unknown-agent"]
    region = run["results"][0]["locations"][0]["physicalLocation"]["region"]
    assert (region["startLine"], region["startColumn"]) == (7, 19)


def test_the_fields_of_json_are_these(capsys: pytest.CaptureFixture[str]) -> None:
    """Other programs read them: fields may be added, and none may go."""
    main(["check", BAD, "--format", "json"])
    found = json.loads(capsys.readouterr().out)[0]
    assert list(found) == [
        *("code", "severity", "message", "file", "line", "column", "end_line", "end_column", "note", "help", "related")
    ]
    assert found["severity"] in ("error", "warning")


def test_sarif_has_what_its_schema_asks_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The parts of SARIF 2.1.0 that are written here; extra properties are no part of it."""
    file = tmp_path / "a graph%.yaml"
    file.write_text("agentflow: 1\ngraph: a\ngraph: b\n")
    main(["check", str(file), BAD, "--format", "sarif"])
    written = json.loads(capsys.readouterr().out)
    text = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
    place = {"type": "integer", "minimum": 1}
    region = dict.fromkeys(("startLine", "startColumn", "endLine", "endColumn"), place)
    location: dict[str, Any] = _closed(
        {
            "physicalLocation": _closed(
                {
                    "artifactLocation": _closed({"uri": {"type": "string", "pattern": r"^([^ %\\]|%[0-9A-F]{2})+$"}}),
                    "region": _closed(region),
                }
            ),
            "message": text,
        },
        optional=("message",),
    )
    result = {
        "ruleId": {"type": "string"},
        "level": {"enum": ["none", "note", "warning", "error"]},
        "message": text,
        "locations": {"type": "array", "items": location, "minItems": 1},
        "relatedLocations": {"type": "array", "items": location, "uniqueItems": True},
    }
    rule = _closed({"id": {"type": "string"}, "shortDescription": text})
    driver = {"name": {"type": "string"}, "version": {"type": "string"}, "rules": {"type": "array", "items": rule}}
    run = {
        "tool": _closed({"driver": _closed(driver)}),
        "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
        "results": {"type": "array", "items": _closed(result, optional=("relatedLocations",)), "minItems": 2},
    }
    whole = {
        "$schema": {"type": "string"},
        "version": {"const": "2.1.0"},
        "runs": {"type": "array", "items": _closed(run)},
    }
    Draft202012Validator(_closed(whole)).validate(written)
    rules = [one["id"] for one in written["runs"][0]["tool"]["driver"]["rules"]]
    assert rules == sorted({one["ruleId"] for one in written["runs"][0]["results"]})


def _closed(properties: dict[str, Any], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def test_people_are_shown_twenty_and_a_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "many.yaml"
    nodes = "".join(f"  n{number}: {{agent: nobody, prompt: x}}\n" for number in range(33))
    file.write_text(f"agentflow: 1\ngraph: many\nmodels: {{default: gemini-2.5-flash}}\nnodes:\n{nodes}")
    assert main(["check", str(file)]) == 1
    out = capsys.readouterr().out
    assert out.count("error[") == 20
    assert f"\n... and 13 more errors\n\n{file}: 33 errors\n" in out
    main(["check", str(file), "--all"])
    assert capsys.readouterr().out.count("error[") == 33
    main(["check", str(file), "--format", "github"])
    assert capsys.readouterr().out.count("::error ") == 33


def test_pipes_get_no_colors() -> None:
    assert "\x1b" not in agentflow("check", BAD).stdout


def test_a_closed_pipe_is_no_traceback() -> None:
    command = f"{sys.executable} -m agentflow explain | head -1"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, env=environment)
    assert done.stderr == ""


def test_output_survives_a_terminal_without_unicode() -> None:
    done = agentflow("check", "tests/errors/not-utf8-latin1.yaml", PYTHONIOENCODING="ascii")
    assert done.returncode == 1 and done.stderr == ""


def test_compile_writes_the_module_and_its_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", "claim", "-o", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path.as_posix()}/claim/claim.py\n"
    manifest = json.loads((tmp_path / "claim" / "manifest.json").read_text())
    assert manifest["graph"] == "claim" and manifest["source"] == "graphs/claim.yaml"
    assert manifest["revision"] in (tmp_path / "claim" / "claim.py").read_text()
    assert manifest["services"][0] == "claim"
    assert manifest["interface"]["input_schema"]["required"] == ["claim_id", "holder", "amount", "text"]


def test_compile_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert main(["compile", "claim", "-o", str(tmp_path / name)]) == 0
        assert main(["compile", "claim", "--emit", "ir", "-o", str(tmp_path / name)]) == 0
    for file in ("claim.py", "manifest.json", "claim.ir"):
        first, second = ((tmp_path / name / "claim" / file).read_bytes() for name in ("one", "two"))
        assert first == second


def test_compile_of_an_invalid_graph_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", BAD, "-o", str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and "error[unknown-agent]" in captured.err
    assert not (tmp_path / "out").exists()


def test_compile_into_a_file_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").touch()
    assert main(["compile", "claim", "-o", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("agentflow compile: ")


IMPORTED = (
    "import sys; from agentflow.cli import main; code = main({args!r}); print(*sorted(sys.modules), file=sys.stderr)"
)


def imported(*args: str) -> set[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", IMPORTED.format(args=list(args))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


def test_help_imports_next_to_nothing() -> None:
    assert not imported("--help") & {"yaml", "networkx", "pydantic", "jinja2", "restate", "google.adk"}


def test_the_compiler_imports_neither_restate_nor_adk(tmp_path: Path) -> None:
    for args in (("check", "claim"), ("compile", "claim", "-o", str(tmp_path))):
        found = imported(*args)
        assert not found & {"restate", "google.adk", "agentflow.runtime", "tools.insurance", "pydantic"}
