"""The commands that talk to a server, against a real one."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from serving import DESK, ECHO, TOOLS, Served, wait_until

from agentflow.cli import follow

Agentflow = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    server = Served(tmp_path_factory.mktemp("desk"))
    (server.folder / "jobtools" / "__init__.py").write_text(TOOLS)
    server.keep("desk", "workflow", "desk0001", DESK, "desk.nodes_desk0001", "desk.approvals")
    server.keep("echo", "service", "echo0001", ECHO)
    server.start("desk0001", "echo0001")
    yield server
    assert server.stop()[0] == 0


@pytest.fixture
def agentflow(desk: Served, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Agentflow:
    monkeypatch.setenv("AGENTFLOW_INGRESS", desk.ingress.url)
    monkeypatch.setenv("AGENTFLOW_ADMIN", desk.admin.url)

    def call(command: str, *arguments: str) -> tuple[int, str, str]:
        module = importlib.import_module(f"agentflow.cli.{command}")
        parser = argparse.ArgumentParser(prog=f"agentflow {command}")
        module.configure(parser)
        capsys.readouterr()
        code: int = module.main(parser.parse_args(arguments))
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def waiting(agentflow: Agentflow, key: str) -> str:
    """Start a run of `desk` and wait for its gate."""
    assert agentflow("run", "desk", "--key", key, "--input", '{"amount": 5}', "--detach")[0] == 0
    gate = f"desk/{key}/sign_off"
    wait_until(lambda: gate in agentflow("approvals")[1])
    return gate


def test_run_shows_progress_and_prints_the_output_alone(desk: Served, agentflow: Agentflow) -> None:
    def approve() -> None:
        rows = "select value_utf8 from state where service_name = 'desk.approvals' and service_key = 'p/sign_off'"
        wait_until(lambda: desk.admin.query(rows))
        threading.Event().wait(1.0)
        desk.ingress.ask("desk.approvals", "p/sign_off", "decide", {"decision": "approve", "by": "ada"})

    other = threading.Thread(target=approve)
    other.start()
    code, out, err = agentflow("run", "desk", "--key", "p", "--input", '{"amount": 5}')
    other.join()
    assert (code, json.loads(out)) == (0, {"paid": "p1", "by": "ada"})
    lines = err.splitlines()
    assert lines[0] == "desk p: started"
    assert next(line.split() for line in lines if "sign_off " in line)[:2] == ["sign_off", "waiting:"]
    assert "  " + " " * 20 + " agentflow approve desk/p/sign_off" in lines
    assert lines[-1].split() == ["pay", "succeeded"]
    assert "\x1b" not in err


def test_who_follows_a_run_is_told_how_to_answer_its_questions() -> None:
    waits = {"kind": "ask", "id": "desk/p/brief", "message": "Which tone?"}
    (told,) = follow.as_text([{"type": "node", "node": "brief", "state": "waiting", "waits": waits}], "desk p")
    assert told.split() == ["brief", "waiting:", "Which", "tone?", "agentflow", "answer", "desk/p/brief"]


def test_approvals_lists_what_scripts_rely_on(agentflow: Agentflow) -> None:
    gate = waiting(agentflow, "list")
    code, out, _ = agentflow("approvals", "--format", "json")
    mine = next(item for item in json.loads(out) if item["id"] == gate)
    deadline = mine.pop("deadline")
    assert code == 0
    assert deadline.endswith("Z")
    assert mine == {
        "id": gate,
        "kind": "approval",
        "graph": "desk",
        "key": "list",
        "node": "sign_off",
        "message": "Pay 5?",
        "arguments": None,
        "approvers": ["claims"],
        "form": None,
    }
    assert agentflow("approve", gate, "--by", "ada") == (0, f"{gate} approved by ada\n", "")
    wait_until(lambda: gate not in agentflow("approvals")[1])


def test_decisions_that_do_not_count_are_one_line(agentflow: Agentflow) -> None:
    gate = waiting(agentflow, "twice")
    assert agentflow("reject", gate, "--by", "ada", "--comment", "no")[0] == 0
    code, out, err = agentflow("approve", gate, "--by", "bob")
    assert (code, out) == (1, "")
    assert err.startswith("error: already rejected by ada at ")
    code, _, err = agentflow("approve", "desk/nobody/sign_off")
    assert (code, err) == (1, "error: no approval 'nobody/sign_off' is open\n")
    assert agentflow("approve", "sign_off")[0] == 2
    assert agentflow("approve", gate, "--form", "{")[0] == 2


def test_the_link_of_an_approval_will_do_as_its_id(agentflow: Agentflow) -> None:
    gate = waiting(agentflow, "a link/with more")
    link = f"http://127.0.0.1:8080/approve/{gate}#token=t"
    assert agentflow("approve", link, "--by", "ada") == (0, f"{gate} approved by ada\n", "")


def test_a_failed_run_is_exit_3_and_says_what_was_undone(agentflow: Agentflow) -> None:
    agentflow("run", "desk", "--key", "f", "--input", '{"amount": 5000}', "--detach")
    wait_until(lambda: "desk/f/sign_off" in agentflow("approvals")[1])
    agentflow("approve", "desk/f/sign_off")
    code, out, err = agentflow("run", "desk", "--key", "f", "--input", '{"amount": 5000}')
    assert (code, out) == (3, "")
    assert "desk f: this key was used before, so this is its first run" in err
    assert "failed (500): too much" in err
    assert "  undone      hold (release)" in err
    status = json.loads(agentflow("status", "desk", "f", "--format", "json")[1])
    assert (status["run"]["state"], status["run"]["compensation"]) == ("failed", "done")


def test_input_is_json_or_a_file(agentflow: Agentflow, tmp_path: Path) -> None:
    file = tmp_path / "input.json"
    file.write_text('{"amount": 7}')
    code, out, _ = agentflow("run", "echo", "--input", f"@{file}")
    assert (code, json.loads(out)) == (0, 7)
    assert agentflow("run", "echo", "--input", "{")[0] == 2
    assert agentflow("run", "echo", "--input", f"@{tmp_path}/none")[2].startswith("error: --input: cannot read ")


def test_input_that_does_not_fit_is_the_servers_400(agentflow: Agentflow) -> None:
    code, out, err = agentflow("run", "echo", "--input", '{"amount": "x"}')
    assert (code, out) == (3, "")
    assert "failed (400): the input does not fit" in err
    assert "amount" in err


def test_input_that_is_too_large_is_one_line(agentflow: Agentflow, tmp_path: Path) -> None:
    file = tmp_path / "input.json"
    file.write_text('{"amount": "%s"}' % ("x" * 40_000_000))
    code, _, err = agentflow("run", "echo", "--input", f"@{file}")
    assert code == 1
    assert err.startswith("error: ") and "too large" in err and err.count("\n") == 1


def test_a_key_may_hold_anything(agentflow: Agentflow) -> None:
    for key in ("é/ x", "a b%2F?", "x'y"):
        assert agentflow("run", "echo", "--key", key, "--input", '{"amount": 1}')[:2] == (0, "1\n")
        assert agentflow("status", "echo", key)[0] == 0


def test_detach_prints_the_key_and_the_invocation(agentflow: Agentflow) -> None:
    code, out, err = agentflow("run", "echo", "--key", "mine", "--input", '{"amount": 1}', "--detach")
    key, invocation = out.split()
    assert (code, key, err) == (0, "mine", "")
    assert invocation.startswith("inv_")
    for name in (key, invocation):  # of a service, either will do
        status = wait_until(lambda name=name: _ended(agentflow, name))  # type: ignore[misc]
        assert (status["run"]["state"], status["run"]["invocation"]) == ("succeeded", invocation)


def _ended(agentflow: Agentflow, name: str) -> dict[str, dict[str, str]] | None:
    status: dict[str, dict[str, str]] = json.loads(agentflow("status", "echo", name, "--format", "json")[1])
    return status if status["run"]["state"] == "succeeded" else None


def test_status_says_what_it_waits_for(agentflow: Agentflow) -> None:
    gate = waiting(agentflow, "s")
    code, out, _ = agentflow("status", "desk", "s")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "desk s  waiting"
    assert any(line.startswith(f"waits for {gate} until ") and line.endswith(": Pay 5?") for line in lines)
    agentflow("approve", gate)


def test_status_says_why_a_step_is_tried_again_and_cancel_does_not_wait_for_the_next_try(
    desk: Served, agentflow: Agentflow
) -> None:
    broken = desk.folder / "jobtools" / "broken"
    broken.touch()
    try:
        agentflow("run", "desk", "--key", "b", "--input", '{"amount": 5}', "--detach")
        wait_until(lambda: "the other side is down" in agentflow("status", "desk", "b")[1])
        status = json.loads(agentflow("status", "desk", "b", "--format", "json")[1])
        assert status["nodes"]["check"]["attempts"] >= 1
        assert "Traceback" not in json.dumps(status)
        assert agentflow("cancel", "desk", "b")[0] == 0
        wait_until(lambda: agentflow("status", "desk", "b")[1].startswith("desk b  cancelled, compensation done\n"), 5)
    finally:
        broken.unlink()
    code, _, err = agentflow("cancel", "desk", "b")
    assert (code, err) == (1, "error: desk b has ended already (failure)\n")


def test_status_answers_while_the_service_is_away(desk: Served, agentflow: Agentflow) -> None:
    gate = waiting(agentflow, "away")
    os.kill(desk.pid("service"), signal.SIGSTOP)
    try:
        code, out, _ = agentflow("status", "desk", "away")
        assert (code, out.splitlines()[0]) == (0, "desk away  waiting")
    finally:
        os.kill(desk.pid("service"), signal.SIGCONT)
    agentflow("approve", gate)


def test_no_such_run_and_no_server_are_one_line(agentflow: Agentflow, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in ("status", "cancel"):
        code, _, err = agentflow(command, "desk", "none")
        assert (code, err) == (1, "error: there is no run of desk with the key none\n")
    code, _, err = agentflow("run", "nosuch", "--input", "{}")
    assert code == 1
    assert err.startswith("error: service 'nosuch' not found")
    monkeypatch.setenv("AGENTFLOW_INGRESS", "http://127.0.0.1:1")
    monkeypatch.setenv("AGENTFLOW_ADMIN", "http://127.0.0.1:1")
    here = "error: no server at http://127.0.0.1:1 (connection refused); is `agentflow serve` running?\n"
    assert agentflow("run", "desk")[2] == here
    assert agentflow("approvals") == (1, "", here)
    assert agentflow("status", "desk", "x") == (1, "", here)
    assert agentflow("cancel", "desk", "x") == (1, "", here)
    assert agentflow("approve", "desk/x/y") == (1, "", here)
