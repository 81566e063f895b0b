"""A run with a journal in memory: what is in it is replayed, in order, and nothing is done twice."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from agentflow import ToolError
from agentflow.runtime.agents import ToolCall, turn
from agentflow.runtime.errors import ModelRefused, ModelUnavailable, NodeError
from agentflow.runtime.graph import Agent, Limits, Model, Retry
from agentflow.runtime.replies import Replies
from agentflow.runtime.schema import bind
from agentflow.runtime.spending import Counted, Meter, Spent, Used
from agentflow.types import Json

MODEL = Model("default", "gemini-2.5-flash")


class Suspended(BaseException):
    """Like the engine's own: this attempt ends here, the next one replays the journal."""


class Diverged(AssertionError):
    """The replay asked for something else than the journal holds."""


@dataclass
class Outcome:
    value: Json = None
    error: str | None = None


@dataclass
class Run:
    """With `suspending`, every attempt ends after one new entry, as with an inactivity timeout of zero."""

    agents: Sequence[Agent]
    replies: Replies | None = None
    path: str = "answer"
    scope: Mapping[str, Json] = field(default_factory=lambda: {"input": {}, "run": {}})
    suspending: bool = False
    handoff_limit: int = 20
    journal: list[tuple[str, Json]] = field(default_factory=list)
    executed: Counter[str] = field(default_factory=Counter)
    batches: list[list[str]] = field(default_factory=list)
    position: int = 0
    handoffs: int = 0
    waiting: bool = False
    spent: Spent = field(default_factory=Spent)
    meters: list[Meter] = field(default_factory=list)

    @property
    def invocation(self) -> Any:
        return SimpleNamespace(graph=SimpleNamespace(agents={agent.name: agent for agent in self.agents}), now=0.0)

    async def turn(self, agent: Agent, prompt: str = "hello", returns: Any = None) -> Json:
        """The turn's answer, over as many attempts as it takes."""
        while True:
            self.position = self.handoffs = 0
            self.spent = Spent()
            self.meters = [Meter("the run", Limits(handoffs=self.handoff_limit), self.spent)]
            self.batches = []
            try:
                return await asyncio.wait_for(turn(self, agent, prompt, returns=returns), 20)
            except Suspended:
                continue

    async def entry(self, name: str, closure: Callable[[], Awaitable[Json]]) -> Json:
        assert not self.waiting, "two coroutines wait for the engine at once"
        self.waiting = True
        try:
            await asyncio.sleep(0)
            if self.position < len(self.journal):
                known, value = self.journal[self.position]
                if known != name:
                    raise Diverged(f"{known} in the journal, {name} asked for")
            else:
                self.executed[name] += 1
                value = json.loads(json.dumps(await closure()))
                self.journal.append((name, value))
                if self.suspending:
                    raise Suspended
            self.position += 1
            return value
        finally:
            self.waiting = False

    async def model_call(
        self, address: str, model: Model, call: Callable[[int], Awaitable[dict[str, Any]]], retry: Retry, asked: object
    ) -> Any:
        self.count("model_calls")

        async def tries() -> Json:
            for attempt in range(1, (retry.attempts or 1) + 1):
                try:
                    return {"value": await call(attempt)}
                except ModelRefused as refused:
                    return {"failed": str(refused), "code": refused.code}
                except ModelUnavailable as unavailable:
                    last = unavailable
            return {"failed": str(last), "code": last.code}

        outcome: Any = await self.entry(address, tries)
        if "failed" in outcome:
            raise NodeError("model", outcome["failed"], code=outcome["code"])
        return outcome["value"]

    async def tool_batch(self, calls: Sequence[ToolCall]) -> list[Outcome]:
        self.count("tool_calls", len(calls))
        self.batches.append([call.address for call in calls])

        async def one(call: ToolCall) -> Json:
            arguments = bind(call.tool.does, call.args, idempotency_key=call.address)
            try:
                result = call.tool.does(**arguments)
                return {"value": await result if asyncio.iscoroutine(result) else result}
            except ToolError as error:
                return {"error": str(error)}

        outcomes: list[Any] = [await self.entry(call.address, partial(one, call)) for call in calls]
        return [Outcome(outcome.get("value"), outcome.get("error")) for outcome in outcomes]

    def count_handoff(self) -> None:
        self.count("handoffs")
        self.handoffs += 1

    def count(self, name: Counted, amount: int = 1) -> None:
        for meter in self.meters:
            meter.check(name, self.path, amount)
        self.spent.add({name: amount})

    @contextmanager
    def working(self, agent: Agent, before: Used) -> Iterator[None]:
        meter = Meter(agent.name, agent.limits, self.spent, dict(before.spent))
        self.meters.append(meter)
        try:
            yield
        finally:
            self.meters.remove(meter)
            before.spent = meter.used()


def replies(folder: Path, text: str) -> Replies:
    path = folder / "g.replies.yaml"
    path.write_text(text, encoding="utf-8")
    return Replies(path)


async def both_ways(make: Callable[[], Run], agent: Agent, prompt: str = "hello", returns: Any = None) -> Run:
    """Plays the turn straight, replays it whole, and plays it with a suspension at every entry: all must agree."""
    straight = make()
    answer = await straight.turn(agent, prompt, returns)
    done = straight.executed.copy()
    assert await straight.turn(agent, prompt, returns) == answer
    assert straight.executed == done, "a replay did something again"
    cut = make()
    cut.suspending = True
    assert await cut.turn(agent, prompt, returns) == answer
    assert cut.executed == done and set(done.values()) <= {1}
    assert cut.journal == straight.journal
    straight.scope = {**straight.scope, "answer": answer}
    return straight
