"""The generated claim graph against the same written by hand: awaited journal entries, latency, processor time.

`python bench/claim.py` starts an engine and one service that serves both, checks that both give the same answers,
and prints ratios. Each round runs hand, generated, hand: the second hand run shows what the machine can resolve.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from urllib.parse import urlsplit

from stand import PROJECT, Stand, stand

from agentflow.client import path, request
from agentflow.driver import build
from agentflow.types import Json

HAND, GENERATED = "claim_by_hand", "claim"
SMALL: dict[str, Json] = {"claim_id": "42", "holder": "Ada", "amount": 200, "text": "a broken arm"}
LARGE: dict[str, Json] = {**SMALL, "amount": 5000}
BODY = json.dumps(SMALL).encode()
UNAWAITED = {"Input", "Output", "SetState", "ClearState", "ClearAllState", "OneWayCall", "CompleteAwakeable"}


@contextmanager
def served(folder: Path) -> Iterator[Stand]:
    """An engine, and one process that serves both."""
    module = build(PROJECT / "graphs" / "claim.yaml", folder / "build").module_path
    replies = str(PROJECT / "graphs" / "claim.replies.yaml")
    environment = {"AGENTFLOW_OFFLINE": "1", "AGENTFLOW_REPLIES_CLAIM": replies}
    with stand(folder, [module, PROJECT / "bench" / "claim_by_hand.py"], environment) as both:
        yield both


# ---------------------------------------------------------------- the same thing?


def check_alike(both: Stand) -> None:
    """Both take the same claim, small and large, to the same end, and tell the same of it."""
    for given in (SMALL, LARGE):
        results = [_decided(both, graph, given) for graph in (HAND, GENERATED)]
        assert results[0] == results[1], f"not the same: {results}"
    for amount in (SMALL["amount"], LARGE["amount"]):
        facts = [_facts(both, graph, f"alike-{amount}") for graph in (HAND, GENERATED)]
        assert facts[0] == facts[1], f"not the same facts: {facts}"


def _decided(both: Stand, graph: str, given: dict[str, Json]) -> Json:
    """The output of a run, approved where somebody is asked."""
    key = f"alike-{given['amount']}"
    if given is SMALL:
        return both.call(graph, key, "run", body=given).checked()
    both.call(graph, key, "run", "send", body=given).checked()
    for _ in range(200):
        approval: Json = {"decision": "approve", "by": "ada"}
        if both.call(f"{graph}.approvals", f"{key}/sign_off", "decide", body=approval).status < 300:
            break
        time.sleep(0.05)
    return request("GET", both.ingress + "/restate/workflow" + path(graph, key) + "/attach", timeout=30).checked()


def _facts(both: Stand, graph: str, key: str) -> dict[str, set[str]]:
    """What the run has in its state, without the values."""
    query = f"select key, value_utf8 from state where service_name = '{graph}' and service_key = '{key}'"
    rows = {str(row["key"]): json.loads(str(row["value_utf8"])) for row in both.admin.query(query)}
    return {name: {value["state"]} if "state" in value else set() for name, value in rows.items()}


# ---------------------------------------------------------------- the journal


def awaited(both: Stand, graph: str) -> list[str]:
    """The commands of a run on the straight path, and of what it calls, that somebody waits for."""
    key = "journal"
    both.call(graph, key, "run", body=SMALL).checked()
    query = both.admin.query
    where = f"target_service_name = '{graph}' and target_service_key = '{key}'"
    ids = [str(row["id"]) for row in query(f"select id from sys_invocation where {where}")]
    for identity in ids:
        ids += [str(row["id"]) for row in query(f"select id from sys_invocation where invoked_by_id = '{identity}'")]
    found = []
    for identity in ids:
        for row in query(f"select entry_type, name from sys_journal where id = '{identity}' order by index"):
            kind = str(row["entry_type"])
            if kind.startswith("Command: ") and kind.removeprefix("Command: ") not in UNAWAITED:
                found.append(f"{kind.removeprefix('Command: ')} {row['name'] or ''}".strip())
    return found


# ---------------------------------------------------------------- time


@dataclass(frozen=True)
class Sample:
    """One batch of runs: the median latency, and the service's processor time for a run, in milliseconds."""

    latency: float
    processor: float


class Load:
    """Runs batches; every key is new."""

    def __init__(self, both: Stand, body: bytes = BODY) -> None:
        self.body = body
        self.host = urlsplit(both.ingress).netloc
        self.keys = itertools.count()
        self.tasks = Path(f"/proc/{both.pid}/task")

    def sample(self, graph: str, concurrency: int, runs: int) -> Sample:
        times: list[float] = []
        left = iter(range(runs))
        lock = threading.Lock()

        def work() -> None:
            connection = http.client.HTTPConnection(self.host, timeout=30)
            try:
                while True:
                    with lock:
                        if next(left, None) is None:
                            return
                        key = next(self.keys)
                    times.append(self._run(connection, graph, f"run-{key}"))
            finally:
                connection.close()

        before = self._processor()
        threads = [threading.Thread(target=work, daemon=True) for _ in range(concurrency)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(times) == runs, f"{runs - len(times)} of {runs} runs of {graph} failed"
        return Sample(median(times), (self._processor() - before) / runs)

    def _run(self, connection: http.client.HTTPConnection, graph: str, key: str) -> float:
        began = time.perf_counter()
        connection.request("POST", path(graph, key, "run"), self.body, {"content-type": "application/json"})
        response = connection.getresponse()
        answer = response.read()
        assert response.status == 200, answer
        return (time.perf_counter() - began) * 1000

    def _processor(self) -> float:
        """Milliseconds that all threads of the service have used; zero where the system does not tell."""
        try:
            return sum(int((task / "schedstat").read_text().split()[0]) for task in self.tasks.iterdir()) / 1e6
        except OSError:
            return 0.0


@dataclass(frozen=True)
class Round:
    """Hand, generated, hand again."""

    first: Sample
    generated: Sample
    second: Sample

    def ratio(self, what: str) -> float:
        first, generated, second = (getattr(sample, what) for sample in (self.first, self.generated, self.second))
        return float(generated / ((first + second) / 2)) if first + second else 0.0

    def resolution(self, what: str) -> float:
        first, second = getattr(self.first, what), getattr(self.second, what)
        return float(second / first) if first else 0.0


def measured(load: Load, concurrency: int, seconds: float, hand: str = HAND, generated: str = GENERATED) -> list[Round]:
    """Rounds for as long as `seconds`: short ones, so that what else the machine does falls on both alike."""
    rounds: list[Round] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(rounds) < 3:
        rounds.append(Round(*(load.sample(graph, concurrency, concurrency) for graph in (hand, generated, hand))))
    return rounds


def report(concurrency: int, rounds: Sequence[Round]) -> None:
    for what, name in (("latency", "latency"), ("processor", "processor time of the service")):
        ratios = sorted(round_.ratio(what) for round_ in rounds)
        again = sorted(round_.resolution(what) for round_ in rounds)
        hand = median(getattr(sample, what) for round_ in rounds for sample in (round_.first, round_.second))
        generated = median(getattr(round_.generated, what) for round_ in rounds)
        print(
            f"concurrency {concurrency:>2}, {name}: generated / hand {median(ratios):.3f}"
            f" (half of {len(ratios)} rounds within {_middle(ratios)});"
            f" hand / hand {median(again):.3f} ({_middle(again)});"
            f" {generated:.1f} ms against {hand:.1f} ms"
        )


def _middle(ratios: Sequence[float]) -> str:
    """Where the middle half of the rounds is."""
    low, _, high = quantiles(ratios, n=4)
    return f"{low:.2f} to {high:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="for each concurrency; default 20")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 16], help="default 1 16")
    args = parser.parse_args()
    os.chdir(PROJECT)
    with tempfile.TemporaryDirectory(prefix="agentflow-bench-") as folder, served(Path(folder)) as both:
        check_alike(both)
        hand, generated = awaited(both, HAND), awaited(both, GENERATED)
        print(f"awaited journal entries, amount 200: generated {len(generated)}, hand {len(hand)}")
        print("  generated:", ", ".join(generated))
        print("  hand:     ", ", ".join(hand))
        load = Load(both)
        for graph in (HAND, GENERATED):
            load.sample(graph, 8, 40)  # warm
        for concurrency in args.concurrency:
            report(concurrency, measured(load, concurrency, args.seconds))


if __name__ == "__main__":
    main()
