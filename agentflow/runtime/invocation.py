"""What one handler of the engine knows of a run, and the one place where it waits.

Everything waits through `Invocation.wait`, in one coroutine: the SDK's context bears one waiter. What
waiting itself raises is a cancel, while what a future raises is its step's own failure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import restate
from restate.exceptions import TerminalError

from agentflow.durations import milliseconds
from agentflow.runtime import budgets, clock, steps
from agentflow.runtime.conversations import Conversation
from agentflow.runtime.errors import Cancelled, TimedOut
from agentflow.runtime.graph import Graph
from agentflow.runtime.kept import Kept
from agentflow.runtime.operations import Listing
from agentflow.runtime.report import Report
from agentflow.runtime.spending import Counted, Meter, Spent
from agentflow.runtime.steps import Stop
from agentflow.types import Json

if TYPE_CHECKING:
    from agentflow.runtime.replies import Replies
    from agentflow.runtime.saga import Entry

Future = restate.RestateDurableFuture[Any]


class Limit:
    """How long something may take, in milliseconds, and by this process's clock when steps break off by themselves."""

    def __init__(self, length: int, since: float) -> None:
        self.length = length
        self.last = clock.last(since, length / 1000)


@dataclass(eq=False)
class Alarm:
    """A durable timer in force, and whose it is."""

    future: Future
    path: str
    duration: str
    due: float  # seconds since 1970
    limit: Limit


@dataclass(eq=False)
class Invocation:
    """One handler's share of a run: the engine's context and what has been learnt from its journal."""

    ctx: restate.Context
    graph: Graph
    run: dict[str, Json]  # what templates see as `run`: id, key, graph, started
    report: Report
    now: float  # seconds since 1970 of the latest thing known to have happened
    undo: list[Entry] = field(default_factory=list)
    undone: list[dict[str, Json]] = field(default_factory=list)
    not_undone: list[dict[str, Json]] = field(default_factory=list)  # with why
    spent: Spent = field(default_factory=Spent)
    alarms: list[Alarm] = field(default_factory=list)
    replies: Replies | None = None
    listed: dict[Listing, Json] = field(default_factory=dict)  # what servers told of their tools
    cancelled: bool = False
    given: Limit | None = None  # of the alarms of who called this invocation
    joined: str | None = None  # the traceparent that the run, or this invocation of it, has from its caller
    kept: Kept | None = None  # of an object
    conversations: dict[str, Conversation] = field(default_factory=dict)
    meters: list[Meter] = field(default_factory=list)  # the limits in force: the run's, and of agents at work
    called: bool = False  # by another invocation of the run, which may have called others too

    def __post_init__(self) -> None:
        self.meters.append(Meter("the run", self.graph.limits, self.spent))

    async def reserve(self, name: Counted, node: str, amount: int = 1, *, beside: bool = False) -> None:
        """Counts calls like `count`; from the run's budget, where others may be spending (`beside`) and it has one."""
        self.afford(name, node, amount)
        if self.graph.exact and (beside or self.called):
            await budgets.take(self, name, node, amount)
        self.spent.add({name: amount})

    async def use(self, used: Mapping[str, float]) -> None:
        """Counts what a call has turned out to take."""
        self.spent.add(used)
        if self.graph.exact and self.called:
            await budgets.use(self, used)

    def count(self, name: Counted, node: str, amount: int = 1) -> None:
        """Counts calls that are about to be made. Raises the terminal error of a limit that they would exceed."""
        self.afford(name, node, amount)
        self.spent.add({name: amount})

    def afford(self, name: Counted, node: str, amount: int = 1) -> None:
        """Raises the terminal error of a limit that so many more calls would exceed."""
        for meter in self.meters:
            meter.check(name, node, amount)

    async def wait(self, *futures: Future) -> list[Future]:
        """Waits until at least one is done, and returns those that are.

        Raises Cancelled, or TimedOut when an alarm in force goes off first.
        """
        if self.report.trace is not None:
            await self.report.trace.pause()
        if self.cancelled:  # noted while something had to be finished first
            raise Cancelled
        self.report.flush()
        alarms = [alarm.future for alarm in self.alarms]
        try:
            done, _ = await restate.wait_completed(*futures, *alarms)
        except TerminalError:
            self.note_cancel()
            raise Cancelled from None
        finally:
            if self.report.trace is not None:
                self.report.trace.goes_on()
        ready = [future for future in futures if future in done]
        if not ready:
            rung = next(alarm for alarm in self.alarms if alarm.future in done)
            self.happened(rung.due)
            raise TimedOut(rung)
        return ready

    async def outlast(self, *futures: Future) -> list[Future]:
        """Waits like `wait`, through cancels and alarms: for effects whose outcome must be known."""
        self.report.flush()
        while True:
            try:
                done, _ = await restate.wait_completed(*futures)
            except TerminalError:
                self.note_cancel()
            else:
                if self.report.trace is not None:
                    self.report.trace.goes_on()
                return done

    def alarm(self, path: str, duration: str) -> Alarm:
        """Sets a durable timer, which every wait heeds until it is removed from `alarms`."""
        length = milliseconds(duration)
        sleep = clock.sleep(self.ctx, length)
        alarm = Alarm(sleep, path, duration, self.now + length / 1000, Limit(length, self.now))
        self.alarms.append(alarm)
        return alarm

    def stop(self) -> Stop:
        """What a step that starts now is told."""
        return Stop(last=min((limit.last for limit in self._limits()), default=math.inf))

    def limit(self) -> int | None:
        """The shortest time, in milliseconds, that what is called from here may take."""
        return min((limit.length for limit in self._limits()), default=None)

    def _limits(self) -> list[Limit]:
        return [alarm.limit for alarm in self.alarms] + ([self.given] if self.given is not None else [])

    def traceparent(self, path: str) -> str | None:
        """What tells an invocation that the node at `path` calls where it stands in a trace, if the run is in one."""
        trace = self.report.trace
        return self.joined if trace is None else trace.traceparent(trace.around(path))

    def note_cancel(self) -> None:
        self.cancelled = True

    @property
    def address(self) -> str:
        """The run's part of the names of what it opens elsewhere: its key, in an object with the number of the turn."""
        key = self.run.get("key") or self.run["id"]
        return f"{key}.{self.run['turn']}" if "turn" in self.run else str(key)

    def conversation(self, name: str) -> Conversation:
        """What nodes of this run share under a name; begun when it is first asked for."""
        return self.conversations.setdefault(name, Conversation())

    def keep(self, outcome: Mapping[str, Any]) -> None:
        """Writes what a step, or an invocation called from here, has changed in the object's state."""
        if self.kept is not None and outcome.get("state"):
            self.kept.write(outcome["state"])

    async def learn_the_time(self, path: str) -> None:
        """When what stands at `path` ended, of which its own answer says nothing. Through cancels and alarms."""
        ended = steps.journaled(self.ctx, f"{path}.ended", steps.now)
        await self.outlast(ended)
        self.happened((await ended)["at"])

    def happened(self, at: float) -> None:
        self.now = max(self.now, at)
