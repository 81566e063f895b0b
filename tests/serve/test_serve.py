"""`serve` on a real engine: it starts, stops, is killed in every way, and loses nothing."""

from __future__ import annotations

import json
import os
import signal
import socket
import time

import pytest
from serving import MODULE, Served, wait_until

from agentflow.client import Refused, Unreachable
from agentflow.serve.lock import started
from agentflow.types import Json


def begin(served: Served, key: str) -> str:
    """A run that waits for `go`."""
    invocation = served.ingress.start("job", key, {}).invocation

    def waits() -> bool:
        rows = served.admin.query(f"select journal_size from sys_invocation where id = '{invocation}'")
        return bool(rows) and int(str(rows[0].get("journal_size") or 0)) >= 5

    wait_until(waits)
    return invocation


def finish(served: Served, key: str, invocation: str) -> Json:
    wait_until(lambda: _go(served, key))
    return served.ingress.result(invocation, timeout=20).checked()


def _go(served: Served, key: str) -> bool:
    try:
        return served.ingress.ask("job", key, "go", {}) == "ok"
    except (Refused, Unreachable):
        return False


def gone(pid: int) -> bool:
    return started(pid) is None


def test_says_ready_and_stops_within_five_seconds_leaving_no_child(served: Served) -> None:
    served.start("aaaa1111")
    assert served.wait_for("^ready ") == f"ready http://127.0.0.1:{served.ports[1]}"
    children = [served.pid("engine"), served.pid("service")]
    for number in (signal.SIGTERM, signal.SIGINT):
        code, took = served.stop(number)
        assert (code, took < 5) == (0, True)
        assert all(map(gone, children))
        if number == signal.SIGTERM:
            served.start("aaaa1111")
            children = [served.pid("engine"), served.pid("service")]


def test_a_run_outlives_a_restart_of_serve(served: Served) -> None:
    served.start("aaaa1111")
    invocation = begin(served, "k")
    served.stop()
    served.start("aaaa1111")
    assert served.wait_for("revision aaaa1111").endswith("(unchanged)")
    assert finish(served, "k", invocation) == {"revision": "aaaa1111", "inner": "aaaa1111 ok", "go": "went"}


@pytest.mark.parametrize("name", ["service", "engine"])
def test_a_killed_child_is_started_again(served: Served, name: str) -> None:
    served.start("aaaa1111")
    invocation = begin(served, "k")
    before = served.pid(name)
    os.kill(before, signal.SIGKILL)
    served.wait_for(f"^{name} pid ", count=2)
    assert served.pid(name) != before
    assert finish(served, "k", invocation) == {"revision": "aaaa1111", "inner": "aaaa1111 ok", "go": "went"}


def test_kill_of_serve_leaves_nothing_running_and_loses_nothing(served: Served) -> None:
    served.start("aaaa1111")
    invocation = begin(served, "k")
    children = [served.pid("engine"), served.pid("service")]
    served.stop(signal.SIGKILL)
    wait_until(lambda: all(map(gone, children)))
    served.start("aaaa1111")
    assert finish(served, "k", invocation) == {"revision": "aaaa1111", "inner": "aaaa1111 ok", "go": "went"}


def test_runs_in_flight_finish_on_their_revision_and_new_ones_start_on_the_new(served: Served) -> None:
    served.start("aaaa1111")
    old = begin(served, "old")
    served.stop()
    served.ports[0] = served.ports[0] + 1000  # the port changes, too
    served.start("bbbb2222")
    new = begin(served, "new")
    assert finish(served, "new", new) == {"revision": "bbbb2222", "inner": "bbbb2222 ok", "go": "went"}
    assert finish(served, "old", old) == {"revision": "aaaa1111", "inner": "aaaa1111 ok", "go": "went"}
    served.stop()
    served.start("bbbb2222")
    assert {path.name for path in (served.data / "revisions").iterdir()} == {"bbbb2222"}
    assert len(served.admin.deployments()) == 1


def test_going_back_to_a_former_revision_makes_it_the_newest_again(served: Served) -> None:
    runs = {}
    for name, key in (("aaaa1111", "a"), ("bbbb2222", "b"), ("aaaa1111", "c")):
        served.start(name)
        runs[key] = begin(served, key)
        served.stop()
    served.start("aaaa1111")
    assert served.wait_for("revision aaaa1111").endswith("(unchanged)")
    ended = {key: finish(served, key, invocation) for key, invocation in runs.items()}
    assert [ended[key]["revision"] for key in "abc"] == ["aaaa1111", "bbbb2222", "aaaa1111"]  # type: ignore[index,call-overload]


def test_a_mended_tool_reaches_the_waiting_run(served: Served) -> None:
    served.start("aaaa1111")
    invocation = begin(served, "k")
    served.tool("mended")
    served.stop()
    served.start("aaaa1111")
    assert finish(served, "k", invocation) == {"revision": "aaaa1111", "inner": "aaaa1111 mended", "go": "went"}


def test_a_tool_that_cannot_be_imported_is_one_line_and_exit_1(served: Served) -> None:
    (served.folder / "jobtools" / "__init__.py").write_text("import os\nanswer = os.nothing\n")
    served.start("aaaa1111", wait=False)
    assert served.process is not None and served.process.wait(30) == 1
    line = served.wait_for("^error: ")
    assert (
        line
        == "error: job cannot be loaded: jobtools/__init__.py:2: AttributeError: module 'os' has no attribute 'nothing'"
    )


def test_an_old_revision_that_cannot_be_loaded_is_reported_and_waits(served: Served) -> None:
    served.start("aaaa1111")
    invocation = begin(served, "k")
    served.stop()
    new = served.revision("bbbb2222").joinpath("job.py")
    new.write_text(new.read_text().replace("from jobtools import answer", "answer = lambda: 'own'"))
    (served.folder / "jobtools" / "__init__.py").write_text("def answer(:\n")
    served.start("bbbb2222")
    served.wait_for("job revision aaaa1111 cannot be loaded, its runs wait: jobtools/__init__.py:1: SyntaxError")
    fresh = begin(served, "fresh")
    assert finish(served, "fresh", fresh) == {"revision": "bbbb2222", "inner": "bbbb2222 own", "go": "went"}
    served.stop()
    served.tool("mended")
    served.start("bbbb2222")
    assert finish(served, "k", invocation) == {"revision": "aaaa1111", "inner": "aaaa1111 mended", "go": "went"}


def test_two_serves_on_one_data_directory_is_exit_4(served: Served) -> None:
    served.start("aaaa1111")
    first, lines = served.process, served.lines
    served.start("aaaa1111", wait=False)
    assert served.process is not None and served.process.wait(10) == 4
    assert first is not None
    assert f"error: another agentflow serve (pid {first.pid}) uses {served.data}" in served.wait_for("^error: ")
    served.process, served.lines = first, lines
    assert served.stop()[0] == 0


@pytest.mark.parametrize(
    ("at", "option"), [(0, "--port"), (1, "--ingress-port"), (2, "--admin-port"), (3, "--node-port")]
)
def test_a_taken_port_is_one_line_and_exit_4(served: Served, at: int, option: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", served.ports[at]))
        other.listen()
        served.start("aaaa1111", wait=False)
        assert served.process is not None and served.process.wait(10) == 4
    taken = f"127.0.0.1:{served.ports[at]} (Address already in use)"
    assert served.lines == [f"error: cannot listen on {taken}; choose another port with {option}"]


def test_what_a_killed_serve_left_is_ended(served: Served) -> None:
    served.start("aaaa1111")
    engine = served.pid("engine")
    lock = json.loads((served.data / "serve.lock").read_text())
    served.stop(signal.SIGKILL)
    wait_until(lambda: gone(engine))
    stray = os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "60")
    innocent = os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "60")
    lock["engine"] = {"pid": stray, "started": started(stray)}
    lock["service"] = {"pid": innocent, "started": "another time"}
    (served.data / "serve.lock").write_text(json.dumps(lock))
    served.start("aaaa1111")
    served.wait_for(f"ending the engine that an earlier serve left .pid {stray}.")
    assert os.waitpid(stray, os.WNOHANG)[0] == stray
    assert os.waitpid(innocent, os.WNOHANG)[0] == 0
    os.kill(innocent, signal.SIGKILL)
    os.waitpid(innocent, 0)


def test_uses_an_engine_that_is_named(served: Served, tmp_path_factory: pytest.TempPathFactory) -> None:
    served.start("aaaa1111")
    guest = Served(tmp_path_factory.mktemp("guest"))
    text = MODULE.format(hash="cccc3333", tool="jobtools").replace('"job', '"guest')
    guest.keep("guest", "workflow", "cccc3333", text, "guest.nodes_cccc3333")
    guest.ports = [served.ports[0] + 2000, *served.ports[1:]]
    guest.options = [served.admin.url]
    guest.start("cccc3333")
    assert guest.wait_for("^ready ") == f"ready http://127.0.0.1:{served.ports[1]}"
    invocation = guest.ingress.start("guest", "k", {}).invocation
    time.sleep(0.3)
    guest.ingress.ask("guest", "k", "go", {})
    assert guest.ingress.result(invocation, timeout=20).checked()["inner"] == "cccc3333 ok"  # type: ignore[index,call-overload]
    assert guest.stop()[0] == 0
    assert len(served.admin.deployments()) == 2  # each forgets only its own


def test_what_was_paused_is_tried_again_by_the_next_serve(served: Served) -> None:
    served.start("aaaa1111")
    (served.folder / "jobtools" / "__init__.py").write_text("def answer():\n    raise OSError('down')\n")
    served.stop()
    served.start("aaaa1111")
    invocation = begin(served, "k")
    wait_until(lambda: _go(served, "k"))
    stuck = wait_until(
        lambda: served.admin.query("select id from sys_invocation where status = 'backing-off' and retry_count > 1")
    )
    served.admin.pause(str(stuck[0]["id"]))
    wait_until(lambda: served.admin.query("select id from sys_invocation where status = 'paused'"))
    served.stop()
    served.tool("mended")
    served.start("aaaa1111")
    served.wait_for("trying again what had failed: 1 invocations")
    output = served.ingress.result(invocation, timeout=20).checked()
    assert output == {"revision": "aaaa1111", "inner": "aaaa1111 mended", "go": "went"}


def test_is_stopped_while_it_starts(served: Served) -> None:
    served.start("aaaa1111", wait=False)
    served.wait_for("^engine pid ")
    children = [served.pid("engine"), served.pid("service")]
    code, took = served.stop(signal.SIGINT)
    assert (code, took < 5) == (0, True)
    assert all(map(gone, children))


def test_an_engine_that_does_not_start_is_one_line(served: Served) -> None:
    served.extra = {"AGENTFLOW_RESTATE_SERVER": "/bin/false"}
    served.start("aaaa1111", wait=False)
    assert served.process is not None and served.process.wait(20) == 1
    log = served.data / "engine.log"
    assert served.lines[-1] == f"error: the engine ended as it started (exit code 1): it said nothing (see {log})"
