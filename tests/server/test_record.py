"""A run that is recorded is a case that passes, and says what the run's models, tools and people said."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import DESK, PROJECT, Service, until

from agentflow import cli

NAMES = ("claim", "trip", "support", "weather", "order", "fraud", "refund_desk", "assistant", "checks", "claim_remote")
NAMES += ("medical_review",)
EACH = """agentflow: 1
graph: each_refund
input: {reasons: [string]}
models: {default: gemini-2.5-flash}
nodes:
  all: {for_each: input.reasons, do: {graph: fraud, with: {order: "17", amount: 25, reason: "{{ item }}"}}}
output: {found: "{{ all }}", began: "{{ run.started }}", key: "{{ run.key }}"}
"""
RACE = """agentflow: 1
graph: recorded_race
input: {a: string, b: string}
models: {default: gemini-2.5-flash}
tools: {act: {python: "tools.desk:act", compensate: {tool: undo_act, with: {id: "{{ result.id }}"}}},
        undo_act: {python: "tools.desk:undo_act"}}
nodes:
  first:
    parallel:
      a: {steps: {pause: {wait: "{{ input.a }}"}, done: {tool: act, with: {name: a}}}}
      b: {steps: {pause: {wait: "{{ input.b }}"}, done: {tool: act, with: {name: b}}}}
    join: first
  last: {tool: act, with: {name: last}}
  seen: {wait: 10ms, needs: [last, first]}
output: {winner: "{{ first.winner }}", seen: "{{ seen }}"}
"""
GRAPHS = [*(PROJECT / "graphs" / f"{name}.yaml" for name in NAMES), EACH, RACE]
ENVIRONMENT = {"PAY_TOKEN": "s3cret-enough-to-see"}
pytestmark = pytest.mark.at("60s")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The examples without their replies and tests: what a recorded case needs is in it."""
    for name in ("graphs", "tools"):
        ignored = shutil.ignore_patterns("__pycache__", "*.test.yaml", "*.replies.yaml")
        shutil.copytree(PROJECT / name, tmp_path / name, ignore=ignored)
    return tmp_path


def record(service: Service, project: Path, graph: str, key: str, given: Any) -> int:
    server = ["--ingress", service.engine.ingress, "--admin", service.engine.admin.url]
    file = project / "graphs" / f"{graph}.test.yaml"
    name = str(project / "graphs" / f"{graph}.yaml")
    return cli.main(["run", name, "--key", key, "--input", json.dumps(given), "--record", str(file), *server])


def cases(project: Path, graph: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((project / "graphs" / f"{graph}.test.yaml").read_text())["cases"]
    return found


def passes(project: Path, *graphs: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agentflow", "test", *graphs],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
    )
    files = [(project / "graphs" / f"{graph}.test.yaml").read_text() for graph in graphs]
    assert done.returncode == 0, "\n".join([done.stdout, *files])


def claim(number: str, amount: int, holder: str = "Ada") -> dict[str, Any]:
    return {"claim_id": number, "holder": holder, "amount": amount, "text": "a broken arm"}


def test_runs_of_the_claim_graph_become_cases(service: Service, project: Path) -> None:
    def decide(verb: str, key: str) -> None:
        gate = f"claim/{key}/sign_off"
        until(lambda: service.status("claim", key).get("waiting"), 30, "the question")
        given = ["--by", "Grace", "--comment", "as agreed", "--ingress", service.engine.ingress]
        assert cli.main([verb, gate, *given]) == 0

    assert record(service, project, "claim", "small", claim("1", 200)) == 0
    for verb in ("approve", "reject"):
        person = threading.Thread(target=decide, args=(verb, f"large-{verb}"))
        person.start()
        assert record(service, project, "claim", f"large-{verb}", claim("2", 5000)) == 0
        person.join(30)
    assert record(service, project, "claim", "nemo", claim("3", 200, "Nemo")) == 3
    found = cases(project, "claim")
    assert list(found) == ["small", "large_approve", "large_reject", "nemo"]
    assert found["small"]["tools"]["pay"] == {"return": {"id": "p-1", "claim_id": "1", "amount": 200}}
    assert set(found["small"]["replies"]) == {"medical_review", "fraud_review", "decide", "letter"}
    approved = found["large_approve"]["approvals"]["sign_off"]["approve"]
    assert approved["by"] == "Grace" and approved["comment"] == "as agreed" and "after" in approved
    assert "reject" in found["large_reject"]["approvals"]["sign_off"]
    assert found["nemo"]["expect"] == {
        "state": "failed",
        "error": {"kind": "model", "code": 400},
        "undone": ["payment"],
    }
    passes(project, "claim")


def test_runs_of_the_other_examples_become_cases(service: Service, project: Path) -> None:
    for city, code in (("Paris", 0), ("Monaco", 3), ("Lima", 3), ("Dubai", 3)):
        assert record(service, project, "trip", city, {"traveller": "Ada", "to": city, "nights": 3}) == code
    assert record(service, project, "support", "twice", {"message": "I was charged twice for order 7."}) == 0
    for city in ("Lisbon", "Erewhon", "Cairo", "Delhi", "Perth"):
        record(service, project, "weather", city, {"message": f"How is it in {city}?"})
    assert len(cases(project, "trip")["monaco"]["expect"]["undone"]) == 2
    assert {"triage", "billing"} == set(cases(project, "support")["twice"]["replies"])
    assert cases(project, "weather")["cairo"]["tools"]["forecast_for"][0]["times"] == 2
    for graph in ("trip", "support", "weather"):
        passes(project, graph)


def test_messages_and_confirmations_are_recorded(service: Service, project: Path) -> None:
    def pay(key: str) -> None:
        until(lambda: service.status("order", key).get("waiting"), 30, "the wait for a payment")
        body = {"name": "payment", "data": {"amount": 25, "reference": "b7"}}
        assert service.call("order", key, "event", body).status == 200

    def confirm(key: str) -> None:
        waiting: Any = until(lambda: service.status("refund_desk", key).get("waiting"), 30, "the question")
        given = ["--by", "Grace", "--ingress", service.engine.ingress]
        assert cli.main(["approve", waiting[0]["id"], *given]) == 0

    for person, graph, body in (
        (pay, "order", {"item": "a lamp", "amount": 25}),
        (confirm, "refund_desk", {"order": "17", "amount": 25, "reason": "it broke"}),
    ):
        thread = threading.Thread(target=person, args=(f"r-{graph}",))
        thread.start()
        assert record(service, project, graph, f"r-{graph}", body) == 0
        thread.join(30)
        passes(project, graph)
    assert cases(project, "order")["r_order"]["events"][0]["data"] == {"amount": 25, "reference": "b7"}


def test_conversations_and_what_is_called_elsewhere_become_cases(service: Service, project: Path) -> None:
    for name, text in (("each_refund", EACH), ("recorded_race", RACE)):
        (project / "graphs" / f"{name}.yaml").write_text(text)
    for file in ("desk.py",):
        shutil.copy(DESK / file, project / "tools" / file)
    for message in ("Take a note.", "This is forbidden."):
        service.call("assistant", "ada", "message", {"message": message})
    assert record(service, project, "assistant", "ada", {"message": "Hello?"}) == 0
    assert record(service, project, "checks", "ada", {"customer": "Ada"}) == 0
    assert record(service, project, "claim_remote", "r1", {"claim_id": "17", "amount": 200, "text": "an arm"}) == 0
    assert record(service, project, "each_refund", "e1", {"reasons": ["unhappy", "it broke"]}) == 0
    for key, a, b in (("a-wins", "10ms", "1h"), ("b-wins", "1h", "10ms")):
        assert record(service, project, "recorded_race", key, {"a": a, "b": b}) == 0
    told = cases(project, "assistant")["ada"]
    assert [one["input"]["message"] for one in told["messages"]] == ["Take a note.", "This is forbidden.", "Hello?"]
    assert told["tools"]["note"]["state"] == {"notes": ["The train leaves at nine."]}
    assert told["expect"]["outputs"][1]["error"] == {"kind": "model", "code": 400}
    assert set(cases(project, "checks")["ada"]["tools"]) == {"address", "credit", "sanctions"}
    assert set(cases(project, "claim_remote")["r1"]["services"]) == {"medical_review/run", "fraud/run"}
    each = cases(project, "each_refund")["e1"]
    assert {"all[1]/look", "all[2]/look"} == set(each["replies"]) and each["expect"]["output"]["key"] == "e1"
    race = cases(project, "recorded_race")
    assert [case["expect"]["output"] for case in race.values()] == [{"winner": "a"}, {"winner": "b"}]
    passes(project, "assistant", "checks", "claim_remote", "each_refund", "recorded_race")


def test_a_secret_is_not_recorded(service: Service, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAY_TOKEN", "s3cret-enough-to-see")
    assert record(service, project, "claim", "secret", claim("s3cret-enough-to-see", 200)) == 0
    text = (project / "graphs" / "claim.test.yaml").read_text()
    assert "s3cret" not in text and "<PAY_TOKEN>" in text


@pytest.mark.parametrize("text", ["cases: {a: {input: {}}}\n", "- 1\n", "cases:\n  a: {}\ntools: {}\n"])
def test_a_file_that_no_case_can_be_added_to_stays_as_it_was(
    service: Service, project: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = project / "graphs" / "claim.test.yaml"
    file.write_text(text)
    assert record(service, project, "claim", f"no-{len(text)}", claim("1", 200)) == 2
    assert "--record: " in capsys.readouterr().err
    assert file.read_text() == text and list(file.parent.glob(".*")) == []
