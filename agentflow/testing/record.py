"""A real run as a test case: what its models answered, what its tools gave, what people decided, and what came of it.

All of it comes from the engine's journals and state. Values of the environment that look like secrets are masked.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from agentflow import ir, runs
from agentflow.admin import Admin, text
from agentflow.client import Answer
from agentflow.codegen.invocations import everything
from agentflow.runtime.secrets import mask
from agentflow.source import read
from agentflow.testing.cases import bare, static
from agentflow.testing.expect import duration
from agentflow.testing.outcome import of_answer
from agentflow.toolnames import offered
from agentflow.types import Json

TRANSFER = "transfer_to_agent"
_MODEL = re.compile(r"(?P<place>.+)\.model#(?P<number>\d+)")
_TOOL = re.compile(r"(?P<place>.+?)\.(?P<call>(?:\w+#\d+\.)*(?P<tool>[\w.]+)#\d+)")


class CannotRecord(Exception):
    """In one line: why the run does not become a case."""


@dataclass(frozen=True)
class Step:
    """One durable step, as a journal has it."""

    graph: str
    name: str
    outcome: Mapping[str, Any]


@dataclass
class Recording:
    """What is gathered from the steps, in the order in which they ended."""

    programs: Mapping[str, ir.Program]
    answers: dict[tuple[str, str], list[Json]] = field(default_factory=dict)  # by conversation: path, agent
    tools: dict[str, list[tuple[str, list[Json]]]] = field(default_factory=dict)  # by tool: path, entries
    speaking: dict[tuple[str, str], str] = field(default_factory=dict)  # by node and address: who has the conversation

    def take(self, step: Step) -> None:
        program = self.programs.get(step.graph)
        if program is None or step.name in ("start", "end", "open", "check", "engine") or step.name.endswith(".ended"):
            return
        if match := _MODEL.fullmatch(step.name):
            self._model(program, match["place"], step.outcome)
        elif step.name.startswith("undo "):
            self._undo(program, step.name.removeprefix("undo "), step.outcome)
        elif step.name.startswith("tell "):
            self._notice(program, step.outcome)
        else:
            self._tool(program, step.name, step.outcome)

    # ------------------------------------------------------------ models

    def _model(self, program: ir.Program, place: str, outcome: Mapping[str, Any]) -> None:
        path, first, address = _speaker(program, place)
        agent = self.speaking.setdefault((path, address), first)
        said = self.answers.setdefault((f"{path}.{address}".rstrip("."), agent), [])
        tries = int(outcome.get("tries", 1))
        failed = outcome.get("failed")
        if failed is not None:
            code = failed.get("code", 500)
            said.append({"error": code if 400 <= code <= 599 else 500})
            return
        if tries > 1:
            said.append({"error": 503, "times": tries - 1})
        answer = _answer(outcome["value"])
        said.append(answer)
        if isinstance(answer, dict) and isinstance(target := answer.get("handoff"), str):
            self.speaking[(path, address)] = target

    def replies(self) -> dict[str, Json]:
        """By node where that says enough; else by the conversation's own place."""
        plain = Counter(_plain(place, agent, self._first(place)) for place, agent in self.answers)
        found: dict[str, Json] = {}
        for (place, agent), said in self.answers.items():
            first = self._first(place)
            name = _plain(place, agent, first)
            if plain[name] > 1:
                name = place if agent == first else f"{place}.{agent}"
            found[name] = said
        return found

    def _first(self, place: str) -> str:
        for program in self.programs.values():
            path, first, _ = _speaker(program, place)
            if first:
                return first
        return ""

    # ------------------------------------------------------------ tools

    def _tool(self, program: ir.Program, name: str, outcome: Mapping[str, Any]) -> None:
        nodes = {node.path: node for node in everything(program)}
        node = nodes.get(static(name, nodes))
        if node is not None and isinstance(node.op, ir.Step):
            tool = node.op.tool
        elif (match := _TOOL.fullmatch(name)) and match["tool"] in (names := _offered(program)):
            tool = names[match["tool"]]
        else:
            return  # a step of the runtime's own
        self._gave(tool, name, outcome)

    def _undo(self, program: ir.Program, name: str, outcome: Mapping[str, Any]) -> None:
        nodes = {node.path: node for node in everything(program)}
        node = nodes.get(static(name, nodes))
        tools = {tool.name: tool for tool in program.tools}
        undo = node.undo if node is not None else None
        if undo is None:
            match = _TOOL.fullmatch(name)
            called = node.op.tool if node and isinstance(node.op, ir.Step) else ""
            called = _offered(program).get(match["tool"], "") if match else called
            undo = tools[called].undo if called in tools else None
        if undo is not None:
            self._gave(undo.tool, f"{name}:undo", outcome)

    def _notice(self, program: ir.Program, outcome: Mapping[str, Any]) -> None:
        for node in everything(program):
            if isinstance(node.op, ir.Gate) and node.op.notify is not None:
                self.tools.setdefault(node.op.notify.tool, [("", [{"return": None}])])

    def _gave(self, tool: str, path: str, outcome: Mapping[str, Any]) -> None:
        entries: list[Json] = []
        tries = int(outcome.get("tries", 1))
        failed = outcome.get("failed")
        if failed is None:
            if tries > 1:
                entries.append({"raise": _literal(str(outcome.get("last_error", "failed"))), "times": tries - 1})
            entries.append({"return": _literal(outcome.get("value"))})
        elif failed.get("told"):
            entries.append({"error": _literal(failed["message"])})
        else:
            entries.append({"fail": {"message": _literal(failed["message"]), "code": failed.get("code", 500)}})
        self.tools.setdefault(tool, []).append((path, entries))

    def stubs(self) -> dict[str, Json]:
        found: dict[str, Json] = {}
        for tool, calls in self.tools.items():
            entries: list[Json] = []
            for path, given in calls:
                only = {"if": f"node == {json.dumps(path)}"} if len(calls) > 1 else {}
                entries += [{**only, **entry} for entry in given if isinstance(entry, dict)]
            found[tool] = entries[0] if len(entries) == 1 else entries
        return found


def _speaker(program: ir.Program, place: str) -> tuple[str, str, str]:
    """Of a model's step: the node, who began the conversation, and the address of the call where it is a tool's."""
    nodes = {node.path: node for node in everything(program)}
    parts = place.split(".")
    for at in range(len(parts), 0, -1):
        path = ".".join(parts[:at])
        node = nodes.get(static(path, nodes))
        if node is None or not isinstance(node.op, ir.Turn) or "#" in parts[at - 1]:
            continue
        rest = parts[at:]
        return path, bare(rest[-1]) if rest else node.op.agent, ".".join(rest)
    return place, "", ""


def _plain(place: str, agent: str, first: str) -> str:
    """The shortest name of a conversation's replies: its node's for who began it, else the agent's."""
    last = place.rpartition(".")[2]
    return bare(last) if agent == first and "#" not in last else agent


def _answer(response: Mapping[str, Any]) -> dict[str, Json]:
    """What a model said, as an entry of the replies."""
    parts = (response.get("content") or {}).get("parts") or []
    calls = [part["function_call"] for part in parts if "function_call" in part]
    if calls:
        if len(calls) == 1 and calls[0]["name"] == TRANSFER:
            return {"handoff": (calls[0].get("args") or {}).get("agent_name")}
        made: list[Json] = [{"tool": call["name"], "with": call.get("args") or {}} for call in calls]
        return {"call": made[0]} if len(made) == 1 else {"calls": made}
    said = "".join(part["text"] for part in parts if part.get("text") is not None and not part.get("thought"))
    try:
        data = json.loads(said)
    except ValueError:
        return {"say": said}
    return {"say": data if isinstance(data, dict | list) else said}


def _literal(value: Any) -> Any:
    """Of a value in which templates would be evaluated: one that yields it."""
    if isinstance(value, str):
        return re.sub(r"{[{%#]", lambda sign: "{{ '" + sign[0] + "' }}", value)
    if isinstance(value, list):
        return [_literal(each) for each in value]
    return {name: _literal(each) for name, each in value.items()} if isinstance(value, dict) else value


# ---------------------------------------------------------------- from the engine


def recorded(admin: Admin, programs: Sequence[ir.Program], key: str, answer: Answer) -> dict[str, Json]:
    """The case that a run of `programs[0]` is. Raises CannotRecord where the engine no longer has its journal."""
    graph = programs[0]
    run = runs.find(admin, graph.name, key)
    if run is None:
        raise CannotRecord(f"the engine knows no run of {graph.name} with the key {key}")
    family = [run, *runs.called(admin, run)]
    graphs = {one.id: one.service.partition(".")[0] for one in family}
    recording = Recording({program.name: program for program in programs})
    given: Json = {}
    started = 0.0
    for id, entry in _journals(admin, list(graphs)):
        if isinstance(entry, Step):
            if id == run.id and entry.name == "start":
                started = float(entry.outcome["at"])
            recording.take(Step(graphs[id], entry.name, entry.outcome))
        elif id == run.id:
            given = entry
    case: dict[str, Json] = {"input": given}
    if replies := recording.replies():
        case["replies"] = replies
    if stubs := recording.stubs():
        case["tools"] = stubs
    if run.workflow and (events := _events(admin, graph.name, str(run.key), started)):
        case["events"] = events
    case |= _decisions(admin, graph.name, list(graphs.values()), [one.id for one in family])
    case["expect"] = _expected(answer, graph.name)
    masked: dict[str, Json] = json.loads(mask(json.dumps(case, ensure_ascii=False)))
    return masked


def _journals(admin: Admin, invocations: Sequence[str]) -> Iterator[tuple[str, Step | Json]]:
    """The steps of invocations in the order in which they ended; before them the input of each."""
    ids = ", ".join(text(id) for id in invocations)
    rows = admin.query(
        f"select id, index, name, entry_json, appended_at from sys_journal where id in ({ids}) and entry_type in "
        "('Command: Input', 'Command: Run', 'Notification: Run') order by appended_at, index"
    )
    if not rows:
        raise CannotRecord("the engine has forgotten the run's journal")
    names: dict[tuple[str, int], str] = {}
    for row in rows:
        id, entry = str(row["id"]), json.loads(str(row["entry_json"]))
        if "Notification" in entry:
            done = entry["Notification"]["Completion"]["Run"]
            success = done["result"].get("Success")
            if success is not None and isinstance(outcome := json.loads(bytes(success)), dict):
                yield id, Step("", names[(id, done["completion_id"])], outcome)
        elif "Run" in entry["Command"]:
            names[(id, entry["Command"]["Run"]["completion_id"])] = str(row["name"])
        else:
            payload = bytes(entry["Command"]["Input"]["payload"])
            yield id, json.loads(payload or b"{}")


def _decisions(admin: Admin, own: str, graphs: Sequence[str], invocations: Sequence[str]) -> dict[str, Json]:
    """What people decided, and when: `approvals` and `asks`, each by node, of called graphs with their name before."""
    services = ", ".join(text(f"{graph}.approvals") for graph in dict.fromkeys(graphs))
    rows = admin.query(f"select value_utf8 from state where key = 'gate' and service_name in ({services})")
    promises = admin.query(
        "select service_name, service_key, completion_success_value_utf8 as value from sys_promise "
        f"where key = 'decision' and service_name in ({services})"
    )
    given = {f"{str(row['service_name']).removesuffix('.approvals')}/{row['service_key']}": row for row in promises}
    gates = [json.loads(str(row["value_utf8"])) for row in rows]
    mine = [gate for gate in gates if any(str(gate["run"]).startswith(id.removeprefix("inv_")) for id in invocations)]
    found: dict[str, dict[str, Json]] = {"approvals": {}, "asks": {}}
    for gate in sorted(mine, key=lambda gate: str(gate["opened"])):
        promise = given.get(gate["id"])
        node = gate["node"] if gate["graph"] == own else f"{gate['graph']}/{gate['node']}"
        kind = "asks" if gate.get("kind") == "ask" else "approvals"
        found[kind][node] = _decision(gate, json.loads(str(promise["value"])) if promise else {})
    return {kind: said for kind, said in found.items() if said}


def _events(admin: Admin, graph: str, key: str, started: float) -> list[Json]:
    """The messages that came to the run, and when."""
    rows = admin.query(
        f"select id from sys_invocation where target_service_name = {text(f'{graph}.inbox')} "
        f"and target_service_key = {text(key)} and target_handler_name = 'put' order by created_at"
    )
    ids = [str(row["id"]) for row in rows]
    sent: dict[str, dict[str, Json]] = {}
    for id, entry in _journals(admin, ids) if ids else ():
        if isinstance(entry, Step):
            after = round((float(entry.outcome["at"]) - started) * 1000)
            if entry.name == "now" and after > 0:
                sent[id]["after"] = duration(after)
        elif isinstance(entry, dict):
            sent[id] = {"name": entry["name"], "data": entry["data"]}
    return [*sent.values()]


def _decision(gate: Mapping[str, Any], decision: Mapping[str, Any]) -> Json:
    verb = {"approved": "approve", "rejected": "reject", "answered": "answer"}.get(gate["state"])
    if verb is None:
        return "silence"
    opened, decided = (datetime.fromisoformat(gate[name]) for name in ("opened", "at"))
    after = round((decided - opened).total_seconds() * 1000)
    about = {"by": gate.get("by"), **({} if verb == "answer" else {"comment": decision.get("comment")})}
    if verb != "reject":
        about["form"] = decision.get("form")
    if after > 0:
        about["after"] = duration(after)
    made: Json = {name: value for name, value in about.items() if value is not None}
    return {verb: made}


def _expected(answer: Answer, graph: str) -> dict[str, Json]:
    outcome = of_answer(answer, {"state": {}, "calls": ()}, graph)
    if outcome.state == "succeeded":
        return {"state": "succeeded", "output": outcome.output}
    error: Json = {name: value for name, value in (outcome.error or {}).items() if name in ("kind", "code") and value}
    expected: dict[str, Json] = {"state": outcome.state, "error": error}
    if outcome.undone:
        expected["undone"] = [str(entry["node"]) for entry in outcome.undone]
    return expected


# ---------------------------------------------------------------- to the file


def append(file: Path, name: str, case: Mapping[str, Json]) -> str:
    """Adds the case at the end of a test file, made if need be; the name that it got.

    Raises CannotRecord where the file is none that a case can be added to; then it is as it was.
    """
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    data: Json = {}
    if before.strip():
        source, problems = read(file)
        if source is None or problems or not isinstance(source.data, dict):
            raise CannotRecord(f"{file} is no test file")
        data = source.data
    cases = data.get("cases", {}) if isinstance(data, dict) else {}
    if not isinstance(data, dict) or not isinstance(cases, dict):
        raise CannotRecord(f"{file} is no test file")
    name = _free(name, cases)
    block = yaml.safe_dump({name: dict(case)}, sort_keys=False, allow_unicode=True, width=100, default_flow_style=None)
    lines = "".join(f"  {line}\n" if line else "\n" for line in block.splitlines())
    begin = before.rstrip("\n") + "\n\n" if cases else (before.rstrip("\n") + "\n" if before.strip() else "")
    begin += "" if "cases" in data else "cases:\n"
    partial = file.with_name(f".{file.name}.new")
    try:
        partial.write_text(begin + lines, encoding="utf-8")
        source, problems = read(partial)
        if problems or source is None or source.data != {**data, "cases": {**cases, name: dict(case)}}:
            raise CannotRecord(f"a case cannot be added at the end of {file}: its cases are to be last, in block style")
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    return name


def _free(name: str, cases: Mapping[str, Json]) -> str:
    name = re.sub(r"[^a-z0-9_]+", "_", name.lower()).strip("_") or "run"
    name = name if name[0].isalpha() else f"run_{name}"
    number = 1
    while (found := name if number == 1 else f"{name}_{number}") in cases:
        number += 1
    return found


def _offered(program: ir.Program) -> dict[str, str]:
    """The tools, by the names by which models call them."""
    return {offered(tool.name): tool.name for tool in program.tools}
