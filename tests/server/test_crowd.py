"""A hundred agents side by side: each answers once, the answers keep their order, and none hangs, also over kills."""

from __future__ import annotations

import random
import time

import pytest
from harness import Service, graph

MANY = 100
ENVIRONMENT = {"AGENTFLOW_TEST_JITTER": "0.3"}
AGENT = "agents:\n  worker: {instruction: You work.}\n"
BRANCHES = "".join(f'      b{at}: {{agent: worker, prompt: "item {at}."}}\n' for at in range(MANY))
GRAPHS = [
    graph("crowd", f"{AGENT}nodes:\n  work:\n    parallel:\n{BRANCHES}output: '{{{{ work }}}}'"),
    graph(
        "crowd_each",
        f"input: {{items: [string]}}\n{AGENT}"
        "nodes:\n  work:\n    for_each: input.items\n    max_parallel: 100\n"
        '    do: {agent: worker, prompt: "{{ item }}."}\noutput: "{{ work }}"',
    ),
]
SAID = "worker:\n" + "".join(f"  - {{if: \"prompt == 'item {at}.'\", say: said {at}}}\n" for at in range(MANY))
REPLIES = {"crowd": SAID, "crowd_each": SAID}
TRIES = 3  # more of them in bench/parallel.py


def given() -> dict[str, list[str]]:
    return {"items": [f"item {at}" for at in range(MANY)]}


@pytest.mark.parametrize("name", ["crowd", "crowd_each"])
def test_a_hundred_agents_all_answer_in_order(service: Service, name: str) -> None:
    for number in range(TRIES):
        said = service.run(name, f"try{number}", given() if name == "crowd_each" else {}, timeout=120)
        answers = said if isinstance(said, list) else list(said.values())
        assert answers == [f"said {at}" for at in range(MANY)]
    assert service.nothing_twice()


@pytest.mark.parametrize("name", ["crowd", "crowd_each"])
def test_a_hundred_agents_outlive_a_kill(service: Service, name: str) -> None:
    run = service.send(name, "killed", given() if name == "crowd_each" else {})
    time.sleep(random.uniform(0.3, 1.0))
    service.restart()
    said = service.attach(run, timeout=120)
    answers = said if isinstance(said, list) else list(said.values())
    assert answers == [f"said {at}" for at in range(MANY)]
    assert not service.unfinished()
