"""A real run as a test case: what its models answered, what its tools gave, what people decided, and what came of it.

Values of the environment that look like secrets are masked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from agentflow import ir
from agentflow.admin import Admin, text
from agentflow.client import Answer, Ingress
from agentflow.codegen.invocations import everything
from agentflow.runtime.secrets import mask
from agentflow.testing import history
from agentflow.testing.append import CannotRecord
from agentflow.testing.cases import Names, bare, static
from agentflow.testing.expect import duration
from agentflow.testing.history import Elsewhere, History, Step
from agentflow.testing.outcome import of_answer
from agentflow.toolnames import offered
from agentflow.types import Enumeration, Json, ListOf, Named, Nullable, Object, Primitive, Type, Union

TRANSFER = "transfer_to_agent"
NEVER = 30 * 86_400_000  # ms: of what did not end
_MODEL = re.compile(r"(?P<place>.+)\.model#(?P<number>\d+)")
_TOOL = re.compile(r"(?P<place>.+?)\.(?P<call>(?:\w+#\d+\.)*(?P<tool>[\w.]+)#\d+)")
_MEMBER = re.compile(r"(?P<call>.+)\.(?P<member>\w+)")

Entry = dict[str, Json]


@dataclass(frozen=True)
class Talk:
    """An agent's part of a conversation: in which run, at which node, and whether it began it."""

    graph: str
    run: str
    place: str  # of the run
    path: str
    agent: str
    first: bool

    @property
    def exactly(self) -> str:
        here = self.path if self.first else f"{self.path}.{self.agent}"
        return f"{self.place}/{here}" if self.place else here


@dataclass(frozen=True)
class Given:
    """What a call of a tool gave."""

    place: str
    path: str
    entries: Sequence[Entry]


@dataclass
class Recording:
    """What is gathered from the steps, in the order in which they ended. `timed`: also how long each took."""

    programs: Mapping[str, ir.Program]
    timed: bool = False
    messages: Sequence[Json] = ()  # of an object
    answers: dict[Talk, list[Json]] = field(default_factory=dict)
    heard: dict[Talk, list[int]] = field(default_factory=dict)  # of each answer: which message it came after
    tools: dict[str, list[Given]] = field(default_factory=dict)
    speaking: dict[tuple[str, str, str], str] = field(default_factory=dict)  # by run, node, address: who speaks

    def take(self, step: Step) -> None:
        program = self.programs[step.graph]
        if step.name in ("start", "end", "open", "check", "engine") or step.name.endswith((".ended", ".kind")):
            return
        if match := _MODEL.fullmatch(step.name):
            self._model(program, step, match["place"])
        elif step.name.startswith("undo "):
            self._undo(program, step, step.name.removeprefix("undo "))
        elif step.name.startswith("tell "):
            self._notice(program, step)
        elif (called := _called(program, step.name)) is not None:
            self._gave(called, step, step.name)

    # ------------------------------------------------------------ models

    def _model(self, program: ir.Program, step: Step, place: str) -> None:
        path, first, address = _speaker(program, place)
        agent = self.speaking.setdefault((step.run, path, address), first)
        run = step.run if program.kind != "object" else step.graph  # its conversation goes on
        talk = Talk(step.graph, run, step.place, f"{path}.{address}".rstrip("."), agent, agent == first)
        said, heard = self.answers.setdefault(talk, []), self.heard.setdefault(talk, [])
        before = len(said)
        self._say(said, step)
        heard += [step.message] * (len(said) - before)
        if said and isinstance(last := said[-1], dict) and isinstance(target := last.get("handoff"), str):
            self.speaking[(step.run, path, address)] = target

    def _say(self, said: list[Json], step: Step) -> None:
        outcome = step.outcome
        if outcome is None or _cut(outcome):
            said.append({"say": "", "delay": duration(NEVER)})
            return
        tries = int(outcome.get("tries", 1))
        if (failed := outcome.get("failed")) is not None:
            code = failed.get("code", 500)
            said.append({"error": code if 400 <= code <= 599 else 500})
            return
        if tries > 1:
            said.append({"error": 503, "times": tries - 1})
        said.append({**_answer(outcome["value"]), **self._delay(outcome)})

    def replies(self) -> dict[str, Json]:
        """By node where that says enough; else by the conversation's own place. One that cannot be told is left out."""
        plain: dict[str, set[str]] = {}
        answers = {talk: self._by_message(talk, said) for talk, said in self.answers.items()}
        for talk, said in answers.items():
            plain.setdefault(_plain(talk), set()).add(json.dumps(said, sort_keys=True))
        found: dict[str, Json] = {}
        for talk, said in answers.items():
            name = _plain(talk) if len(plain[_plain(talk)]) == 1 else talk.exactly
            found.setdefault(name, said)
        return found

    def _by_message(self, talk: Talk, said: list[Json]) -> list[Json]:
        """A call that failed is no answer, so that after one the answers are told apart by what they answer."""
        heard = self.heard[talk]
        lost = [isinstance(entry, dict) and ("error" in entry or "delay" in entry) for entry in said]
        texts = [one.get("message") if isinstance(one, dict) else None for one in self.messages]
        if heard[-1:] == heard[:1] or not any(lost) or not all(isinstance(texts[at], str) for at in heard):
            return said
        found: list[Json] = []
        for at, entry in enumerate(said):
            first = heard.index(heard[at])
            step = sum(1 for earlier in said[first:at] if isinstance(earlier, dict) and "times" not in earlier)
            condition = f"prompt == {json.dumps(texts[heard[at]])} and step == {step}"
            found.append({"if": condition, **(entry if isinstance(entry, dict) else {})})
        return found

    # ------------------------------------------------------------ tools

    def _undo(self, program: ir.Program, step: Step, name: str) -> None:
        nodes = {node.path: node for node in everything(program)}
        node = nodes.get(static(name, nodes))
        tools = {tool.name: tool for tool in program.tools}
        undo = node.undo if node is not None else None
        if undo is None and (called := _called(program, name)) in tools:
            undo = tools[str(called)].undo
        if undo is not None:
            self._gave(undo.tool, step, f"{name}:undo")

    def _notice(self, program: ir.Program, step: Step) -> None:
        """Of what the tool returned nothing is kept: something that fits."""
        nodes = {node.path: node for node in everything(program)}
        path = step.key.rpartition("/")[2]
        node = nodes.get(static(path, nodes))
        if node is None or not isinstance(node.op, ir.Gate | ir.Question) or node.op.notify is None:
            return
        tool = next(tool for tool in program.tools if tool.name == node.op.notify.tool)
        outcome = {**(step.outcome or {}), "value": _something(tool.returns, program)}
        person = step.name.removeprefix("tell ")
        self._gave(tool.name, replace(step, outcome=outcome), f"{path}:{person}")

    def _gave(self, tool: str, step: Step, path: str) -> None:
        outcome = step.outcome
        entries: list[Entry] = []
        about = {tool.name: tool for program in self.programs.values() for tool in program.tools}.get(tool)
        if outcome is None or _cut(outcome):
            entries.append({"error": "no answer", "delay": duration(NEVER)})
        elif (failed := outcome.get("failed")) is None:
            if (tries := int(outcome.get("tries", 1))) > 1:
                entries.append({"raise": _literal(str(outcome.get("last_error", "failed"))), "times": tries - 1})
            state = {"state": _literal(outcome["state"])} if outcome.get("state") else {}
            entries.append({"return": _literal(outcome.get("value")), **state, **self._delay(outcome)})
        elif failed.get("kind") == "timeout" and about is not None and about.timeout is not None:
            entries.append({"error": "no answer", "delay": duration(about.timeout)})
        elif failed.get("told"):
            entries.append({"error": _literal(failed["message"]), **self._delay(outcome)})
        else:
            failure: Entry = {"message": _literal(failed["message"]), "code": failed.get("code", 500)}
            entries.append({"fail": failure, **self._delay(outcome)})
        self.tools.setdefault(tool, []).append(Given(step.place, path, entries))

    def _delay(self, outcome: Mapping[str, Any]) -> Entry:
        took = round((float(outcome.get("at", 0)) - float(outcome.get("began", outcome.get("at", 0)))) * 1000)
        return {"delay": duration(took)} if self.timed and took > 0 and outcome.get("tries", 1) == 1 else {}

    def stubs(self) -> dict[str, Json]:
        found: dict[str, Json] = {}
        for tool, calls in self.tools.items():
            entries: list[Json] = []
            if all(call.entries == calls[0].entries for call in calls):
                entries += calls[0].entries
            else:
                again = len({call.path for call in calls}) < len(calls)
                for call in calls:
                    condition = f"node == {json.dumps(call.path)}"
                    if again and call.place:
                        condition += f" and place == {json.dumps(call.place)}"
                    entries += [{"if": condition, **entry} for entry in call.entries]
            found[tool] = entries[0] if len(entries) == 1 else entries
        return found


def _something(type: Type, program: ir.Program) -> Json:
    """A value of a type, as far as a stub has to give one."""
    match type:
        case Primitive(name=name):
            of: dict[str, Json] = {"string": "", "integer": 0, "number": 0, "boolean": False}
            return of.get(name)
        case Enumeration(values=values):
            return values[0]
        case Named(name=name):
            return _something(next(one.type for one in program.types if one.name == name), program)
        case ListOf():
            return []
        case Nullable():
            return None
        case Union(of=of_these):
            return _something(of_these[0], program)
        case _:
            return {}


def _fitting(value: Json, type: Type | None, types: Mapping[str, Type]) -> Json:
    """Without the fields that are of no account: of what comes from elsewhere more is taken than is asked for."""
    match type:
        case Object() if isinstance(value, dict):
            return {
                field.name: _fitting(value[field.name], field.type, types)
                for field in type.fields
                if field.name in value
            }
        case Named(name=name):
            return _fitting(value, types.get(name), types)
        case ListOf(of=of) if isinstance(value, list):
            return [_fitting(each, of, types) for each in value]
        case Nullable(of=of):
            return _fitting(value, of, types)
        case _:
            return value


def _cut(outcome: Mapping[str, Any]) -> bool:
    """Whether a step was broken off from outside: by a limit of what it is in, or since somebody else was faster."""
    failed = outcome.get("failed") or {}
    return failed.get("code") == 499 or (
        failed.get("kind") == "timeout" and str(failed.get("message")).endswith(" was cut off")
    )


def _called(program: ir.Program, name: str) -> str | None:
    """The tool that a step calls: its node's, one that a model called, or a member of either; None of another step."""
    nodes = {node.path: node for node in everything(program)}
    tools = {tool.name: tool for tool in program.tools}
    by_offer = {offered(tool): tool for tool in tools}
    node = nodes.get(static(name, nodes))
    if node is not None and isinstance(node.op, ir.Step):
        return node.op.tool
    if (match := _TOOL.fullmatch(name)) and match["tool"] in by_offer:
        return by_offer[match["tool"]]
    if match := _MEMBER.fullmatch(name):
        outer = tools.get(_called(program, match["call"]) or "")
        return next((one for one in outer.members if offered(one) == match["member"]), None) if outer else None
    return None


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


def _plain(talk: Talk) -> str:
    """The shortest name of a conversation's replies: its node's for who began it, else the agent's."""
    last = talk.path.rpartition(".")[2]
    return bare(last) if talk.first and "#" not in last else talk.agent


def _answer(response: Mapping[str, Any]) -> Entry:
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


# ---------------------------------------------------------------- handlers elsewhere


def _services(calls: Sequence[Elsewhere], names: Names) -> dict[str, Json]:
    """What they gave; where that differs, by what they were given."""
    by_handler: dict[str, list[tuple[Json, Entry]]] = {}
    for call in calls:
        if not call.ended:
            gave: Entry = {"error": "no answer", "delay": duration(NEVER)}
        elif call.failed is not None:
            code = call.failed.get("code")
            legal = code if isinstance(code, int) and 400 <= code <= 599 else 500
            gave = {"fail": {"message": _literal(str(call.failed.get("message"))), "code": legal}}
        else:
            gave = {"return": _literal(_fitting(call.value, names.services.get(call.handler), names.types))}
        by_handler.setdefault(call.handler, []).append((call.args, gave))
    found: dict[str, Json] = {}
    for handler, given in by_handler.items():
        entries: list[Json] = [given[0][1]]
        if any(entry != given[0][1] for _, entry in given):
            entries = [{**_where(args), **entry} for args, entry in given]
        found[handler] = entries[0] if len(entries) == 1 else entries
    return found


def _where(args: Json) -> Entry:
    """A condition that holds for a call with these arguments."""
    told = args if isinstance(args, dict) else {"message": args}
    plain = [(name, value) for name, value in told.items() if isinstance(value, str | int | float)]
    conditions = [f"args.{name} == {json.dumps(value)}" for name, value in plain if name.isidentifier()]
    return {"if": " and ".join(conditions)} if conditions else {}


# ---------------------------------------------------------------- the case


def recorded(
    admin: Admin,
    ingress: Ingress,
    programs: Sequence[ir.Program],
    key: str,
    answer: Answer,
    invocation: str | None = None,
) -> dict[str, Json]:
    """The case that a run of `programs[0]` is; of an object, the conversation up to the message that `invocation` is.

    Raises CannotRecord where the engine no longer has its journal.
    """
    graph = programs[0]
    names = {program.name: program for program in programs}
    known = history.read(admin, graph, set(names), key, invocation)
    answers = [ingress.result(one.invocation.id, timeout=60) for one in known.said[:-1]] + [answer]
    overlaps = any(now.created < before.ended for before, now in zip(known.said, known.said[1:], strict=False))
    recording = Recording(
        names, overlaps or _depends_on_time(programs, known, answer), [one.input for one in known.said]
    )
    for step in known.steps:
        recording.take(step)
    case: dict[str, Json] = {"now": _moment(known.began)}
    case |= _told(known, graph)
    if replies := recording.replies():
        case["replies"] = replies
    if stubs := recording.stubs():
        case["tools"] = stubs
    if services := _services(known.elsewhere, Names.of(programs)):
        case["services"] = services
    if graph.kind == "workflow" and (events := _events(admin, graph.name, key, known.began)):
        case["events"] = events
    case |= _decisions(admin, graph.name, list(names), list(known.graphs))
    expected = _expected(answers, graph)
    if expected.get("state") == "cancelled" and (end := known.end()) is not None:
        case["cancel"] = duration(max(round((end - known.began) * 1000), 1))
    case["expect"] = _lasting(expected, known)
    if graph.kind != "service" and key in json.dumps(case["expect"], ensure_ascii=False):
        case = {"key": key, **case}
    masked: dict[str, Json] = json.loads(mask(json.dumps(case, ensure_ascii=False)))
    return masked


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _told(known: History, graph: ir.Program) -> dict[str, Json]:
    """Its input; of several messages each, and when it came, if that was before the others were answered."""
    if len(known.said) == 1 or graph.kind != "object":
        return {"input": known.said[0].input}
    messages: list[Json] = []
    for at, one in enumerate(known.said):
        early = at > 0 and one.created < max(before.ended for before in known.said[:at])
        after = round((one.created - known.said[0].created) * 1000)
        messages.append({"input": one.input, **({"after": duration(after)} if early and after > 0 else {})})
    return {"messages": messages}


def _depends_on_time(programs: Sequence[ir.Program], known: History, answer: Answer) -> bool:
    """Whether what came of it may depend on how long its steps took."""
    nodes = (node for program in programs for node in everything(program))
    races = any(isinstance(node.op, ir.Fan | ir.Each) and node.op.join != "all" for node in nodes)
    return races or answer.status >= 300 or any(step.outcome is None or _cut(step.outcome) for step in known.steps)


def _events(admin: Admin, graph: str, key: str, started: float) -> list[Json]:
    """The messages that came to the run, and when."""
    rows = admin.query(
        f"select id from sys_invocation where target_service_name = {text(f'{graph}.inbox')} "
        f"and target_service_key = {text(key)} and target_handler_name = 'put' order by created_at"
    )
    if not rows:
        return []
    ids = ", ".join(text(str(row["id"])) for row in rows)
    entries = admin.query(
        f"select id, name, entry_type, entry_json from sys_journal where id in ({ids}) "
        "and entry_type in ('Command: Input', 'Notification: Run') order by appended_at, index"
    )
    sent: dict[str, dict[str, Json]] = {str(row["id"]): {} for row in rows}
    for row in entries:
        entry = json.loads(str(row["entry_json"]))
        if row["entry_type"] == "Command: Input":
            given = json.loads(bytes(entry["Command"]["Input"]["payload"]))
            sent[str(row["id"])] |= {"name": given["name"], "data": given["data"]}
        elif (success := entry["Notification"]["Completion"]["Run"]["result"].get("Success")) is not None:
            outcome = json.loads(bytes(success))
            after = round((float(outcome["at"]) - started) * 1000) if isinstance(outcome, dict) else 0
            if after > 0:
                sent[str(row["id"])]["after"] = duration(after)
    return [event for event in sent.values() if event]


def _decisions(admin: Admin, own: str, graphs: Sequence[str], invocations: Sequence[str]) -> dict[str, Json]:
    """What people decided, and when: `approvals` and `asks`, each by node, of called graphs with their name before."""
    services = ", ".join(text(f"{graph}.approvals") for graph in graphs)
    rows = admin.query(f"select value_utf8 from state where key = 'gate' and service_name in ({services})")
    promises = admin.query(
        "select service_name, service_key, completion_success_value_utf8 as value from sys_promise "
        f"where key = 'decision' and service_name in ({services})"
    )
    given = {f"{str(row['service_name']).removesuffix('.approvals')}/{row['service_key']}": row for row in promises}
    gates = [json.loads(str(row["value_utf8"])) for row in rows]
    mine = [gate for gate in gates if any(str(gate["run"]).startswith(id.removeprefix("inv_")) for id in invocations)]
    found: dict[str, dict[str, list[Json]]] = {"approvals": {}, "asks": {}}
    for gate in sorted(mine, key=lambda gate: str(gate["opened"])):
        promise = given.get(gate["id"])
        node = gate["node"] if gate["graph"] == own else f"{gate['graph']}/{gate['node']}"
        kind = "asks" if gate.get("kind") == "ask" else "approvals"
        decision = _decision(gate, json.loads(str(promise["value"])) if promise else {})
        found[kind].setdefault(node, []).append(decision)
    several = [
        (kind, {node: said[0] if len(said) == 1 else said for node, said in of.items()}) for kind, of in found.items()
    ]
    return {kind: {**of} for kind, of in several if of}


def _decision(gate: Mapping[str, Any], decision: Mapping[str, Any]) -> Json:
    verb = {"approved": "approve", "rejected": "reject", "answered": "answer"}.get(gate["state"])
    if verb is None or not gate.get("by"):
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


# ---------------------------------------------------------------- what is expected


def _expected(answers: Sequence[Answer], graph: ir.Program) -> dict[str, Json]:
    outcomes = [of_answer(answer, {"state": {}, "calls": ()}, graph.name) for answer in answers]
    last = outcomes[-1]
    if len(outcomes) > 1:
        outputs: list[Json] = [one.output if one.error is None else {"error": _error(one.error)} for one in outcomes]
        return {"state": last.state, "outputs": outputs}
    if last.state == "succeeded":
        return {"state": "succeeded", "output": last.output}
    expected: dict[str, Json] = {"state": last.state, "error": _error(last.error or {})}
    if last.undone:
        expected["undone"] = [str(entry["node"]) for entry in last.undone]
    return expected


def _error(error: Mapping[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in error.items() if name in ("kind", "code") and value}


_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
_LEFT_OUT = object()


def _lasting(expected: dict[str, Json], known: History) -> dict[str, Json]:
    """Without the times at which things happened to happen, and ids: they are others in each run."""
    found = _without(expected, known)
    return found if isinstance(found, dict) else {}


def _without(value: Any, known: History) -> Any:
    if isinstance(value, dict):
        kept = {name: _without(each, known) for name, each in value.items()}
        return {name: each for name, each in kept.items() if each is not _LEFT_OUT}
    if isinstance(value, list):
        items = [_without(each, known) for each in value]
        return _LEFT_OUT if any(item is _LEFT_OUT for item in items) else items
    if isinstance(value, str):
        ids = [id.removeprefix("inv_") for id in known.graphs]
        if any(_happened(match[0], known.began) for match in _TIME.finditer(value)) or any(id in value for id in ids):
            return _LEFT_OUT
    return value


def _happened(moment: str, began: float) -> bool:
    """After the run began, whose beginning is the case's too, and before now."""
    try:
        return began + 0.001 < datetime.fromisoformat(moment).timestamp() < datetime.now(UTC).timestamp()
    except ValueError:
        return False


__all__ = ["CannotRecord", "Recording", "recorded"]
