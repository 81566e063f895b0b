"""Offline replies: what a model answers when there is none, from `<graph>.replies.yaml`.

They keep no state. Which entry answers follows from the conversation (how many answers the agent has given in it)
and from the number of the try, so restarts and replays see the same. Nothing here imports ADK.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from agentflow.durations import milliseconds
from agentflow.runtime import clock, rehearsal
from agentflow.runtime.answers import Response, failure
from agentflow.runtime.errors import ModelRefused
from agentflow.runtime.graph import Graph
from agentflow.source import Source, read
from agentflow.toolnames import offered
from agentflow.types import Json

TRANSFER = "transfer_to_agent"
_VERBS = ("say", "call", "calls", "handoff", "error")
_KEYS = (*_VERBS, "if", "times", "delay")
_Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Reply:
    """One entry. `where` is its file, line and place, for errors."""

    where: str
    kind: Literal["say", "call", "error"]
    say: Json = None
    calls: tuple[tuple[str, dict[str, Json]], ...] = ()
    error: int = 0
    times: int | None = None
    delay: int = 0  # ms
    condition: str | bool = True

    def holds(self, prompt: str, turn: int, step: int) -> bool:
        if isinstance(self.condition, bool):
            return self.condition
        from agentflow.runtime import templates  # only where an entry has a condition

        try:
            return bool(templates.expression(self.condition, {"prompt": prompt, "turn": turn, "step": step}))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the file is to blame
            raise ModelRefused(f"{self.where}: if: {error}") from None


@dataclass(frozen=True)
class Replies:
    """The lists of a file, by node or agent. It is read when a model is called, and again when it has changed."""

    path: Path
    given: Mapping[str, Sequence[Reply]] = field(default_factory=dict)  # in the place of the file's
    graph: str | None = None  # in a test case: then names may have it, or the run's place, before them

    async def answer(
        self, names: Sequence[str], *, prompt: str, turn: int, attempt: int, ids: str, step: int | None = None
    ) -> Response:
        """What is answered in this turn. Of `names`, the first that has a list counts; `attempt` counts from 1.

        `turn` counts the agent's answers in the whole conversation, `step` those since its last message.

        Raises ModelUnavailable or ModelRefused where an entry says so, and ModelRefused where the file is wrong.
        """
        lists = self._lists()
        name = next((name for name in self._qualified(names) if name in lists), None)
        if name is None:
            wanted = " or ".join(f'"{name}"' for name in dict.fromkeys(names[-2:]))
            raise ModelRefused(f"offline, and {self.path.name} has no replies for {wanted}")
        reply = chosen(
            [reply for reply in lists[name] if reply.holds(prompt, turn, turn if step is None else step)], turn, attempt
        )
        if reply is None:
            raise ModelRefused(f'{self.path.name}: no reply of "{name}" holds in turn {turn} of this conversation')
        await clock.pause(reply.delay / 1000)
        if reply.kind == "error":
            raise failure(f"{reply.where} answers with error {reply.error}", reply.error)
        return _response(reply, ids)

    def _qualified(self, names: Sequence[str]) -> Sequence[str]:
        if self.graph is None:
            return names
        place = rehearsal.place()
        return [*([f"{place}/{names[0]}"] if place else []), *(f"{self.graph}/{name}" for name in names), *names]

    def _lists(self) -> Mapping[str, Sequence[Reply]]:
        try:
            changed = self.path.stat().st_mtime_ns
        except OSError:
            if self.given:
                return self.given
            raise ModelRefused(f"offline, and there is no {self.path.name} to say what models answer") from None
        return {**_load(self.path, changed), **self.given}


def replies_for(graph: Graph) -> Replies | None:
    """The graph's replies where the service runs offline; else None."""
    if os.environ.get("AGENTFLOW_OFFLINE") != "1":
        return None
    replies = _at(os.environ.get(f"AGENTFLOW_REPLIES_{graph.name.upper()}", f"{graph.name}.replies.yaml"))
    case = rehearsal.current()
    return replies if case is None else replace(replies, given=case.replies, graph=graph.name)


@lru_cache(maxsize=64)
def _at(path: str) -> Replies:
    return Replies(Path(path))


class Entry(Protocol):
    @property
    def times(self) -> int | None: ...


_Entry = TypeVar("_Entry", bound=Entry)


def chosen(held: Sequence[_Entry], turn: int, attempt: int) -> _Entry | None:
    """The entry at this turn, the last one repeating. Errors with `times` precede an answer and take no turn."""
    answers: list[_Entry] = []
    before: list[list[_Entry]] = [[]]
    for reply in held:
        if reply.times is None:
            answers.append(reply)
            before.append([])
        else:
            before[-1].append(reply)
    passed = 0
    for error in before[turn] if turn < len(before) else []:
        passed += error.times or 0
        if attempt <= passed:
            return error
    return answers[min(turn, len(answers) - 1)] if answers else None


def _response(reply: Reply, ids: str) -> Response:
    parts: list[Json] = []
    if reply.kind == "say":
        parts.append({"text": reply.say if isinstance(reply.say, str) else json.dumps(reply.say, ensure_ascii=False)})
    for number, (tool, args) in enumerate(reply.calls, 1):
        parts.append({"function_call": {"id": f"adk-{ids}-{number}", "name": tool, "args": args}})
    return {"content": {"role": "model", "parts": parts}}


# ---------------------------------------------------------------- reading


@lru_cache(maxsize=64)
def _load(path: Path, changed: int) -> dict[str, tuple[Reply, ...]]:
    source, problems = read(path, path.name)
    for problem in problems:
        if problem.code == "empty-file":
            return {}
        raise ModelRefused(f"{path.name}:{problem.span.line}: {problem.message}")
    return ReplyReader(source).lists() if source else {}


def read_lists(source: Source, place: _Place, lists: Mapping[str, Json]) -> dict[str, Sequence[Reply]]:
    """The lists that stand at a place of another file. Raises ModelRefused at the first thing that is wrong."""
    reader = ReplyReader(source)
    return {name: reader.list((*place, name), replies) for name, replies in lists.items()}


class ReplyReader:
    """Makes replies of the file's data. Raises ModelRefused at the first thing that is wrong, saying where."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def wrong(self, place: _Place, message: str) -> ModelRefused:
        return ModelRefused(f"{self.where(place)}: {message}")

    def where(self, place: _Place) -> str:
        steps = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).lstrip(".")
        return f"{self.source.name}:{self.source.span(place).line}{f' ({steps})' if steps else ''}"

    def lists(self) -> dict[str, tuple[Reply, ...]]:
        data = self.source.data
        if not isinstance(data, dict):
            raise self.wrong((), "expected a mapping from agents and nodes to lists of replies")
        return {name: self.list((name,), replies) for name, replies in data.items()}

    def list(self, place: _Place, replies: Json) -> tuple[Reply, ...]:
        if not isinstance(replies, list) or not replies:
            raise self.wrong(place, "expected a list of replies")
        return tuple(self.reply((*place, index), reply) for index, reply in enumerate(replies))

    def reply(self, place: _Place, entry: Json) -> Reply:
        if not isinstance(entry, dict):
            raise self.wrong(place, f"expected a mapping with one of {', '.join(_VERBS)}")
        for key in entry:
            if key not in _KEYS:
                raise self.wrong((*place, key), f'unknown key "{key}": one of {", ".join(_KEYS)}')
        verbs = [key for key in _VERBS if key in entry]
        if len(verbs) != 1:
            raise self.wrong(
                place, f"expected exactly one of {', '.join(_VERBS)}, found {' and '.join(verbs) or 'none'}"
            )
        if "times" in entry and verbs[0] != "error":
            raise self.wrong((*place, "times"), "times belongs to error")
        return Reply(
            where=self.where(place),
            kind="say" if verbs == ["say"] else "error" if verbs == ["error"] else "call",
            say=entry.get("say"),
            calls=self.calls(place, entry),
            error=self.whole((*place, "error"), entry["error"], 400, 599) if "error" in entry else 0,
            times=self.whole((*place, "times"), entry["times"], 1, 1000) if "times" in entry else None,
            delay=self.delay((*place, "delay"), entry["delay"]) if "delay" in entry else 0,
            condition=self.condition((*place, "if"), entry.get("if", True)),
        )

    def calls(self, place: _Place, entry: dict[str, Json]) -> tuple[tuple[str, dict[str, Json]], ...]:
        if "handoff" in entry:
            if not isinstance(entry["handoff"], str):
                raise self.wrong((*place, "handoff"), "expected the name of an agent")
            return ((TRANSFER, {"agent_name": entry["handoff"]}),)
        if "call" in entry:
            return (self.call((*place, "call"), entry["call"]),)
        calls = entry.get("calls", [])
        if not isinstance(calls, list) or ("calls" in entry and not calls):
            raise self.wrong((*place, "calls"), "expected a list of {tool, with}")
        return tuple(self.call((*place, "calls", index), call) for index, call in enumerate(calls))

    def call(self, place: _Place, call: Json) -> tuple[str, dict[str, Json]]:
        if not isinstance(call, dict) or not isinstance(tool := call.get("tool"), str) or set(call) - {"tool", "with"}:
            raise self.wrong(place, "expected {tool, with}")
        args = call.get("with")
        if args is not None and not isinstance(args, dict):
            raise self.wrong((*place, "with"), "expected a mapping of arguments")
        return offered(tool), args or {}

    def whole(self, place: _Place, number: Json, least: int, most: int) -> int:
        if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
            raise self.wrong(place, f"expected a whole number from {least} to {most}")
        return number

    def delay(self, place: _Place, duration: Json) -> int:
        try:
            return milliseconds(duration if isinstance(duration, str) else "", least=0)
        except ValueError:
            raise self.wrong(place, "expected a duration like 200ms") from None

    def condition(self, place: _Place, condition: Json) -> str | bool:
        if not isinstance(condition, (str, bool)):
            raise self.wrong(place, "expected an expression over prompt and turn")
        return condition
