"""Ten thousand runs that wait for a person: what they cost a new run, and what the service's memory does.

`python bench/waiting.py` starts an engine and a service with the settings of `agentflow serve`, and the same once more,
where nothing ever waits. Short runs take turns on both: the ratio of their latencies is what those that wait cost, and
its value before there are any shows what the machine can resolve. The service's memory is told before, while the runs
start, while they wait, and after all have been decided. The engine suspends runs that wait after `--inactivity`.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import os
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from statistics import median, quantiles

from stand import PROJECT, Stand, stand

from agentflow.client import path
from agentflow.driver import build
from agentflow.serve.memory import EVERY

GIVES_BACK = EVERY + 2  # seconds within which the service gives back what its start has left
PATIENT = """
agentflow: 1
graph: patient
nodes:
  before: {value: 1}
  sign: {approval: Go on?, approvers: [ada], timeout: 7d, on_timeout: reject, needs: [before]}
  after: {value: "{{ sign.by }}", needs: [sign]}
output: "{{ after }}"
"""
BRISK = """
agentflow: 1
graph: brisk
input: {at: integer}
tools: {look: {python: "tools.insurance:policy_of", effect: read}}
nodes:
  one: {tool: look, with: {claim_id: "c{{ input.at }}"}}
  both:
    parallel:
      left: {steps: {a: {tool: look, with: {claim_id: "1"}}, b: {tool: look, with: {claim_id: "2"}}}}
      right: {tool: look, with: {claim_id: "3"}}
    needs: [one]
output: {done: true}
"""


class Caller:
    """Calls the ingress from several threads, each over one connection."""

    def __init__(self, both: Stand) -> None:
        self._host = both.ingress.removeprefix("http://")
        self._own = threading.local()

    def post(self, *segments: str, body: bytes = b"{}") -> bytes:
        connection = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = http.client.HTTPConnection(self._host, timeout=60)
        connection.request("POST", path(*segments), body, {"content-type": "application/json"})
        response = connection.getresponse()
        answer: bytes = response.read()
        assert response.status < 300, answer
        return answer


class Turns:
    """Short runs on the stand where others wait and on the one where none does, by turns."""

    def __init__(self, both: Stand, empty: Stand, rounds: int) -> None:
        self._callers = Caller(both), Caller(empty)
        self._keys = itertools.count()
        self._rounds = rounds

    def tell(self, when: str) -> None:
        """The median of the rounds' ratios, where half of them are, and the median latencies."""
        pairs = [[self._latency(caller) for caller in self._callers] for _ in range(self._rounds)]
        low, middle, high = quantiles([waiting / none for waiting, none in pairs], n=4)
        ours, others = (median(column) for column in zip(*pairs, strict=True))
        where = f"half of {self._rounds} rounds within {low:.2f} to {high:.2f}; {ours:.1f} ms, {others:.1f} ms"
        print(f"{when}: a new run takes {middle:.2f} of the time where none waits ({where})", flush=True)

    def _latency(self, caller: Caller) -> float:
        began = time.perf_counter()
        caller.post("brisk", f"run-{next(self._keys)}", "run", body=b'{"at": 1}')
        return (time.perf_counter() - began) * 1000


def memory(both: Stand) -> float:
    """Mebibytes that are the service's own."""
    lines = Path(f"/proc/{both.pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def until(check: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(1)


def count(both: Stand, where: str) -> int:
    rows = both.admin.query(f"select count(*) as n from sys_invocation where {where}")
    return int(str(rows[0]["n"]))


def measure(both: Stand, empty: Stand, runs: int, rounds: int, after: int) -> None:
    caller, turns = Caller(both), Turns(both, empty, rounds)
    turns.tell("warming up")
    turns.tell("none waiting")
    time.sleep(GIVES_BACK)
    at_first = memory(both)
    print(f"memory: {at_first:.0f} MiB", flush=True)
    highest = [at_first]

    def seen(done: bool) -> bool:
        highest.append(memory(both))
        return done

    with ThreadPoolExecutor(8) as pool:
        began = time.monotonic()
        for at, _ in enumerate(pool.map(lambda n: caller.post("patient", f"w{n}", "run", "send"), range(runs))):
            if at % 100 == 0:
                seen(False)
        mine = "target_service_name like 'patient%'"
        until(lambda: seen(count(both, f"{mine} and status = 'suspended'") >= 2 * runs), 1800)
        print(
            f"{runs} wait, after {time.monotonic() - began:.0f} s; {memory(both):.0f} MiB, at most {max(highest):.0f}"
        )
        turns.tell(f"{runs} waiting")
        began = time.monotonic()
        yes = b'{"decision": "approve", "by": "ada"}'
        list(pool.map(lambda n: caller.post("patient.approvals", f"w{n}/sign", "decide", body=yes), range(runs)))
        until(lambda: seen(count(both, f"{mine} and status <> 'completed'") == 0), 1800)
    took = time.monotonic() - began
    print(f"all have ended, {runs / took:.0f} a second; {memory(both):.0f} MiB, at most {max(highest):.0f}", flush=True)
    for seconds in range(20, after + 1, 20):
        time.sleep(20)
        now = memory(both)
        print(f"{seconds} s later: {now:.0f} MiB, {now / at_first:.2f} of what it was at first", flush=True)
    turns.tell(f"after the {runs}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000, help="that wait; default 10000")
    parser.add_argument("--rounds", type=int, default=200, help="of short runs by turns, each time; default 200")
    parser.add_argument("--inactivity", default="5s", help="after which the engine suspends; default 5s")
    parser.add_argument("--after", type=int, default=180, help="seconds for which memory is told; default 180")
    args = parser.parse_args()
    os.chdir(PROJECT)
    os.environ["RESTATE_WORKER__INVOKER__INACTIVITY_TIMEOUT"] = args.inactivity
    with tempfile.TemporaryDirectory(prefix="agentflow-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        modules = []
        (folder / "tools").symlink_to(PROJECT / "tools")
        for graph, text in (("patient", PATIENT), ("brisk", BRISK)):
            file = folder / f"{graph}.yaml"
            file.write_text(text)
            modules.append(build(file, folder / "build").module_path)
        stands = []
        for where in ("waiting", "empty"):
            (folder / where).mkdir()
            stands.append(stack.enter_context(stand(folder / where, modules, {"AGENTFLOW_OFFLINE": "1"})))
        measure(*stands, args.runs, args.rounds, args.after)


if __name__ == "__main__":
    main()
