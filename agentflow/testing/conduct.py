"""Runs cases on a stand: starts them, looks when one only waits, and then lets happen what is next in its time.

Time in a case is virtual. While anything of it works, or is on its way between invocations, its time stands still; when
all that is left is waiting, the next timer, decision, or message goes off, and the case's time is then. So `elapsed` is
exact, and however slow the machine is, nothing happens in another order.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from agentflow import ir
from agentflow.admin import Row, text
from agentflow.client import Answer, Unreachable, path, request
from agentflow.serve.stand import Stand
from agentflow.testing.cases import CONFIRM, Case, Decision, bare, static
from agentflow.testing.keys import free
from agentflow.testing.outcome import Outcome, of_answer

HEADER = "agentflow-case"
AT_ONCE = 16  # cases
PATIENCE = 60.0  # seconds without any change, until a case is given up
HOPELESS = 6  # tries by the engine, until what fails is taken to fail for ever
COLUMNS = (
    "id, status, invoked_by, invoked_by_id, target_service_name, target_service_key, journal_size, "
    "retry_count, last_failure, created_at"
)
_KINDS = (
    "Command: AttachInvocation",
    "Command: Call",
    "Command: CompleteAwakeable",
    "Command: OneWayCall",
    "Command: Run",
    "Command: SendSignal",
    "Command: Sleep",
    "Notification: AttachInvocation",
    "Notification: Call",
    "Notification: Run",
    "Notification: Signal",
    "Notification: Sleep",
)

_FIRST = """split_part(split_part(entry_json, '"inv_', 2), '"', 1)"""  # the first invocation that an entry names


def _part(name: str) -> str:
    """A text of an entry, in SQL; the columns for it are empty for entries of this version."""
    return f"""split_part(split_part(entry_json, '"{name}":"', 2), '"', 1)"""


@dataclass(eq=False)
class Running:
    """A case under way."""

    id: str
    case: Case
    key: str
    roots: list[str] = field(default_factory=list)  # the run's invocation, or one for each message to an object
    began: float = 0.0
    changed: float = 0.0  # real time of the last change
    rows: list[Row] = field(default_factory=list)  # its live invocations
    family: list[str] = field(default_factory=list)  # and those that have ended
    idle: bool = False  # looked at, and nothing was on its way; true if the next look sees no change
    acted: dict[str, int] = field(default_factory=dict)  # by invocation: its journal's size before something was sent
    gates: dict[str, tuple[str, int]] = field(default_factory=dict)  # by gate: its node, how often it had asked before
    done: set[str] = field(default_factory=set)  # gates and messages that have been seen to
    problems: list[tuple[tuple[str | int, ...], str]] = field(default_factory=list)
    now: float = 0.0
    answers: dict[str, Answer] = field(default_factory=dict)  # by root
    stuck: str | None = None
    finished: bool = False

    def finish(self, why: str) -> None:
        """Nothing more will happen; `why` its run did not end, if it did not."""
        self.finished, self.stuck = True, None if self.over else why

    @property
    def root(self) -> str:
        return self.roots[0]

    @property
    def all_sent(self) -> bool:
        return len(self.roots) == len(self.case.messages)

    @property
    def over(self) -> bool:
        """Its run has ended; what that has sent may still be at work."""
        return len(self.answers) == len(self.case.messages)

    @property
    def sends(self) -> bool:
        calls = (node.op for node in self.case.nodes.values())
        return any(isinstance(call, ir.Call) and call.mode == "send" for call in calls)

    @property
    def run(self) -> str:
        """As `runtime.rehearsal` calls it."""
        return f"{self.service}/{self.root if self.case.program.kind == 'service' else self.key}"

    @property
    def service(self) -> str:
        return self.case.program.name


@dataclass(frozen=True)
class Act:
    """What happens next in a case: at `due`, by `rank` where several are due."""

    due: float
    rank: tuple[Any, ...]
    do: Callable[[], None]
    invocation: str | None = None  # that hears of it
    timers: tuple[str, ...] = ()
    sleepers: tuple[int, ...] = ()


class Conductor:
    """`run` returns what came of each case, in their order; `ended` is told of each when it has."""

    def __init__(self, stand: Stand, cases: Sequence[tuple[str, Case]]) -> None:
        self.stand = stand
        self.waiting = [Running(id, case, case.key or id) for id, case in reversed(cases)]
        self.running: list[Running] = []
        self.gates: dict[str, dict[str, Any]] = {}  # by id, as their state told last

    async def run(self, ended: Callable[[str, Outcome], None]) -> None:
        while self.waiting or self.running:
            try:
                await asyncio.to_thread(self._begin)
                over = await asyncio.to_thread(self._round)
            except Unreachable:
                await self.stand.lost()
                raise
            for one in over:
                outcome = await asyncio.to_thread(self._outcome, one)
                if one.case.keyed:
                    await asyncio.to_thread(self._forget, one)
                self.running.remove(one)
                ended(one.id, outcome)
            self.stand.check()
            await asyncio.sleep(0.02)

    # ------------------------------------------------------------ beginning and end

    def _begin(self) -> None:
        keyed = {graph for one in self.running for graph in one.case.keyed}
        for one in list(reversed(self.waiting)):
            if len(self.running) >= AT_ONCE or one.case.keyed & keyed:
                continue
            self.waiting.remove(one)
            self.running.append(one)
            keyed |= one.case.keyed
            one.began = one.changed = time.monotonic()
            one.now = one.case.now
            self._tell(one)

    def _tell(self, one: Running) -> None:
        """Starts the run, or sends an object its next message."""
        kind = one.case.program.kind
        key = () if kind == "service" else (one.key,)
        target = path(one.service, *key, "message" if kind == "object" else "run", "send")
        answer: Any = self._post(one, target, one.case.messages[len(one.roots)].input).checked()
        one.roots.append(str(answer["invocationId"]))

    def _forget(self, one: Running) -> None:
        """Frees the keys that other cases may use."""
        by_id, callees = self._rows()
        family = [by_id[id] for root in (*one.roots, *_visits(one, by_id.values())) for id in _family(root, callees)]
        free(self.stand.admin, family, one.case.keyed)

    def _rows(self) -> tuple[dict[str, Row], dict[str, list[str]]]:
        """The engine's invocations by id, and whom each has called."""
        rows = self.stand.admin.query(f"select {COLUMNS} from sys_invocation")
        callees: dict[str, list[str]] = {}
        for row in rows:
            callees.setdefault(str(row.get("invoked_by_id")), []).append(str(row["id"]))
        return {str(row["id"]): row for row in rows}, callees

    def _post(self, one: Running, target: str, body: Any) -> Any:
        return request("POST", self.stand.ingress.url + target, body, {HEADER: one.id}, timeout=60)

    def _outcome(self, one: Running) -> Outcome:
        seen: Any = self.stand.conduct(do="outcome", case=one.id)
        outcome = of_answer(one.answers[one.roots[-1]] if one.over else None, seen, one.run)
        outcome.outputs = [_output(one.answers[root]) for root in one.roots if root in one.answers]
        outcome.kept = self._kept(one) if one.case.program.kind == "object" else {}
        outcome.elapsed = round((one.now - one.case.now) * 1000)
        outcome.stuck = one.stuck
        outcome.problems = one.problems
        outcome.decided = self._decided(one)
        outcome.took = time.monotonic() - one.began
        return outcome

    def _kept(self, one: Running) -> dict[str, Any]:
        """What an object keeps, by name."""
        rows = self.stand.admin.query(
            f"select key, value_utf8 from state where service_name = {text(one.service)} "
            f"and service_key = {text(one.key)}"
        )
        kept = {str(row["key"]): row for row in rows if str(row["key"]).startswith("state.")}
        return {name.removeprefix("state."): json.loads(str(row["value_utf8"])) for name, row in kept.items()}

    # ------------------------------------------------------------ one look at all of them

    def _round(self) -> list[Running]:
        """Looks once; the cases that have ended."""
        by_id, callees = self._rows()
        ended = []
        still: list[Running] = []
        for one in self.running:
            if any(root not in by_id for root in one.roots):
                continue  # on its way
            for root in one.roots:
                if root not in one.answers and by_id[root]["status"] == "completed":
                    one.answers[root] = self.stand.ingress.result(root, timeout=60)
            if one.over and not one.sends:
                ended.append(one)
                continue
            answered = len(one.answers) == len(one.roots) and not one.all_sent
            if answered and one.case.messages[len(one.roots)].after is None:
                self._tell(one)
                one.idle = False
                continue
            one.family = [id for ours in (*one.roots, *_visits(one, by_id.values())) for id in _family(ours, callees)]
            family = [by_id[id] for id in one.family]
            self._look(one, [row for row in family if row["status"] not in ("completed", "scheduled")], still)
            if one.finished:
                ended.append(one)
        if still:
            self._act(still, by_id)
            ended += [one for one in still if one.finished]
        return ended

    def _look(self, one: Running, live: list[Row], still: list[Running]) -> None:
        """Takes in what the engine says of a case; it joins `still` if it seems only to wait."""
        if live != one.rows:
            one.rows, one.idle, one.changed = live, False, time.monotonic()
        elif time.monotonic() - one.changed > PATIENCE:
            one.finish(f"nothing has happened for {PATIENCE:.0f} s")
            return
        lost = next((row for row in live if row["status"] == "paused" or _hopeless(row)), None)
        if lost is not None:
            one.finish(f"it is tried again without end: {_reason(lost)}")
            return
        for row in live:
            if one.acted.get(str(row["id"]), -1) != row.get("journal_size"):
                one.acted.pop(str(row["id"]), None)
        one.acted = {id: size for id, size in one.acted.items() if any(row["id"] == id for row in live)}
        if not one.acted and all(row["status"] in ("suspended", "running") for row in live):
            still.append(one)

    def _act(self, still: list[Running], by_id: Mapping[str, Row]) -> None:
        told: Any = self.stand.conduct(do="told", cases=[one.id for one in still])
        journals = self._journals(id for one in still for id in one.family)
        for one in still:
            mine = told[one.id]
            at_rest = _at_rest(one, mine, journals) and not (
                _on_its_way(one, journals, by_id) or _signalled(one, mine, journals)
            )
            if at_rest and one.idle:
                one.idle = False
                self._next(one, mine)
            else:
                one.idle = at_rest

    def _journals(self, ids: Iterable[Any]) -> dict[str, list[Row]]:
        wanted = ", ".join(text(str(id)) for id in ids)
        kinds = ", ".join(text(kind) for kind in _KINDS)
        rows = self.stand.admin.query(
            f"select id, entry_type, {_part('invocation_id')} as callee, {_part('name')} as service, "
            f"{_part('target_invocation_id')} as target, {_FIRST} as first, "
            f"case when entry_type = 'Command: CompleteAwakeable' then {_part('id')} end as awakeable from sys_journal "
            f"where id in ({wanted}) and entry_type in ({kinds})"
        )
        found: dict[str, list[Row]] = {}
        for row in rows:
            found.setdefault(str(row["id"]), []).append(row)
        return found

    # ------------------------------------------------------------ what is next

    def _next(self, one: Running, told: Mapping[str, Any]) -> None:
        act = min(self._acts(one, told), key=lambda act: (act.due, act.rank), default=None)
        if act is None or (one.over and act.due > one.now):
            one.finish(self._why_stuck(one))
            return
        one.now = max(one.now, act.due)
        one.changed = time.monotonic()
        row = next((row for row in one.rows if row["id"] == act.invocation), None)
        if row is not None and not act.sleepers:
            size = row.get("journal_size")
            one.acted[str(act.invocation)] = size if isinstance(size, int) else 0
        self.stand.conduct(do="advance", case=one.id, now=one.now, timers=list(act.timers), sleepers=list(act.sleepers))
        act.do()

    def _acts(self, one: Running, told: Mapping[str, Any]) -> Iterator[Act]:
        live = {str(row["id"]): row for row in one.rows}
        for name, due, invocation, number in told["timers"]:
            if invocation in live:
                rank = (0, str(live[invocation]["created_at"]), number)
                yield Act(due, rank, partial(self._resolve, name), invocation, timers=(name,))
        for number, due, _, _ in told["sleepers"]:
            yield Act(due, (1, "", number), lambda: None, sleepers=(number,))
        yield from self._decisions(one)
        if one.over:
            return
        start = one.case.now
        if not one.all_sent and (after := one.case.messages[len(one.roots)].after) is not None:
            yield Act(start + after / 1000, (3, "", -1), partial(self._tell, one))
        for number, event in enumerate(one.case.events):
            if f"event {number}" not in one.done:
                yield Act(
                    start + event.after / 1000,
                    (3, "", number),
                    partial(self._send, one, event, number),
                )
        if one.case.cancel is not None and "cancel" not in one.done:
            yield Act(start + one.case.cancel / 1000, (4, "", 0), partial(self._cancel, one), one.root)

    def _resolve(self, timer: str) -> None:
        request("POST", self.stand.ingress.url + path("restate", "awakeables", timer, "resolve"), timeout=60).checked()

    def _cancel(self, one: Running) -> None:
        one.done.add("cancel")
        self.stand.admin.cancel(one.root)

    def _send(self, one: Running, event: Any, number: int) -> None:
        one.done.add(f"event {number}")
        answer = self._post(one, path(one.service, one.key, "event"), {"name": event.name, "data": event.data})
        if answer.status >= 300:
            one.problems.append((event.path, f"the event was refused: {answer.refusal().message}"))

    # ------------------------------------------------------------ people

    def _decisions(self, one: Running) -> Iterator[Act]:
        asking = {str(row["id"]): row for row in one.rows if str(row["target_service_name"]).endswith(".approvals")}
        if not asking:
            return
        for gate, row in self._open_gates(one, list(asking.values())):
            decision = self._decision(one, gate)
            if decision is None or decision.verb == "silence" or gate["id"] in one.done:
                continue
            due = datetime.fromisoformat(gate["opened"]).timestamp() + decision.after / 1000
            rank = (2, str(row["created_at"]), 0)
            yield Act(due, rank, partial(self._decide, one, gate, decision), str(row["id"]))

    def _open_gates(self, one: Running, asking: list[Row]) -> list[tuple[dict[str, Any], Row]]:
        keys = ", ".join(text(str(row["target_service_key"])) for row in asking)
        states = self.stand.admin.query(
            f"select service_name, service_key, value_utf8 from state where key = 'gate' and service_key in ({keys})"
        )
        rows = {(row["target_service_name"], row["target_service_key"]): row for row in asking}
        found = []
        for state in states:
            row = rows.get((state["service_name"], state["service_key"]))
            gate = json.loads(str(state["value_utf8"]))
            if row is not None and gate.get("state") == "open":
                found.append((gate, row))
        return sorted(found, key=lambda pair: str(pair[1]["created_at"]))

    def _decided(self, one: Running) -> list[tuple[str, str, str]]:
        """How the case's approvals ended."""
        run = f"{one.root.removeprefix('inv_')}."
        states = self.stand.admin.query("select value_utf8 from state where key = 'gate'")
        gates = [json.loads(str(state["value_utf8"])) for state in states]
        return [(gate["graph"], gate["node"], gate["state"]) for gate in gates if str(gate["run"]).startswith(run)]

    def _decision(self, one: Running, gate: Mapping[str, Any]) -> Decision | None:
        """What the case says of a gate: by its node, with or without the index; a list where it is asked again."""
        decisions, nodes = one.case.decisions, one.case.nodes
        node = str(gate["node"]).removesuffix(CONFIRM)
        forms = [gate["node"], node, static(node, nodes), bare(node)]
        forms += [f"{gate['graph']}/{form}" for form in forms]
        names = [form for form in forms if form in decisions]
        if not names:
            return None
        said = decisions[names[0]]
        if isinstance(said, Decision):
            return said
        asking = f"{gate['graph']}/{bare(node)}"
        if gate["id"] not in one.gates:
            one.gates[gate["id"]] = asking, sum(earlier == asking for earlier, _ in one.gates.values())
        number = one.gates[gate["id"]][1]
        return said[number] if number < len(said) else None

    def _decide(self, one: Running, gate: Mapping[str, Any], decision: Decision) -> None:
        one.done.add(gate["id"])
        service = f"{gate['graph']}.approvals"
        by = decision.by or (gate["approvers"] or ["somebody"])[0]
        body = {"decision": decision.verb, "by": by}
        body |= {"comment": decision.comment, "form": decision.form}
        answer = self._post(one, path(service, gate["id"].removeprefix(f"{gate['graph']}/"), "decide"), body)
        if answer.status >= 300:
            one.acted.clear()
            one.problems.append((decision.path, f"{gate['node']} refused it: {answer.refusal().message}"))

    def _why_stuck(self, one: Running) -> str:
        asking = [row for row in one.rows if str(row["target_service_name"]).endswith(".approvals")]
        nodes = [gate["node"] for gate, _ in self._open_gates(one, asking)] if asking else []
        if nodes:
            names = " and ".join(str(node) for node in nodes)
            return f"it waits for {names} without end: say what people do under approvals, or what time they have"
        return "it waits for something that the case does not bring about"


def _output(answer: Answer) -> Any:
    if 200 <= answer.status < 300:
        return answer.json()
    refusal = answer.refusal()
    return {"error": {"code": refusal.status, "message": refusal.message, "kind": refusal.metadata.get("kind")}}


def _family(root: str, callees: Mapping[str, list[str]]) -> Iterator[str]:
    rest = [root]
    while rest:
        id = rest.pop()
        yield id
        rest += callees.get(id, ())


def _visits(one: Running, rows: Iterable[Row]) -> Iterator[str]:
    """The decisions and messages that came to a case from outside, which its run did not call."""
    run = one.root.removeprefix("inv_") + "."
    for row in rows:
        key = str(row.get("target_service_key"))
        if row.get("invoked_by") == "ingress" and row["id"] not in one.roots:
            service = str(row["target_service_name"]).partition(".")[0]
            if (service == one.service and (key == one.key or key.startswith(f"{one.key}/"))) or key.startswith(run):
                yield str(row["id"])


def _hopeless(row: Row) -> bool:
    tries = row.get("retry_count")
    return row["status"] == "backing-off" and isinstance(tries, int) and tries >= HOPELESS


def _reason(row: Row) -> str:
    failure = str(row.get("last_failure") or "it does not say why")
    return failure.strip().splitlines()[0][:300]


def _at_rest(one: Running, told: Mapping[str, Any], journals: Mapping[str, list[Row]]) -> bool:
    """Whether all of it only waits: an invocation and the engine know the same of each other, and its steps pause."""
    paused = Counter(invocation for _, _, invocation, works in told["sleepers"] if not works)
    for row in one.rows:
        id = str(row["id"])
        if row["status"] == "suspended":
            continue
        kinds = Counter(str(entry["entry_type"]) for entry in journals.get(id, []))
        known, listens = told["attempts"].get(id, (0, False))
        if (
            not listens
            or known != row.get("journal_size")
            or kinds["Command: Run"] - kinds["Notification: Run"] != paused[id]
        ):
            return False
    return True


def _on_its_way(one: Running, journals: Mapping[str, list[Row]], by_id: Mapping[str, Row]) -> bool:
    """Whether one of them waits for a call that has ended, for one that has not begun, or for a real timer."""
    begun = [str(entry["callee"]) for id in one.family for entry in journals.get(id, []) if _begins(entry)]
    if any(id not in by_id for id in begun):
        return True
    for row in one.rows:
        entries = journals.get(str(row["id"]), [])
        kinds = Counter(str(entry["entry_type"]) for entry in entries)
        called = [by_id.get(str(entry["callee"])) for entry in entries if entry["entry_type"] == "Command: Call"]
        over = sum(callee is None or callee["status"] == "completed" for callee in called)
        attached = [f"inv_{entry['first']}" for entry in entries if entry["entry_type"] == "Command: AttachInvocation"]
        gone = sum(id not in by_id or by_id[id]["status"] == "completed" for id in attached)
        if gone != kinds["Notification: AttachInvocation"]:
            return True
        sent = [str(entry["callee"]) for entry in entries if _is_sent(entry)]
        if over != kinds["Notification: Call"] or kinds["Command: Sleep"] != kinds["Notification: Sleep"]:
            return True
        if any(id not in by_id for id in sent):
            return True
    return False


def _is_sent(entry: Row) -> bool:
    """A call that nobody waits for. Of those to streams the engine keeps nothing, and nothing comes of them."""
    return entry["entry_type"] == "Command: OneWayCall" and not str(entry["service"]).endswith(".stream")


def _begins(entry: Row) -> bool:
    """A run, or a handler elsewhere, that nobody waits for, and whose sender may have ended before it begins."""
    return entry["entry_type"] == "Command: OneWayCall" and "." not in str(entry["service"])


def _signalled(one: Running, told: Mapping[str, Any], journals: Mapping[str, list[Row]]) -> bool:
    """Whether a signal is on its way: a cancel, or the word that what one of them waits for is there."""
    live = {str(row["id"]) for row in one.rows}
    sent = {(told["awakeables"].get(name), name) for name in told["fired"]}
    for id in one.family:
        for entry in journals.get(id, []):
            if entry["entry_type"] == "Command: CompleteAwakeable":
                sent.add((told["awakeables"].get(entry.get("awakeable")), entry.get("awakeable")))
            elif entry["entry_type"] == "Command: SendSignal":
                sent.add((entry["target"], "cancel"))
    due = Counter(target for target, _ in sent if target in live)
    heard = {id: sum(e["entry_type"] == "Notification: Signal" for e in journals.get(id, [])) for id in due}
    return any(heard[id] < number for id, number in due.items())
