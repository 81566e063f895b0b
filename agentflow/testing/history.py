"""What the engine still knows of a run: what it was given, its steps, its calls elsewhere, and when; from the journals.

Of an object it is the whole conversation under a key: every message since it was empty.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from agentflow import ir, runs
from agentflow.admin import Admin, Row, text
from agentflow.runs import Invocation
from agentflow.testing.append import CannotRecord
from agentflow.types import Json

_PLACE = re.compile(r"\.[0-9a-f]{9,}/(?P<path>[^/]+)\Z")  # at the end of a key that no author gave
_ENTRIES = ("Command: Input", "Command: Run", "Notification: Run", "Command: Call", "Notification: Call")


@dataclass(frozen=True)
class Step:
    """A durable step. `outcome`: of one that ended; `run`: the invocation that the run is; `place`: by which nodes that
    was called, if that is known."""

    graph: str
    run: str
    place: str
    name: str
    outcome: Mapping[str, Any] | None
    key: str = ""  # of the invocation that carried it out
    message: int = 0  # to an object: which of them it worked on


@dataclass(frozen=True)
class Elsewhere:
    """A call of a handler elsewhere, and what came of it; neither of one that did not end."""

    handler: str
    args: Json
    value: Json = None
    failed: Mapping[str, Any] | None = None
    ended: bool = True


@dataclass(frozen=True)
class Said:
    """What a run was given, or an object was told."""

    invocation: Invocation
    input: Json

    @property
    def created(self) -> float:
        return _time(self.invocation.created)

    @property
    def ended(self) -> float:
        return _time(self.invocation.ended)


@dataclass
class History:
    said: list[Said] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)  # in the order in which they ended; those that did not, last
    elsewhere: list[Elsewhere] = field(default_factory=list)  # likewise
    graphs: dict[str, str] = field(default_factory=dict)  # of each invocation

    @property
    def began(self) -> float:
        return float(self._of_run("start").get("at", self.said[0].created))

    def end(self) -> float | None:
        """When the run ended badly, before it undid anything."""
        return self._of_run("end").get("at")

    def _of_run(self, name: str) -> Mapping[str, Any]:
        first = self.steps[0].run if self.steps else ""
        return next((step.outcome or {} for step in self.steps if step.name == name and step.run == first), {})


def read(admin: Admin, graph: ir.Program, graphs: Collection[str], key: str, invocation: str | None) -> History:
    """Of a run, or of the conversation of an object up to the message that `invocation` is.

    `graphs`: those of which steps are told. Raises CannotRecord where the engine has forgotten it.
    """
    history = History()
    for root in _roots(admin, graph, key, invocation):
        family = [root, *runs.called(admin, root)]
        if any(one.service == graph.name and one.handler == "turn" for one in family):
            owner = next(one for one in family if one.handler == "turn" and one.service == graph.name)
        else:
            owner = root
        rows = _rows(admin, [one.id for one in family])
        given = next((row for row in rows if row["id"] == root.id and row["entry_type"] == "Command: Input"), None)
        if given is None:
            raise CannotRecord("the engine has forgotten the run's journal")
        history.said.append(Said(root, json.loads(bytes(_entry(given)["Command"]["Input"]["payload"]) or b"{}")))
        _add(history, family, owner, rows, graphs)
    history.steps.sort(key=lambda step: step.outcome is None)
    return history


def _roots(admin: Admin, graph: ir.Program, key: str, invocation: str | None) -> list[Invocation]:
    if graph.kind != "object":
        run = runs.find(admin, graph.name, key)
        if run is None:
            raise CannotRecord(f"the engine knows no run of {graph.name} with the key {key}")
        return [run]
    found = runs.messages(admin, graph.name, key)
    last = next((at for at, one in enumerate(found) if one.id == invocation), len(found) - 1)
    told = found[: last + 1]
    resets = [at for at, one in enumerate(told) if one.handler == "reset"]
    told = told[resets[-1] + 1 :] if resets else told
    if not told:
        raise CannotRecord(f"the engine knows no message to {graph.name} under the key {key}")
    return told


def _rows(admin: Admin, ids: Sequence[str]) -> list[Row]:
    wanted, kinds = ", ".join(map(text, ids)), ", ".join(map(text, _ENTRIES))
    return admin.query(
        f"select id, index, name, entry_type, entry_json, appended_at from sys_journal "
        f"where id in ({wanted}) and entry_type in ({kinds}) order by appended_at, index"
    )


def _add(
    history: History, family: Sequence[Invocation], owner: Invocation, rows: Iterable[Row], graphs: Collection[str]
) -> None:
    runs_of, places = _runs(family, owner)
    names = {one.id: one.service.partition(".")[0] for one in family}
    keys = {one.id: one.key or "" for one in family}
    history.graphs |= names
    message = len(history.said) - 1

    def add(id: str, name: str, outcome: Mapping[str, Any] | None) -> None:
        if names[id] in graphs:
            run = runs_of[id]
            history.steps.append(Step(names[id], run, places.get(run, ""), name, outcome, keys[id], message))

    steps: dict[tuple[str, int], str] = {}
    calls: dict[tuple[str, int], Elsewhere] = {}
    for row in rows:
        id, entry = str(row["id"]), _entry(row)
        match row["entry_type"]:
            case "Command: Run":
                steps[(id, entry["Command"]["Run"]["completion_id"])] = str(row["name"])
            case "Notification: Run":
                done = entry["Notification"]["Completion"]["Run"]
                name, success = steps.pop((id, done["completion_id"])), done["result"].get("Success")
                outcome = None if success is None else json.loads(bytes(success))
                if isinstance(outcome, dict):
                    add(id, name, outcome)
            case "Command: Call":
                call = entry["Command"]["Call"]
                target = next(iter(call["request"]["invocation_target"].values()))
                if names[id] in graphs and target["name"].partition(".")[0] not in graphs:
                    args = _json(call["request"]["parameter"])
                    handler = f"{target['name']}/{target['handler']}"
                    calls[(id, call["result_completion_id"])] = Elsewhere(handler, args)
            case "Notification: Call" if done := entry["Notification"]["Completion"].get("Call"):
                if (begun := calls.pop((id, done["completion_id"]), None)) is not None:
                    history.elsewhere.append(_answered(begun, done["result"]))
    for (id, _), name in steps.items():
        add(id, name, None)
    history.elsewhere += [Elsewhere(begun.handler, begun.args, ended=False) for begun in calls.values()]


def _answered(begun: Elsewhere, result: Mapping[str, Any]) -> Elsewhere:
    if (success := result.get("Success")) is not None:
        return Elsewhere(begun.handler, begun.args, _json(success))
    failure = result.get("Failure") or {}
    return Elsewhere(begun.handler, begun.args, failed={"message": failure.get("message"), "code": failure.get("code")})


def _runs(family: Sequence[Invocation], owner: Invocation) -> tuple[dict[str, str], dict[str, str]]:
    """Of each invocation the run that it works for; of each run the place where it was called.

    A run that was called without a key of the author's has one that tells: `<caller's key>.<start>/<node>`.
    """
    runs_of: dict[str, str] = {}
    places: dict[str, str] = {owner.id: ""}
    for one in family:  # callers come before those whom they call
        caller = runs_of.get(one.caller or "", owner.id)
        own = "." not in one.service and one.handler in runs.ENTRIES and one.id != family[0].id
        runs_of[one.id] = one.id if own else caller
        if own and one.id != owner.id:
            given = _PLACE.search(one.key or "")
            places[one.id] = f"{places.get(caller, '')}/{given['path']}".lstrip("/") if given else ""
    runs_of[family[0].id] = owner.id
    return runs_of, places


def _entry(row: Row) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(str(row["entry_json"]))
    return found


def _json(payload: Sequence[int]) -> Json:
    try:
        value: Json = json.loads(bytes(payload) or b"null")
    except ValueError:
        raise CannotRecord("a service elsewhere was given, or gave, what is not JSON") from None
    return value


def _time(moment: str | None) -> float:
    return 0.0 if moment is None else datetime.fromisoformat(moment).timestamp()
