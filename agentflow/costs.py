"""What each node of a graph may cost: model calls, tool calls and time, as bounds from above.

Each bound is a number, or none with the reason why there is none. Calls are counted as `limits` counts them: one that
is tried again counts once, compensations do not count, and a graph that is called counts for itself. Time is what the
graph allows its nodes; what the engine takes, a server that asks by Retry-After for a longer pause than the graph does,
and undoing come on top.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, assert_never

from agentflow import ir
from agentflow.durations import BadDuration, milliseconds

Measure = Literal["model_calls", "tool_calls", "time"]
MEASURES: tuple[Measure, ...] = ("model_calls", "tool_calls", "time")

# What the runtime does where the author says nothing; a test holds them to it.
ANSWERS = 3  # of which the last two mend what did not fit
MODEL_TRY = 600_000  # ms, one try of a model call
MODEL_ATTEMPTS = 5
MODEL_INITIAL = 1_000
INITIAL, FACTOR, LONGEST = 500, 2.0, 30_000  # pauses of a retry, ms
FAN_OUT = 1000
PART = 100  # items of one part of a long for_each


@dataclass(frozen=True)
class Bound:
    """At most `most` calls or milliseconds; None: no bound, and `why`."""

    most: int | None
    why: str | None = None

    def __add__(self, other: Bound) -> Bound:
        if self.most is None or other.most is None:
            return self if self.most is None else other
        return Bound(self.most + other.most)

    def times(self, number: int) -> Bound:
        return self if self.most is None and number else Bound((self.most or 0) * number)

    def within(self, limit: int | None) -> Bound:
        """Where a limit ends it."""
        return self if limit is None or (self.most is not None and self.most <= limit) else Bound(limit)

    @property
    def size(self) -> float:
        return float("inf") if self.most is None else self.most


NONE = Bound(0)


@dataclass(frozen=True)
class Cost:
    model_calls: Bound = NONE
    tool_calls: Bound = NONE
    time: Bound = NONE

    def __add__(self, other: Cost) -> Cost:
        return Cost(*(self.of(one) + other.of(one) for one in MEASURES))

    def times(self, number: int) -> Cost:
        return Cost(*(self.of(one).times(number) for one in MEASURES))

    def of(self, measure: Measure) -> Bound:
        found: Bound = getattr(self, measure)
        return found


@dataclass(frozen=True)
class Row:
    """A node, and what it and all that is inside it may cost."""

    node: ir.Node
    cost: Cost
    inside: tuple[Row, ...] = ()
    repeated: bool = False  # what is inside happens more than once


Find = Callable[[str], ir.Program | None]
"""The program of a graph of the project, by its name; None where there is none without mistakes."""


@dataclass(frozen=True)
class Reckoned:
    """What the nodes of a graph may cost, and a run of it as a whole."""

    program: ir.Program
    rows: tuple[Row, ...]
    after: tuple[Row, ...]
    run: Cost  # without the graph's limits
    finish: Cost  # of `finally`, likewise

    @property
    def limited(self) -> Cost:
        """Of the run and what follows it, each ended by the graph's limits."""
        limits = self.program.limits
        return Cost(
            *(
                self.run.of(one).within(getattr(limits, one)) + self.finish.of(one).within(getattr(limits, one))
                for one in MEASURES
            )
        )


def reckoned(program: ir.Program, find: Find, above: tuple[str, ...] = ()) -> Reckoned:
    """`above` are the graphs that call this one, the outermost first."""
    reckoning = _Reckoning(program, find, (*above, program.name))
    rows = reckoning.rows(program.body)
    run = reckoning.block(program.body, rows)
    if program.session is not None and program.session.summarize_after is not None:
        run = run + reckoning.summary(program.session.agent)
    if program.after is None:
        return Reckoned(program, rows, (), run, Cost())
    after = reckoning.rows(program.after.body)
    return Reckoned(program, rows, after, run, reckoning.block(program.after.body, after))


def ends(body: ir.Block, rows: Sequence[Row]) -> dict[str, Bound]:
    """When each node of a block has ended, after the block began."""
    known = {row.node.name: row for row in rows}
    found: dict[str, Bound] = {}
    for name in _ordered(body):
        began = _longest(found[before] for before in known[name].node.needs)
        found[name] = began + known[name].cost.time
    return found


def _ordered(body: ir.Block) -> Iterator[str]:
    needs = {node.name: node.needs for node in body.nodes}
    done: set[str] = set()
    for part in body.plan:
        left = [part.node] if isinstance(part, ir.Line) else list(part.nodes)
        while left:
            ready = [name for name in left if done.issuperset(needs[name])]
            yield from ready
            done.update(ready)
            left = [name for name in left if name not in done]


def _longest(bounds: Iterable[Bound]) -> Bound:
    return max(bounds, key=lambda bound: bound.size, default=NONE)


def pauses(retry: ir.Retry, attempts: int, initial: int = INITIAL) -> int:
    """How long all pauses between so many tries are together, in ms."""
    pause = float(retry.initial if retry.initial is not None else initial)
    factor = FACTOR if retry.factor is None else retry.factor
    longest = LONGEST if retry.max is None else retry.max
    total, left = 0.0, attempts - 1
    while left > 0:
        if pause >= longest or factor == 1:
            return round(total + left * min(pause, longest))
        total, pause, left = total + pause, pause * factor, left - 1
    return round(total)


@dataclass
class _Reckoning:
    program: ir.Program
    find: Find
    above: tuple[str, ...]
    called: dict[str, Bound] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tools = {tool.name: tool for tool in self.program.tools}
        self.agents = {agent.name: agent for agent in self.program.agents}
        self.models = {model.name: model for model in self.program.models}
        self.fan_out = self.program.limits.fan_out or FAN_OUT

    # ------------------------------------------------------------ nodes

    def rows(self, block: ir.Block) -> tuple[Row, ...]:
        return tuple(self.row(node) for node in block.nodes)

    def block(self, block: ir.Block, rows: Sequence[Row]) -> Cost:
        """Calls add up; of time, the longest way counts."""
        return replace(_sum(rows), time=_longest(ends(block, rows).values()))

    def row(self, node: ir.Node) -> Row:
        inside, cost, repeated = self.op(node.op)
        if node.timeout is not None:
            cost = replace(cost, time=cost.time.within(node.timeout))
        if isinstance(node.on_error, ir.Run):
            other = self.row(node.on_error.node)
            inside, cost = (*inside, other), cost + other.cost
        return Row(node, cost, inside, repeated)

    def op(self, op: ir.Op) -> tuple[tuple[Row, ...], Cost, bool]:
        rows: tuple[Row, ...] = ()
        match op:
            case ir.Step():
                tool = self.tools[op.tool]
                return rows, Cost(tool_calls=Bound(1), time=self.tool(tool, op.retry)), False
            case ir.Turn():
                return rows, self.turn(op), False
            case ir.Gate():
                return rows, Cost(time=_answer(op.timeout, op.escalate, "approves")), False
            case ir.Question():
                return rows, Cost(time=_answer(op.timeout, (), "answers")), False
            case ir.Receive():
                why = f'the message "{op.event}" may never come (no timeout)'
                return rows, Cost(time=Bound(op.timeout, None if op.timeout else why)), False
            case ir.Call():
                return rows, Cost(time=self.call(op)), False
            case ir.Fan():
                rows = tuple(self.row(node) for node in op.branches)
                return rows, replace(_sum(rows), time=_longest(row.cost.time for row in rows)), False
            case ir.Choice():
                rows = tuple(self.row(node) for node in (*(case.node for case in op.cases), op.default) if node)
                return rows, Cost(*(_longest(row.cost.of(one) for row in rows) for one in MEASURES)), False
            case ir.Group():
                rows = self.rows(op.body)
                return rows, self.block(op.body, rows), False
            case ir.Each():
                return self.each(op)
            case ir.Loop():
                rows = self.rows(op.body)
                cost = self.block(op.body, rows).times(op.max)
                return rows, cost + Cost(time=Bound((op.max - 1) * (op.every or 0))), True
            case ir.Wait():
                return rows, Cost(time=_pause(op)), False
            case ir.Let() | ir.Put() | ir.Emit() | ir.Fail():
                return rows, Cost(), False
            case _:
                assert_never(op)

    def each(self, op: ir.Each) -> tuple[tuple[Row, ...], Cost, bool]:
        """Of a list that is written out its length; else the longest that may be: limits.fan_out."""
        row = self.row(op.node)
        given = op.over.data if isinstance(op.over, ir.Value) else None
        number = min(len(given), self.fan_out) if isinstance(given, list) else self.fan_out
        waves = _waves(number, op.max_parallel, op.join)
        return (row,), replace(row.cost.times(number), time=row.cost.time.times(waves)), True

    # ------------------------------------------------------------ tools, and who is asked

    def tool(self, tool: ir.Tool, retry: ir.Retry | None) -> Bound:
        confirm = tool.confirm
        asked = _answer(confirm.timeout, confirm.escalate, "approves") if confirm is not None else NONE
        match tool.does:
            case ir.CalledGraph(graph=name):
                return asked + self.graph(name)
            case ir.Asking(timeout=timeout, form=form):
                return asked + _answer(timeout, (), "approves" if form is None else "answers")
            case ir.Python(keeps_own_journal=True):
                return asked + Bound(None, f"{tool.name} keeps a journal of its own, and may wait in it")
            case _:
                return asked + _tries(retry or tool.retry, tool.timeout, tool.name)

    def call(self, op: ir.Call) -> Bound:
        if op.mode == "send":
            return NONE
        if isinstance(op.callee, ir.Service):
            return Bound(None, f"how long {op.callee.name}/{op.callee.handler} takes is not known here")
        one = self.graph(op.callee.name)
        return one if op.retry is None or one.most is None else _tries(op.retry, one.most, op.callee.name)

    def graph(self, name: str) -> Bound:
        """How long a run of a graph takes that is called, ended by its own limits."""
        if name in self.above:
            return Bound(None, f"{name} calls itself")
        if name not in self.called:
            found = self.find(name)
            if found is None:
                self.called[name] = Bound(None, f"the graph {name} has mistakes")
            else:
                time = reckoned(found, self.find, self.above).limited.time
                self.called[name] = time if time.most is not None else Bound(None, f"in {name}: {time.why}")
        return self.called[name]

    # ------------------------------------------------------------ agents

    def summary(self, agent: str) -> Cost:
        """The conversation of an object may have to be summarized before it goes on."""
        return Cost(time=Bound(self.model_call(self.agents[agent], None)))

    def turn(self, op: ir.Turn) -> Cost:
        """Each agent that may have the conversation, with all that its own limits let it do."""
        speakers = self.reached([op.agent], handoffs=True, called=False)
        return _total(self.part(agent, op.retry) for agent in speakers)

    def part(self, agent: ir.Agent, retry: ir.Retry | None) -> Cost:
        limits, name = agent.limits, agent.name
        working = self.reached([name], handoffs=False, called=True)
        tools = list(dict.fromkeys(tool for one in working for tool in one.tools))
        if not agent.tools and not agent.agents and not agent.handoffs:
            models = Bound(ANSWERS).within(limits.model_calls)
        else:
            model_why = f"{name} may ask its model as often as it likes (no limits.model_calls of its own)"
            models = Bound(limits.model_calls, None if limits.model_calls is not None else model_why)
        calls = NONE
        if tools:
            at_once = min(limits.fan_out or FAN_OUT, self.fan_out)
            tool_why = f"{name} may call its tools as often as it likes (no limits.tool_calls of its own)"
            calls = Bound(None, tool_why) if models.most is None else models.times(at_once)
            calls = calls.within(limits.tool_calls)
        return Cost(models, calls, self.working_time(working, tools, models, calls, retry).within(limits.time))

    def working_time(
        self,
        working: Sequence[ir.Agent],
        tools: Sequence[str],
        models: Bound,
        calls: Bound,
        retry: ir.Retry | None,
    ) -> Bound:
        """Every model call as long as the longest of those who work, and so every tool call, one after the other."""
        own, *others = working
        longest = max(self.model_call(own, retry), *(self.model_call(one, None) for one in others), 0)
        each = _longest(self.tool(self.tools[name], None) for name in tools)
        if calls.most == 0:
            each = NONE
        if each.most is None:
            return each
        spent = NONE if not each.most else calls.times(each.most)
        return models.times(longest) + spent

    def model_call(self, agent: ir.Agent, retry: ir.Retry | None) -> int:
        """How long one call may take, in ms, with all its tries."""
        given = retry or self.models[agent.model].retry
        retry = given or ir.Retry(initial=MODEL_INITIAL)
        attempts = retry.attempts or MODEL_ATTEMPTS
        return attempts * MODEL_TRY + pauses(retry, attempts)

    def reached(self, names: Iterable[str], *, handoffs: bool, called: bool) -> list[ir.Agent]:
        """Agents that work on what the named begin: to whom they hand over, or whom they call with those."""
        found: dict[str, ir.Agent] = {}
        left = [*names]
        while left:
            name = left.pop(0)
            if name in found:
                continue
            agent = found[name] = self.agents[name]
            inner = called and name not in names
            left += agent.handoffs if handoffs or inner else ()
            left += agent.agents if called else ()
        return list(found.values())


def _sum(rows: Iterable[Row]) -> Cost:
    return _total(row.cost for row in rows)


def _total(costs: Iterable[Cost]) -> Cost:
    total = Cost()
    for cost in costs:
        total += cost
    return total


def _answer(timeout: int | None, escalate: Sequence[ir.Escalation], does: str) -> Bound:
    if timeout is None:
        return Bound(None, f"it may be that nobody {does} (no timeout)")
    return Bound(timeout + sum(step.timeout for step in escalate))


def _pause(op: ir.Wait) -> Bound:
    if op.duration is None:
        return Bound(None, "it waits until a time that is computed")
    try:
        return Bound(milliseconds(op.duration.template))
    except BadDuration:
        return Bound(None, "how long it waits is computed")


def _tries(retry: ir.Retry | None, timeout: int | None, name: str) -> Bound:
    """All tries of something, each of at most `timeout`, and the pauses between them."""
    if retry is None or (retry.attempts is None and retry.within is None):
        if timeout is None:
            return Bound(None, f"{name} has no timeout, and is tried until it succeeds (no retry.attempts)")
        return Bound(None, f"{name} is tried until it succeeds (no retry.attempts)")
    if timeout is None:
        return Bound(None, f"one try of {name} may take for ever (no timeout)")
    found: list[int] = []
    if retry.attempts is not None:
        found.append(retry.attempts * timeout + pauses(retry, retry.attempts))
    if retry.within is not None:  # looked at after each try: another pause and a last try may follow
        longest = LONGEST if retry.max is None else retry.max
        found.append(retry.within + longest + timeout)
    return Bound(min(found))


def _waves(number: int, width: int, join: object) -> int:
    """How often one after the other; a long list runs in parts, which share how many may run at a time."""
    if number <= PART or join != "all":
        return -(-number // width)
    parts = -(-number // PART)
    size = -(-number // parts)
    return max(-(-number // width), -(-parts // width) * -(-size // max(1, width // parts)))
