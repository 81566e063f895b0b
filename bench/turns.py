"""A turn of an object's conversation at 1,000 turns against one at 0: what it takes, and what it journals."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from stand import Stand, stand

from agentflow.admin import text
from agentflow.driver import build

GRAPH = """\
agentflow: 1
graph: talk
kind: object
session: {keep: 50}
models: {default: gemini-2.5-flash}
tools: {look_up: {python: "bench_library:look_up", effect: read}}
agents:
  talker: {instruction: You talk and look things up., tools: [look_up]}
"""
REPLIES = """\
talker:
  - {if: step == 0, call: {tool: look_up, with: {subject: the harbour of Lisbon in the eighteenth century}}}
  - if: step > 0
    say: >-
      The library has an article of three pages on that, which tells of ships, of salt and of cod, and of the people who
      carried both. I can read it to you, or look for what else was written about it at the time.
"""
LIBRARY = '''\
def look_up(subject: str) -> dict[str, str]:
    """Looks a subject up in the library."""
    return {"subject": subject, "title": "On salt and cod", "shelf": "B 17", "pages": "3", "language": "Portuguese"}
'''
MESSAGE = {"message": "What does the library have on the harbour of Lisbon, and what was it like to work there?"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=1000, help="how long the conversation is (default 1000)")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch", type=int, default=10, help="turns of a round on each side")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bench_library.py").write_text(LIBRARY)
        (folder / "pyproject.toml").write_text('[tool.agentflow]\nmodules = ["bench_library"]\n')
        (folder / "talk.yaml").write_text(GRAPH)
        (folder / "talk.replies.yaml").write_text(REPLIES)
        module = build(folder / "talk.yaml", folder / "build").module_path
        environment = {
            "AGENTFLOW_OFFLINE": "1",
            "AGENTFLOW_REPLIES_TALK": str(folder / "talk.replies.yaml"),
            "PYTHONPATH": f"{folder}:{Path(__file__).resolve().parents[1]}",
        }
        with stand(folder, [module], environment) as running:
            measure(running, args.turns, args.rounds, args.batch)
    return 0


def measure(running: Stand, turns: int, rounds: int, batch: int) -> None:
    began = time.monotonic()
    for number in range(turns):
        turn(running, "long")
        if (number + 1) % 100 == 0:
            print(f"  {number + 1} turns in {time.monotonic() - began:.0f} s", file=sys.stderr)
    new = iter(range(10**9))

    def fresh() -> None:
        turn(running, f"new{next(new)}")

    ratios: list[float] = []
    noise: list[float] = []
    for _ in range(rounds):
        first, long, second = (timed(do, batch) for do in (fresh, lambda: turn(running, "long"), fresh))
        ratios.append(long / ((first + second) / 2))
        noise.append(second / first)
    print(f"a turn at {turns} turns / at 0: {median(ratios):.3f}   (at 0 / at 0: {median(noise):.3f})")
    for key, count in (("long", rounds * batch), ("new0", 1)):
        print(f"journaled by a turn of {key}: {journaled(running, key, count):.0f} bytes")


def turn(running: Stand, key: str) -> None:
    answer = running.call("talk", key, "message", body=MESSAGE)
    assert answer.status == 200, answer.body


def timed(do: Callable[[], None], times: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        do()
    return time.perf_counter() - began


def journaled(running: Stand, key: str, latest: int) -> float:
    """The average size of the journals of the latest turns of a key, all entries of both directions."""
    rows = running.admin.query(
        "select id from sys_invocation where target_service_name = 'talk' "
        f"and target_service_key = {text(key)} order by created_at desc limit {latest}"
    )
    ids = ", ".join(text(str(row["id"])) for row in rows)
    [total] = running.admin.query(f"select sum(raw_length) as n from sys_journal where id in ({ids})")
    return float(str(total["n"])) / len(rows)


if __name__ == "__main__":
    sys.exit(main())
