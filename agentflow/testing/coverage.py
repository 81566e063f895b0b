"""What of the graphs the cases have reached: each node, each case of a switch, and each way in which a node can end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from agentflow import ir
from agentflow.codegen.invocations import everything
from agentflow.testing.cases import static
from agentflow.testing.told import Result

Item = tuple[str, str]  # a node's path, and what became of it


def report(programs: Mapping[Path, ir.Program], results: Sequence[Result]) -> str:
    """For each graph that was tested how much is covered, and a line for each node of which something is not."""
    seen = _seen(results)
    text = ""
    for program in programs.values():
        items = list(_items(program))
        reached = seen.get(program.name, set())
        missed = [item for item in items if item not in reached]
        share = 100 if not items else (len(items) - len(missed)) * 100 // len(items)
        text += f"\ncoverage of {program.name}: {len(items) - len(missed)} of {len(items)} ({share} %)\n"
        names = {path: [what for at, what in missed if at == path] for path, _ in missed}
        width = max(map(len, names), default=0)
        text += "".join(f"  {path:<{width}}  never {' or '.join(what)}\n" for path, what in names.items())
    return text + ("\n" if text else "")


def _items(program: ir.Program) -> Iterator[Item]:
    """Everything that can become of each node, as far as its author has foreseen it."""
    caught = {node.path for node in everything(program) if node.on_error is not None}
    for node in everything(program):
        if isinstance(node.op, ir.Gate):
            ways = ["approved", "rejected"] + (["expired"] if node.op.timeout is not None else [])
        elif isinstance(node.op, ir.Question):
            ways = ["answered"] + (["expired"] if node.op.timeout is not None else [])
        else:
            ways = ["failed" if isinstance(node.op, ir.Fail) else "succeeded"]
        if node.when is not None:
            ways.append("skipped")
        if node.path in caught and "failed" not in ways:
            ways.append("failed")
        yield from ((node.path, way) for way in ways)


def _seen(results: Sequence[Result]) -> dict[str, set[Item]]:
    found: dict[str, set[Item]] = {}
    for result in results:
        for graph, nodes in result.outcome.runs:
            mine = found.setdefault(graph, set())
            mine |= {(static(path, result.case.nodes), str(node.get("state"))) for path, node in nodes.items()}
        for graph, path, outcome in result.outcome.decided:
            found.setdefault(graph, set()).add((static(path, result.case.nodes), outcome))
    return found
