"""Following a run of a served graph: as a browser does, and on the command line."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from serving import Served, wait_until
from tied import tied

from agentflow.client import Refused, request
from agentflow.driver import build

NEWS = """
agentflow: 1
graph: {name}
{kind}
nodes:
  begun: {{emit: progress, data: {{done: 0}}}}
  gate: {{approval: Go on?, approvers: [ann], needs: [begun]}}
  last: {{emit: progress, data: {{done: 1}}, needs: [gate]}}
"""
GATE = "gate: {approval: Go on?, approvers: [ann]}"
QUIET = f"agentflow: 1\ngraph: quiet\nnodes:\n  {GATE}\n  bad: {{fail: No, needs: [gate]}}\n"
SERVICE = f"agentflow: 1\ngraph: plain\nkind: service\nnodes:\n  {GATE}\n"


def add(served: Served, text: str) -> str:
    file = served.folder / "graph.yaml"
    file.write_text(text)
    built = build(file, served.folder / "compiled")
    target = served.folder / "build" / built.revision
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(built.module_path.parent, target, dirs_exist_ok=True)
    return built.revision


@pytest.fixture
def news(served: Served) -> Served:
    graphs = [NEWS.format(name="news", kind=""), NEWS.format(name="telling", kind="kind: service"), QUIET, SERVICE]
    served.start(*(add(served, text) for text in graphs))
    return served


def decide(served: Served, gate: str, decision: str = "approve") -> None:
    graph, _, key = gate.partition("/")

    def decided() -> bool:
        try:
            served.ingress.ask(f"{graph}.approvals", key, "decide", {"decision": decision, "by": "ann"})
        except Refused as refused:
            return refused.status == 409
        return True

    wait_until(decided)


class Browser:
    """What a browser's EventSource does: it connects again where it was, until it is told to stop."""

    def __init__(self, served: Served, graph: str, key: str, query: str = "") -> None:
        self.served = served
        self.target = f"/events/{graph}/{key}{query}"
        self.last: str | None = None
        self.events: list[dict[str, Any]] = []
        self.heartbeats = 0
        self.connections = 0
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if not self._connection():
                    return
            except (OSError, http.client.HTTPException):
                time.sleep(0.1)

    def _connection(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.served.ports[0], timeout=40)
        headers = {} if self.last is None else {"Last-Event-ID": self.last}
        connection.request("GET", self.target, headers=headers)
        answer = connection.getresponse()
        if answer.status == 204:
            return False
        if answer.status == 404:  # not begun
            time.sleep(0.1)
            return True
        assert answer.status == 200, answer.read()
        assert answer.getheader("content-type", "").startswith("text/event-stream")
        self.connections += 1
        told: dict[str, str] = {}
        for line in iter(answer.readline, b""):
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == ":":
                self.heartbeats += 1
            elif name:
                told[name] = value
            elif "data" in told:
                event = json.loads(told["data"])
                assert (told["id"], told["event"]) == (str(event["seq"]), event["type"])
                self.events.append(event)
                self.last = told["id"]
                told = {}
        return True

    def whole(self) -> list[dict[str, Any]]:
        self.thread.join(60)
        assert not self.thread.is_alive(), self.events
        assert self.events[-1]["type"] == "run"
        return self.events


def test_a_browser_hears_every_event_once_over_kills_of_the_service(news: Served) -> None:
    news.ingress.start("news", "a", {})
    first = Browser(news, "news", "a")
    wait_until(lambda: any(event.get("state") == "waiting" for event in first.events))
    os.kill(news.pid("service"), signal.SIGKILL)
    news.wait_for("service pid", 2)
    wait_until(lambda: first.connections >= 2)
    decide(news, "news/a/gate")
    events = first.whole()
    assert [event["seq"] for event in events] == list(range(len(events)))
    assert [event["data"]["done"] for event in events if event["type"] == "emit"] == [0, 1]
    assert Browser(news, "news", "a").whole() == events
    assert Browser(news, "news", "a", "?from=3").whole() == events[3:]


def test_a_services_run_is_heard_by_the_id_of_its_invocation(news: Served) -> None:
    invocation = news.ingress.start("telling", "k", {}).invocation
    browser = Browser(news, "telling", invocation)
    gate = wait_until(lambda: [e["waits"]["id"] for e in browser.events if "waits" in e])[0]
    decide(news, gate)
    assert browser.whole()[-1]["state"] == "succeeded"


def get(served: Served, target: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", served.ports[0], timeout=20)
    connection.putrequest(method, target, skip_host="host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}


def test_who_may_not_hear_events_is_refused(served: Served) -> None:
    served.extra["AGENTFLOW_ORIGINS"] = "http://a.test http://b.test"
    served.start(add(served, QUIET))
    served.ingress.start("quiet", "k/1", {})
    wait_until(lambda: get(served, "/events/quiet/k%2F1")[0] == 200)
    assert get(served, "/events/quiet/nobody")[0] == 404
    assert get(served, "/events/nothing/k")[0] == 404
    assert get(served, "/events/quiet")[0] == 404
    assert get(served, "/events/quiet/k%2F1", "POST")[0] == 405
    assert get(served, "/events/quiet/k%2F1?from=-1")[0] == 400
    assert get(served, "/events/quiet/k%2F1", host="evil.test")[0] == 403
    assert get(served, "/events/quiet/k%2F1", host=f"localhost:{served.ports[0]}")[0] == 200
    assert (
        get(served, "/events/quiet/k%2F1", origin="http://b.test")[1]["access-control-allow-origin"] == "http://b.test"
    )
    assert "access-control-allow-origin" not in get(served, "/events/quiet/k%2F1", origin="http://c.test")[1]


# ---------------------------------------------------------------- on the command line


def command(served: Served, *words: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "AGENTFLOW_INGRESS": served.ingress.url,
        "AGENTFLOW_ADMIN": served.admin.url,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "agentflow", *words],
        env=environment,
        cwd=served.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=tied,
    )


def test_run_and_watch_follow_a_run_and_tell_how_it_ended(news: Served) -> None:
    run = command(news, "run", "news", "--key", "a")
    wait_until(lambda: request("POST", f"{news.ingress.url}/news/a/status").status == 200)
    watch = command(news, "watch", "news", "a", "--json")
    decide(news, "news/a/gate")
    out, progress = run.communicate(timeout=60)
    assert run.returncode == 0 and json.loads(out)["last"] == {"done": 1}
    assert '  begun                progress: {"done": 0}' in progress.splitlines()
    assert "  gate                 waiting: Go on?" in progress.splitlines()
    events = [json.loads(line) for line in watch.communicate(timeout=60)[0].splitlines()]
    assert watch.returncode == 0 and [event["seq"] for event in events] == list(range(len(events)))
    late = command(news, "watch", "news", "a", "--from", "2", "--json")
    assert [json.loads(line) for line in late.communicate(timeout=60)[0].splitlines()] == events[2:]
    as_json = command(news, "run", "news", "--key", "b", "--json")
    decide(news, "news/b/gate")
    told = [json.loads(line) for line in as_json.communicate(timeout=60)[1].splitlines() if line.startswith("{")]
    assert [event["seq"] for event in told] == list(range(len(told))) and told[-1]["state"] == "succeeded"


def test_watch_ends_with_the_run_however_it_ends(news: Served) -> None:
    news.ingress.start("quiet", "bad", {})
    decide(news, "quiet/bad/gate")
    failed = command(news, "watch", "quiet", "bad")
    assert failed.communicate(timeout=60)[0].splitlines()[-1] == "quiet bad: failed: No"
    assert failed.returncode == 3
    nobody = command(news, "watch", "quiet", "nobody")
    assert "no run of quiet" in nobody.communicate(timeout=60)[1] and nobody.returncode == 1
    for graph in ("telling", "plain"):
        news.ingress.start(graph, "s", {})
        watch = command(news, "watch", graph, "s")
        rows = f"select service_key from state where service_name = '{graph}.approvals' and key = 'gate'"
        gate = wait_until(lambda rows=rows: news.admin.query(rows))[0]["service_key"]
        decide(news, f"{graph}/{gate}")
        assert watch.communicate(timeout=60)[0].splitlines()[-1] == f"{graph} s: succeeded"
        assert watch.returncode == 0
