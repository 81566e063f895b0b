"""Ten thousand runs that wait for a person: what they cost a new run, and what the service's memory does.

`python bench/waiting.py` starts an engine and a service, as `agentflow serve` runs them, and measures the latency of a
short run with none waiting, twice, and with `--runs` waiting; and the service's memory before, while they start, while
they wait, and after they have been decided. The engine suspends them after `--inactivity` (of a minute by default).
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
from pathlib import Path
from statistics import median

from stand import PROJECT, Stand, stand

from agentflow.client import path
from agentflow.driver import build

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


def latency(caller: Caller, keys: itertools.count[int], runs: int) -> float:
    """The median of so many short runs, one after the other, in milliseconds."""
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        caller.post("brisk", f"run-{next(keys)}", "run", body=b'{"at": 1}')
        times.append((time.perf_counter() - began) * 1000)
    return median(times)


def memory(both: Stand) -> float:
    """Mebibytes that are the service's own."""
    lines = Path(f"/proc/{both.pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def until(check: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.5)


def count(both: Stand, where: str) -> int:
    rows = both.admin.query(f"select count(*) as n from sys_invocation where {where}")
    return int(str(rows[0]["n"]))


def measure(both: Stand, runs: int, samples: int) -> None:
    caller, keys = Caller(both), itertools.count()
    latency(caller, keys, samples)  # warm
    first, second, at_first = latency(caller, keys, samples), latency(caller, keys, samples), memory(both)
    print(
        f"none waiting: a new run takes {second:.1f} ms ({second / first:.2f} of the time before); {at_first:.0f} MiB"
    )
    highest = [at_first]
    with ThreadPoolExecutor(8) as pool:
        began = time.monotonic()
        for at, _ in enumerate(pool.map(lambda n: caller.post("patient", f"w{n}", "run", "send"), range(runs))):
            if at % 100 == 0:
                highest.append(memory(both))
        mine = "target_service_name like 'patient%'"
        until(lambda: highest.append(memory(both)) or count(both, f"{mine} and status = 'suspended'") >= 2 * runs, 600)
        print(
            f"{runs} wait, after {time.monotonic() - began:.0f} s; {memory(both):.0f} MiB, at most {max(highest):.0f}"
        )
        ratio = latency(caller, keys, samples) / second
        print(f"a new run takes {ratio:.2f} of the time that it took with none waiting")
        began = time.monotonic()
        yes = b'{"decision": "approve", "by": "ada"}'
        list(pool.map(lambda n: caller.post("patient.approvals", f"w{n}/sign", "decide", body=yes), range(runs)))
        until(lambda: highest.append(memory(both)) or not count(both, f"{mine} and status <> 'completed'"), 600)
    took = time.monotonic() - began
    print(f"all have ended, {runs / took:.0f} a second; {memory(both):.0f} MiB, at most {max(highest):.0f}")
    for seconds in (10, 20, 30):
        time.sleep(10)
        print(f"{seconds} s later: {memory(both):.0f} MiB, {memory(both) - at_first:+.0f}")
    print(f"a new run takes {latency(caller, keys, samples) / second:.2f} of the time that it took before them")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000, help="that wait; default 10000")
    parser.add_argument("--samples", type=int, default=200, help="short runs of which the median is taken; default 200")
    parser.add_argument("--inactivity", default="5s", help="after which the engine suspends; default 5s")
    args = parser.parse_args()
    os.chdir(PROJECT)
    os.environ["RESTATE_WORKER__INVOKER__INACTIVITY_TIMEOUT"] = args.inactivity
    with tempfile.TemporaryDirectory(prefix="agentflow-bench-") as name:
        folder = Path(name)
        modules = []
        for graph, text in (("patient", PATIENT), ("brisk", BRISK)):
            file = folder / f"{graph}.yaml"
            file.write_text(text)
            (folder / "tools").exists() or (folder / "tools").symlink_to(PROJECT / "tools")
            modules.append(build(file, folder / "build").module_path)
        with stand(folder, modules, {"AGENTFLOW_OFFLINE": "1"}) as both:
            measure(both, args.runs, args.samples)


if __name__ == "__main__":
    main()
