"""What `agentflow check` and `agentflow --help` cost: as ratios to reading the YAML alone, and to Python's own start.

`python bench/compiler.py` takes turns between the commands, and compares medians of processor time (which, for one
thread, is the time it takes when the machine does nothing else).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median, quantiles

PROJECT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(PROJECT)}
COMMAND = [sys.executable, "-m", "agentflow"]

TOOLS = '''"""Tools of the generated graphs."""

from dataclasses import dataclass


@dataclass
class Found:
    text: str
    found: bool
    amount: float


def look(name: str, amount: float) -> Found:
    """Looks something up.

    Args:
        name: What to look for.
        amount: How much of it.
    """
    return Found(name, True, amount)
'''

HEAD = """\
agentflow: 1
graph: {name}
input: {{id: string, amount: number}}
types:
  Review: {{ok: boolean, reason: string, score: integer, risk: low | medium | high}}
models: {{default: gemini-2.5-flash}}
tools:
  look: {{python: "tools.looking:look", effect: read}}
agents:
  reviewer: {{instruction: You review what was found., tools: [look], returns: Review}}
  writer: {{instruction: You write.}}
nodes:
  review_0: {{agent: reviewer, prompt: "{{{{ input.id }}}}"}}
  letter_0: {{agent: writer, prompt: "{{{{ review_0.reason }}}}"}}
"""

NODES = 12  # of a block

# Twelve nodes, of which five stand in others. Each block builds on the one before and on the one ten before.
BLOCK = """\
  found_@:
    tool: look
    with: {name: "{{ review_#.reason }}", amount: "{{ input.amount }}"}
  review_@:
    agent: reviewer
    prompt: |
      Claim {{ input.id }}: {{ found_@.text }}, {{ found_@.amount }} after {{ review_%.score }}.
      {% if found_@.found %}It was found.{% else %}It was not found.{% endif %}
  score_@:
    value: "{{ review_@.score * 2 + 1 }}"
  route_@:
    switch: review_@.risk
    cases:
      low: {value: nothing}
      medium: {tool: look, with: {name: "{{ input.id }}-{{ score_@ }}", amount: 1}}
      high: {agent: writer, prompt: "Warn of {{ review_@.reason }}."}
  checks_@:
    parallel:
      again: {tool: look, with: {name: "{{ found_@.text }}", amount: 2}}
      letter: {agent: writer, prompt: "Write about {{ found_@.text | upper }}."}
  extra_@:
    tool: look
    when: review_@.ok and review_@.score > 3
    with: {name: "{{ checks_@.letter }}", amount: "{{ score_@ }}"}
  note_@:
    agent: writer
    prompt: "Sum up {{ extra_@.text | default('nothing') }} and {{ checks_@.again.text }}."
    needs: [route_@]
"""

# The same twelve nodes in fewer words, since a file has at most 1 MiB.
TERSE = """\
 found_@: {tool: look, with: {name: "{{ review_#.reason }}", amount: 1}}
 review_@: {agent: reviewer, prompt: "{{ found_@.text }} {{ review_%.score }}{% if found_@.found %}!{% endif %}"}
 score_@: {value: "{{ review_@.score * 2 + 1 }}"}
 route_@:
  switch: review_@.risk
  cases:
   low: {value: 1}
   medium: {tool: look, with: {name: "{{ input.id }}-{{ score_@ }}", amount: 1}}
   high: {agent: writer, prompt: "{{ review_@.reason }}"}
 checks_@:
  parallel:
   again: {tool: look, with: {name: "{{ found_@.text }}", amount: 2}}
   letter: {agent: writer, prompt: "{{ found_@.text | upper }}"}
 extra_@: {tool: look, when: review_@.score > 3, with: {name: "{{ checks_@.letter }}", amount: "{{ score_@ }}"}}
 note_@: {agent: writer, prompt: "{{ extra_@.text | default('x') }}{{ checks_@.again.text }}", needs: [route_@]}
"""


def graph(name: str, nodes: int, block: str = BLOCK) -> str:
    """A valid graph of so many nodes, or up to eleven more."""
    head = HEAD.format(name=name)
    if block is TERSE:
        head = head.replace("\n  review_0", "\n review_0").replace("\n  letter_0", "\n letter_0")
    blocks = -(-(nodes - 2) // NODES)
    return head + "".join(_numbered(block, number) for number in range(1, blocks + 1))


def _numbered(block: str, number: int) -> str:
    return (
        block.replace("@", str(number))
        .replace("review_#", f"review_{number - 1}")
        .replace("review_%", f"review_{max(number - 10, 0)}")
    )


# ---------------------------------------------------------------- time


def process(*command: str) -> float:
    """Processor seconds of a command, which must succeed."""
    child = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert child.stdout is not None
    said = child.stdout.read()
    child.stdout.close()
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, said.decode()[-2000:]
    return used.ru_utime + used.ru_stime


def check(path: Path) -> Callable[[], float]:
    return lambda: process(*COMMAND, "check", str(path))


EVENTS = """
import sys, time, yaml
text = open(sys.argv[1]).read()
began = time.process_time()
for _ in yaml.parse(text, Loader=yaml.CSafeLoader):
    pass
print(time.process_time() - began)
"""


def events(path: Path) -> Callable[[], float]:
    """Reading the events of the YAML and nothing else, once, in a process of its own as the command is."""
    return lambda: float(subprocess.check_output([sys.executable, "-c", EVENTS, str(path)]))


def in_turns(measured: Mapping[str, Callable[[], float]], rounds: int) -> list[dict[str, float]]:
    return [{name: measure() for name, measure in measured.items()} for _ in range(rounds)]


def shown(values: list[float], unit: str = "") -> str:
    low, middle, high = quantiles(values, n=4)
    return f"{middle:.1f}{unit} (half of {len(values)} rounds within {low:.1f} to {high:.1f})"


# ---------------------------------------------------------------- what is measured


def starts(rounds: int) -> None:
    bare = lambda: process(sys.executable, "-c", "pass")  # noqa: E731 - one of four alike
    times = in_turns(
        {
            "bare": bare,
            "help": lambda: process(*COMMAND, "--help"),
            "check": check(PROJECT / "graphs" / "claim.yaml"),
            "again": bare,
        },
        rounds,
    )

    def ratio(name: str) -> str:
        return shown([time[name] * 2 / (time["bare"] + time["again"]) for time in times])

    print(f"a bare interpreter: {shown([time['bare'] * 1000 for time in times], ' ms')}; the others as ratios to it")
    print(f"  itself again: {shown([time['again'] / time['bare'] for time in times])}")
    print(f"  agentflow --help, at most 10: {ratio('help')}")
    print(f"  check of graphs/claim.yaml, at most 25: {ratio('check')}")


def size(folder: Path, name: str, nodes: int, block: str, rounds: int) -> float:
    """Prints what the nodes cost beyond the command's own start, which is the check of one block, and returns that."""
    tiny, large = folder / "tiny.yaml", folder / f"{name}.yaml"
    tiny.write_text(graph("tiny", 2 + NODES, block))
    large.write_text(graph(name, nodes, block))
    times = in_turns(
        {"events": events(large), "tiny": check(tiny), "large": check(large), "again": events(large)}, rounds
    )
    beyond = [time["large"] - time["tiny"] for time in times]
    alone = [(time["events"] + time["again"]) / 2 for time in times]
    ratios = [one / other for one, other in zip(beyond, alone, strict=True)]
    print(f"check of {nodes:,} nodes, {large.stat().st_size // 1024} KiB, beyond its own start:")
    print(f"  {shown([second * 1000 for second in beyond], ' ms')}")
    print(f"  as a ratio to reading its YAML's events, at most 10: {shown(ratios)}")
    print(f"  reading them again: {shown([time['again'] / time['events'] for time in times])}")
    return median(beyond)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="agentflow-bench-") as name:
        folder = Path(name)
        (folder / "tools").mkdir()
        (folder / "tools" / "__init__.py").touch()
        (folder / "tools" / "looking.py").write_text(TOOLS)
        starts(args.rounds + 4)
        size(folder, "realistic", 1_000, BLOCK, args.rounds)
        small = size(folder, "terse", 1_000, TERSE, args.rounds)
        large = size(folder, "terse", 10_000, TERSE, max(args.rounds // 2, 3))
        print(f"ten times the nodes: {large / small:.1f} times the time")


if __name__ == "__main__":
    main()
