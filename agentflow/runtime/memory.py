"""What an object keeps under its key: its conversation, its state, and the message that it works on.

The conversation is not written whole at every turn. `session` holds its latest messages and what is counted; every
CHUNK messages become a key of their own, `session:<n>`, which is written once. A turn reads `session` and the few
chunks that a model is to see, and writes `session`. `pending` is the message in hand: whatever happens to the turn,
the next one finds it. `state.<name>` are the values of the state.

Formats are versioned by FORMAT, since an object outlives revisions.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import restate
from restate.serde import BytesSerde

from agentflow.runtime import conversations
from agentflow.runtime.conversations import Conversation, Entry
from agentflow.runtime.graph import Graph
from agentflow.runtime.invocation import Future, Invocation
from agentflow.runtime.kept import Kept
from agentflow.types import Json

FORMAT = 1
CHUNK = 8  # messages
SESSION, PENDING = "session", "pending"

Reader = restate.ObjectContext | restate.ObjectSharedContext


@dataclass(eq=False)
class Head:
    """What `session` holds: of all messages the latest, which fill no chunk yet, and where the rest is."""

    turns: int = 0
    count: int = 0  # messages
    tail: list[Entry] = field(default_factory=list)
    summary: str | None = None
    summarized: int = 0  # messages that the summary is of, from the first on
    answers: dict[str, int] = field(default_factory=dict)  # by agent
    v: int = FORMAT

    @property
    def chunks(self) -> int:
        """Messages before the tail, in chunks."""
        return (self.count - len(self.tail)) // CHUNK


def names_of_state(graph: Graph) -> list[str]:
    return [] if graph.state is None else list(graph.state.model_fields)


def chunk_key(number: int) -> str:
    return f"{SESSION}:{number}"


def state_key(name: str) -> str:
    return f"state.{name}"


def read(ctx: Reader, name: str) -> Awaitable[bytes | None]:
    return ctx.get(name, serde=BytesSerde())


def put(ctx: restate.ObjectContext, name: str, value: object) -> None:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    ctx.set(name, text.encode(), serde=BytesSerde())


async def read_all(ctx: Reader, *names: str, invocation: Invocation | None = None) -> dict[str, Any]:
    """The values of several keys, asked for together; those that there are. Cancels are noted, and waited through."""
    futures = {name: cast(Future, read(ctx, name)) for name in names}
    waiting = list(futures.values())
    while waiting:
        done = await (invocation.outlast(*waiting) if invocation is not None else _some(*waiting))
        waiting = [future for future in waiting if future not in done]
    found = {name: await future for name, future in futures.items()}
    return {name: json.loads(value) for name, value in found.items() if value is not None}


async def _some(*futures: Future) -> list[Future]:
    done, _ = await restate.wait_completed(*futures)
    return done


async def head_of(ctx: Reader) -> tuple[Head, dict[str, Any] | None]:
    """The session's head, and the message in hand."""
    found = await read_all(ctx, SESSION, PENDING)
    return Head(**found.get(SESSION, {})), found.get(PENDING)


async def messages(ctx: Reader, head: Head, first: int, last: int) -> list[Entry]:
    """The messages from `first` up to, and without, `last`."""
    numbers = [number for number in range(first // CHUNK, head.chunks) if number * CHUNK < last]
    found = await read_all(ctx, *map(chunk_key, numbers))
    entries = [entry for number in numbers for entry in found.get(chunk_key(number), ())]  # a reset may be faster
    begin = numbers[0] * CHUNK if numbers else head.chunks * CHUNK
    return [*entries, *head.tail][first - begin : last - begin]


class Memory:
    """The memory of one turn: recalled when it begins, kept when it ends."""

    def __init__(self, graph: Graph, ctx: restate.ObjectContext, message: str, number: int | None) -> None:
        self.graph = graph
        self.ctx = ctx
        self.message = message  # as the history shows it, where no agent gets to hear it
        self.number = number  # of the message, where a newer one interrupts
        self.head = Head()
        self.session = Conversation()
        self.last_run: dict[str, Any] = {}
        self.began = 0.0

    async def recall(self, invocation: Invocation) -> None:
        """Reads all that the turn needs, and writes down that it has begun."""
        names = names_of_state(self.graph)
        keys = [SESSION, PENDING, "run", *map(state_key, names)]
        found = await read_all(self.ctx, *keys, invocation=invocation)
        self.head = Head(**found.get(SESSION, {}))
        self.last_run = found.get("run", {})
        self.head.turns += 1
        self.began = invocation.now
        invocation.run["turn"] = self.head.turns
        if (left := found.get(PENDING)) is not None:
            self._bury(left)
        if self.graph.state is not None:
            values = {name: found[key] for name in names if (key := state_key(name)) in found}
            invocation.kept = Kept.read(self.graph.state, values, lambda name, value: self._put_state(name, value))
        about: dict[str, Json] = {"id": invocation.ctx.request().id, "turn": self.head.turns, "text": self.message}
        if self.number is not None:
            about["number"] = self.number
        put(self.ctx, PENDING, {**about, "at": round(invocation.now, 3)})
        if self.number is not None:
            await self._give_way(self.number, invocation)
        await self._hear(invocation)

    async def _give_way(self, number: int, invocation: Invocation) -> None:
        """To a message that came while this one waited: it could not yet be cancelled, and so cancels itself."""
        asked = self.ctx.generic_call(f"{self.graph.name}.door", "newest", b"", key=self.ctx.key())
        await invocation.outlast(asked)
        if json.loads(await asked) > number:
            invocation.note_cancel()

    def _put_state(self, name: str, value: Json) -> None:
        put(self.ctx, state_key(name), value)

    def _bury(self, left: Mapping[str, Any]) -> None:
        """A turn before this one was killed, and could not say so itself."""
        dead = Conversation(before=self.head.count)
        dead.add(conversations.said_by_user(left["text"], left["at"]))
        dead.end(RuntimeError("killed"))
        self._append(dead.fresh, left["turn"])

    async def _hear(self, invocation: Invocation) -> None:
        """The part of the conversation that a model is to see."""
        session = self.graph.session
        if session is None:
            return
        # What a summary is due of may be a turn more than a model is ever given; where it keeps failing, no more.
        wanted = session.keep if session.summarize_after is None else 2 * session.summarize_after
        first = max(self.head.summarized, self.head.count - wanted)
        self.session.heard = await self._entries(invocation, first)
        self.session.summary, self.session.before = self.head.summary, first
        self._trim(wanted)
        invocation.conversations[SESSION] = self.session

    def _trim(self, most: int) -> None:
        """Leaves at most so many messages to be heard."""
        self._drop(conversations.first_kept(self.session.heard, most))

    def _drop(self, number: int) -> None:
        session = self.session
        session.heard = session.heard[number:]
        session.before += number
        session.answers = _less(self.head.answers, conversations.answers(session.heard))

    async def _entries(self, invocation: Invocation, first: int) -> list[Entry]:
        head = self.head
        numbers = range(first // CHUNK, head.chunks)
        found = await read_all(self.ctx, *map(chunk_key, numbers), invocation=invocation)
        entries = [entry for number in numbers for entry in found[chunk_key(number)]]
        begin = numbers.start * CHUNK if numbers else head.chunks * CHUNK
        return [*entries, *head.tail][max(0, first - begin) :]

    # ------------------------------------------------------------ the summary

    async def prepare(self, invocation: Invocation, scope: dict[str, Any]) -> None:
        """Has what is overdue summarized: a durable model step. Where that fails, the turn goes on without."""
        entries = self.overdue()
        if not entries:
            return
        from agentflow.runtime.summaries import summarize  # ADK takes a second to import

        self.summarize(await summarize(invocation, scope, self.session.summary, entries), len(entries))

    def overdue(self) -> list[Entry]:
        """What is to be summarized before the turn goes on: all that a model would be given, but the last `keep`."""
        session, head = self.graph.session, self.head
        if session is None or session.summarize_after is None or head.count - head.summarized < session.summarize_after:
            return []
        return self.session.heard[: conversations.first_kept(self.session.heard, session.keep)]

    def summarize(self, summary: str | None, number: int) -> None:
        """Puts a summary in the place of so many messages, for the models; the history keeps them. None: it failed."""
        session = self.graph.session
        assert session is not None and session.summarize_after is not None
        if summary is None:
            self._trim(session.summarize_after)
            return
        self._drop(number)
        self.head.summary = self.session.summary = summary
        self.head.summarized = self.session.before
        self._write()

    # ------------------------------------------------------------ the end

    def keep(self, error: BaseException | None = None, undone: str = "") -> None:
        """Adds what was said to the conversation. A turn without an answer keeps the message, and says why."""
        fresh = self.session.fresh
        if error is not None and self.graph.session is not None:
            if not fresh:
                self.session.add(conversations.said_by_user(self.message, self.began))
            if fresh[-1].get("outcome") is None:
                self.session.end(error)
            if undone:
                part = fresh[-1]["parts"][0]
                part["text"] = f"{part['text'].rstrip('.')}. {undone}"
        self._append(fresh, self.head.turns)
        self._write()
        self.ctx.clear(PENDING)

    def _append(self, entries: list[Entry], turn: int) -> None:
        head = self.head
        for name, number in conversations.answers(entries).items():
            head.answers[name] = head.answers.get(name, 0) + number
        head.tail += [{"turn": turn, **entry} for entry in entries]
        head.count += len(entries)
        while len(head.tail) >= CHUNK:
            at = (head.count - len(head.tail)) // CHUNK
            put(self.ctx, chunk_key(at), head.tail[:CHUNK])
            head.tail = head.tail[CHUNK:]

    def _write(self) -> None:
        put(self.ctx, SESSION, {name: value for name, value in vars(self.head).items() if value})


def _less(all_of: Mapping[str, int], some: Mapping[str, int]) -> dict[str, int]:
    return {name: number - some.get(name, 0) for name, number in all_of.items() if number > some.get(name, 0)}
