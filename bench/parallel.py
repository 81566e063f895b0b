"""A hundred agents side by side against the same by hand: latency, processor time, and that none hangs.

`python bench/parallel.py` starts an engine and one service that serves `parallel` with a hundred branches, `for_each`
over a hundred items, and a hundred `service_call`s written by hand, taken as they end and gathered. Models answer at
once. Each round runs hand, generated, hand: the second hand run shows what the machine can resolve. Then come `--tries`
runs of each graph with models that answer at random times; one that is not there after `--patience` seconds is told as
hanging.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import tempfile
from pathlib import Path

from claim import Load, measured, report
from stand import PROJECT, Stand, stand

from agentflow.driver import build

MANY = 100
HANDS = ("crowd_by_hand", "crowd_gathered")  # which tells of each as it ends, and which of all at the end
AGENT = 'agents:\n  worker: {instruction: "You work.", model: gemini-2.5-flash}\n'
ITEM = "{{ input.items[%d] | default('nothing') }}"
BRANCHES = "".join(f'      b{at}: {{agent: worker, prompt: "Work on {ITEM % at}."}}\n' for at in range(MANY))
GRAPHS = {
    "crowd_parallel": f"input: {{items: [string]}}\n{AGENT}nodes:\n  work:\n    parallel:\n{BRANCHES}",
    "crowd_each": (
        f"input: {{items: [string]}}\n{AGENT}nodes:\n  work:\n    for_each: input.items\n    max_parallel: {MANY}\n"
        '    do: {agent: worker, prompt: "Work on {{ item }}."}\n'
    ),
}
BODY = json.dumps({"items": [f"item {at}" for at in range(MANY)]}).encode()
AT_ONCE = 'worker:\n  - say: "Done."\n'
AT_RANDOM = "worker:\n" + "".join(
    f'  - {{if: "\'item {at}.\' in prompt", say: "Done.", delay: {(at * 37) % 97 * 4}ms}}\n' for at in range(MANY)
)


def served(folder: Path, replies: str) -> tuple[list[Path], dict[str, str]]:
    """The modules, and the environment in which their agents answer so."""
    modules = [PROJECT / "bench" / "parallel_by_hand.py"]
    file = folder / "replies.yaml"
    file.write_text(replies)
    environment = {"AGENTFLOW_OFFLINE": "1", "AGENTFLOW_REPLIES_CLAIM": str(file)}
    for name, body in GRAPHS.items():
        graph = folder / f"{name}.yaml"
        graph.write_text(f"agentflow: 1\ngraph: {name}\n{body}")
        modules.append(build(graph, folder / "build").module_path)
        environment[f"AGENTFLOW_REPLIES_{name.upper()}"] = str(file)
    return modules, environment


def compare(both: Stand, seconds: float) -> None:
    load = Load(both, BODY)
    for graph in (*HANDS, *GRAPHS):
        load.sample(graph, 1, 2)  # warm
    for graph in GRAPHS:
        for hand in HANDS:
            print(f"{graph} against {hand}")
            report(1, measured(load, 1, seconds, hand, graph))


def hanging(both: Stand, graph: str, tries: int, patience: float) -> list[str]:
    """The runs that gave no answer in time."""
    host = both.ingress.removeprefix("http://")
    lost: list[str] = []
    for number in range(tries):
        key = f"try-{number}"
        connection = http.client.HTTPConnection(host, timeout=patience)
        try:
            connection.request("POST", f"/{graph}/{key}/run", BODY, {"content-type": "application/json"})
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            answer.read()
        except TimeoutError:
            lost.append(key)
        finally:
            connection.close()
    return lost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="for each comparison; default 60")
    parser.add_argument("--tries", type=int, default=100, help="of each graph; default 100")
    parser.add_argument("--patience", type=float, default=60, help="seconds before a run counts as hanging; default 60")
    args = parser.parse_args()
    os.chdir(PROJECT)
    for replies in (AT_ONCE, AT_RANDOM):
        with tempfile.TemporaryDirectory(prefix="agentflow-bench-") as name:
            modules, environment = served(Path(name), replies)
            with stand(Path(name), modules, environment) as both:
                if replies == AT_ONCE:
                    compare(both, args.seconds)
                    continue
                for graph in GRAPHS:
                    lost = hanging(both, graph, args.tries, args.patience)
                    print(f"{graph}: {args.tries} runs of {MANY} agents, {len(lost)} without an answer {lost or ''}")


if __name__ == "__main__":
    main()
