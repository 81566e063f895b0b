"""Compensation: the list of what was done, and its undoing in reverse.

The list lives in the handler's memory and is rebuilt by replay: a step's entry is written before it
acts, and its outcome, with the time of its completion, comes from the journal. A branch never
undoes on its own behalf; it hands its entries up, and the owner sorts them all by that time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from agentflow.runtime import messages, steps, templates
from agentflow.runtime.errors import TemplateError
from agentflow.runtime.evaluation import OUTCOMES
from agentflow.runtime.graph import Undo
from agentflow.types import Json

if TYPE_CHECKING:
    from agentflow.runtime.invocation import Invocation


MESSAGE = ""  # in the place of the tool: a message was taken, and undoing that gives it back


@dataclass(eq=False)
class Entry:
    """One effect that has a compensation. JSON, since it crosses invocations.

    `at` is when it completed, in seconds since 1970; None while its outcome is not known.
    """

    tool: str
    node: str
    key: str
    on: str
    args: dict[str, Any]  # templates over `scope`
    scope: dict[str, Any]
    at: float | None = None
    unknown: bool = False

    @staticmethod
    def of(undo: Undo, node: str, key: str, call: Mapping[str, Json], scope: Mapping[str, Any]) -> Entry:
        kept = {name: scope[name] for name in undo.uses if name in scope}
        kept.update(args=dict(call), result=scope.get("result") if "result" in undo.uses else None)
        return Entry(undo.tool.name, node, key, undo.on, dict(undo.args), kept)

    @staticmethod
    def of_message(node: str, taken: Mapping[str, Json], at: float) -> Entry:
        """A message that a node has taken: its `name`, `seq`, `data` and `at`."""
        return Entry(MESSAGE, node, "", "completed", dict(taken), {}, at)

    def complete(self, result: Json, at: float) -> None:
        self.scope["result"] = result
        self.at = at

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def settle(undo: list[Entry], entry: Entry, outcome: steps.Outcome) -> None:
    """Takes a step's outcome into its entry, or the entry out of the list where there is nothing to undo."""
    if "value" in outcome:
        entry.complete(outcome["value"], outcome["at"])
        return
    fail(undo, entry, outcome["at"], unknown=outcome["failed"]["unknown"])


def fail(undo: list[Entry], entry: Entry, at: float, *, unknown: bool) -> None:
    """The effect did not complete: it stays in the list where that is to be undone too, or is not known."""
    entry.at, entry.unknown = at, unknown
    if entry.on == "completed" and not unknown:
        undo.remove(entry)


def effects(entries: Sequence[Entry]) -> list[Entry]:
    """Without the messages: a run that has ended needs none back."""
    return [entry for entry in entries if entry.tool != MESSAGE]


async def undo(invocation: Invocation, entries: Sequence[Entry], error: Mapping[str, Json]) -> None:
    """Runs the compensations of `entries`, the latest first; the invocation keeps what became of them.

    Each is one durable step with a key of its own, and goes on through a cancel. Messages go back to their queue.
    """
    order = sorted(enumerate(entries), key=lambda item: (item[1].at or 0, item[0]), reverse=True)
    for _, entry in order:
        if entry.tool == MESSAGE:
            await messages.give_back(invocation, entry.args)
            continue
        about: dict[str, Json] = {"node": entry.node, "tool": entry.tool, "key": entry.key}
        problem = await _undo_one(invocation, entry, error)
        if problem is None:
            invocation.undone.append(about)
        else:
            invocation.not_undone.append({**about, "error": problem})


async def _undo_one(invocation: Invocation, entry: Entry, error: Mapping[str, Json]) -> str | None:
    """Why it could not be undone, or None."""
    if entry.unknown and entry.on == "completed":
        return "whether it took effect is not known"
    tool = invocation.graph.tools.get(entry.tool)
    if tool is None:
        return f"this revision has no tool {entry.tool!r}"
    try:
        args = templates.value(entry.args, {**entry.scope, "error": dict(error), OUTCOMES: {}})
    except TemplateError as problem:
        return str(problem)
    assert isinstance(args, dict)
    stop, trace = steps.Stop(), invocation.report.trace

    async def call() -> steps.Outcome:
        return await steps.tool_step(tool, args, f"{entry.key}:undo", tool.retry, stop, invocation.kept)

    closure = call if trace is None else trace.within("undo", entry.node, call)
    future = steps.journaled(invocation.ctx, f"undo {entry.node}", closure)
    await invocation.outlast(future)
    outcome = await future
    invocation.happened(outcome["at"])
    if trace is not None:
        trace.tool(entry.node, tool, args, outcome, undo=True)
    invocation.keep(outcome)
    message: str | None = outcome["failed"]["message"] if "failed" in outcome else None
    return message
