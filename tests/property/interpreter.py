"""The language, evaluated straightforwardly: what a graph comes to, from its data alone.

Covers values, `when`, `needs`, groups, steps, switch, parallel, for_each, loop, fail, `on_error`, tools, agents that
answer as a file says, waits, approvals, compensation of what was done or tried, and `finally`.
What runs side by side has no order of its own. So where something fails, it is told what surely happened, what may have
happened beside it, and the errors of which one is the run's. What depends on who is faster is `Ambiguous`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentflow.runtime import templates

OUTCOMES = "__outcomes__"


class Ambiguous(Exception):
    """The result depends on who is faster."""


@dataclass(frozen=True)
class Error:
    kind: str
    code: int
    message: str
    node: str

    def as_json(self) -> dict[str, Any]:
        return vars(self)


@dataclass
class Log:
    """Effects, by their names."""

    must: set[str] = field(default_factory=set)  # surely happened
    may: set[str] = field(default_factory=set)  # may have
    undoable: set[str] = field(default_factory=set)
    tried: set[str] = field(default_factory=set)  # may be undone though it did not happen
    back: set[str] = field(default_factory=set)  # undone where they happened, however the run ends
    order: set[tuple[str, str]] = field(default_factory=set)  # the first before the second

    @property
    def all(self) -> set[str]:
        return self.must | self.may

    def taking(self, other: Log, after: Iterable[str] = (), surely: bool = True) -> None:
        """Adds what happened elsewhere, after something."""
        self.order |= other.order | {(before, name) for before in after for name in other.all}
        if surely:
            self.must |= other.must
            self.may |= other.may
        else:
            self.may |= other.all
        self.undoable |= other.undoable
        self.tried |= other.tried
        self.back |= other.back


@dataclass
class Done:
    """What came of a node: a value, or the errors that may have ended it."""

    log: Log
    value: Any = None
    errors: tuple[Error, ...] = ()
    outcome: str | None = None

    @property
    def failed(self) -> bool:
        return bool(self.errors)


Spec = Mapping[str, Any]
Scope = Mapping[str, Any]


def tool(name: str, args: Mapping[str, Any], path: str) -> tuple[Any, Error | None]:
    """What the lab's tools do."""
    fail = args.get("fail", "")
    if fail == "terminal":
        return None, Error("tool", 402, f"{args['name']} refuses", path)
    if fail == "tool":
        return None, Error("tool", 500, f"{args['name']} does not want to", path)
    if fail == "error":
        return None, Error("tool", 500, "", path)
    match name:
        case "act":
            return {"id": args["name"], "ok": True}, None
        case "work":
            return f"did {args['name']}", None
        case "add":
            return args["number"] + args.get("more", 1), None
        case "upto":
            return list(range(1, min(max(args["number"], 0), 4) + 1)), None
    raise AssertionError(name)


class Interpreter:
    def __init__(self, graph: Spec, replies: Mapping[str, Any]) -> None:
        self.graph = graph
        self.replies = replies

    def run(self, given: Mapping[str, Any]) -> Done:
        scope = {"input": given, OUTCOMES: {}}
        nodes = self.graph.get("steps") or self.graph["nodes"]
        spec = {**({"output": self.graph["output"]} if "output" in self.graph else {})}
        done, _ = self.block(nodes, spec, scope, "", "steps" in self.graph)
        return done

    # ------------------------------------------------------------ one node

    def node(self, name: str, spec: Spec, scope: Scope, path: str) -> Done:
        if "when" in spec and not templates.expression(spec["when"], scope):
            return Done(Log(), outcome="skipped")
        done = self.body(spec, scope, path)
        on_error = spec.get("on_error", "fail")
        if not done.failed or on_error == "fail":
            return done
        log = done.log
        log.back |= (log.all & log.undoable) | log.tried
        if on_error == "continue":
            return Done(log, outcome="failed")
        results = [self.instead(on_error, scope, path, error) for error in done.errors]
        first = results[0]
        if any((one.value, one.errors, one.log) != (first.value, first.errors, first.log) for one in results):
            raise Ambiguous("what is done about an error depends on which it is")
        log.taking(first.log, after=set(log.all))
        return Done(log, first.value, first.errors, "failed")

    def instead(self, on_error: Spec, scope: Scope, path: str, error: Error) -> Done:
        inner = {**scope, "error": error.as_json()}
        if "use" in on_error:
            return Done(Log(), templates.value(on_error["use"], inner))
        return self.node("on_error", on_error["run"], inner, f"{path}.on_error")

    def body(self, spec: Spec, scope: Scope, path: str) -> Done:
        if "value" in spec:
            return Done(Log(), templates.value(spec["value"], scope))
        if "fail" in spec:
            message = templates.text(spec["fail"], scope)
            return Done(Log(), errors=(Error("fail", spec.get("code", 500), message, path),))
        if "tool" in spec:
            return self.call(spec, scope, path)
        if "agent" in spec:
            return self.agent(spec, scope, path)
        if "wait" in spec:
            return Done(Log(), "some time")
        if "approval" in spec:
            return self.approval(spec, scope, path)
        if "nodes" in spec or "steps" in spec:
            return self.block(spec.get("nodes") or spec["steps"], spec, scope, path, "steps" in spec)[0]
        if "switch" in spec:
            return self.switch(spec, scope, path)
        if "loop" in spec:
            return self.loop(spec, scope, path)
        if "parallel" in spec:
            return self.parallel(spec, scope, path)
        return self.each(spec, scope, path)

    def call(self, spec: Spec, scope: Scope, path: str) -> Done:
        args = templates.value(dict(spec.get("with", {})), scope)
        assert isinstance(args, dict)
        value, error = tool(spec["tool"], args, path)
        log = Log()
        if spec.get("compensate", {}).get("on") == "attempted":
            log.tried.add(str(args["name"]))
        if error is not None:
            return Done(log, errors=(error,))
        if spec["tool"] in ("act", "work"):
            log.must.add(str(args["name"]))
            if "compensate" in spec or "compensate" in self.graph["tools"][spec["tool"]]:
                log.undoable.add(str(args["name"]))
        return Done(log, value)

    def agent(self, spec: Spec, scope: Scope, path: str) -> Done:
        prompt = {"prompt": templates.text(spec["prompt"], scope), "turn": 1}
        entries = self.replies[spec["agent"]]
        entry = next(one for one in entries if templates.expression(one.get("if", "true"), prompt))
        if "error" in entry:
            return Done(Log(), errors=(Error("model", entry["error"], "", path),))
        return Done(Log(), entry["say"])

    def approval(self, spec: Spec, scope: Scope, path: str) -> Done:
        """People decide as the message says, and where it says nothing, nobody does."""
        word = templates.text(spec["approval"], scope).split()[0]
        if word in ("yes", "no"):
            approved, kind = word == "yes", "rejected"
        else:
            approved, kind = spec["on_timeout"] == "approve", "expired"
            if spec["on_timeout"] == "fail":
                return Done(Log(), errors=(Error("expired", 504, "", path),))
        if not approved and spec["on_reject"] == "fail":
            return Done(Log(), errors=(Error(kind, 422, "", path),))
        return Done(Log(), {"approved": approved})

    # ------------------------------------------------------------ several

    def block(
        self, nodes: Mapping[str, Spec], spec: Spec, scope: Scope, path: str, ordered: bool
    ) -> tuple[Done, dict[str, Any]]:
        """The nodes of a scope, each after those that it needs."""
        edges = chain(nodes) if ordered else {name: refers(one, nodes) for name, one in nodes.items()}
        inner: dict[str, Any] = {**scope, OUTCOMES: dict(scope[OUTCOMES])}
        done: dict[str, Done] = {}
        above: dict[str, set[str]] = {}
        left = dict(edges)
        while left:
            name = next((one for one in left if all(need not in left for need in left[one])), None)
            assert name is not None, "a cycle"
            needs = left.pop(name)
            above[name] = set(needs).union(*(above[need] for need in needs))
            if all(need in done and not done[need].failed for need in needs):
                done[name] = one = self.node(name, nodes[name], inner, f"{path}.{name}" if path else name)
                if not one.failed:
                    inner[name] = one.value
                    if one.outcome:
                        inner[OUTCOMES][name] = one.outcome
        result = together({name: (one, {need for need in above[name] if need in done}) for name, one in done.items()})
        if result.failed:
            return result, inner
        if "output" in spec:
            result.value = templates.value(spec["output"], inner)
        elif len(nodes) == 1:
            result.value = next(iter(done.values())).value
        else:
            result.value = {name: done[name].value for name in nodes}
        return result, inner

    def switch(self, spec: Spec, scope: Scope, path: str) -> Done:
        subject = templates.expression(spec["switch"], scope)
        for key, case in spec["cases"].items():
            if key == subject and isinstance(key, bool) is isinstance(subject, bool):
                label = str(key).lower() if isinstance(key, bool) else str(key)
                return self.case(label, case, scope, path)
        return self.case("default", spec["default"], scope, path)

    def case(self, label: str, spec: Spec, scope: Scope, path: str) -> Done:
        """The switch has the value of its case, but not its outcome: skipped, or failed with something in its place."""
        done = self.node(label, spec, scope, f"{path}.{label}")
        return Done(done.log, done.value, done.errors)

    def loop(self, spec: Spec, scope: Scope, path: str) -> Done:
        previous = templates.value(spec["start"], scope) if "start" in spec else None
        log = Log()
        for index in range(1, spec["max"] + 1):
            round_scope = {**scope, "index": index, "previous": previous}
            done, inner = self.block(spec["loop"], spec, round_scope, f"{path}[{index}]", False)
            log.taking(done.log, after=set(log.all))
            if done.failed:
                return Done(log, errors=done.errors)
            previous = done.value
            if templates.expression(spec["until"], inner):
                return Done(log, previous)
        if spec.get("on_max", "fail") == "fail":
            return Done(log, errors=(Error("limit", 500, "", path),))
        return Done(log, previous)

    def parallel(self, spec: Spec, scope: Scope, path: str) -> Done:
        branches = {name: self.node(name, one, scope, f"{path}.{name}") for name, one in spec["parallel"].items()}
        result = self.join(spec, path, branches, None)
        if not result.failed and spec.get("join", "all") not in ("any", "first"):
            result.value = {name: one.value for name, one in branches.items()}
        return result

    def each(self, spec: Spec, scope: Scope, path: str) -> Done:
        over = spec["for_each"]
        items = templates.expression(over, scope) if isinstance(over, str) else templates.value(over, scope)
        assert isinstance(items, list)
        name = spec.get("as", "item")
        width = spec.get("max_parallel", 10)
        results: dict[Any, Done] = {}
        for index, item in enumerate(items, 1):
            results[index] = self.node("do", spec["do"], {**scope, name: item, "index": index}, f"{path}[{index}]")
        result = self.join(spec, path, results, width)
        if not result.failed and spec.get("join", "all") not in ("any", "first"):
            result.value = [one.value for one in results.values()]
        return result

    def join(self, spec: Spec, path: str, results: Mapping[Any, Done], width: int | None) -> Done:
        join = spec.get("join", "all")
        labels = list(results)
        if join == "all" and spec.get("on_failure", "fail_fast") == "fail_fast":
            before = {label: set(labels[:at]) if width == 1 else set() for at, label in enumerate(labels)}
            return together({label: (one, before[label]) for label, one in results.items()})
        for one in results.values():
            if one.failed:
                one.log.back |= (one.log.all & one.log.undoable) | one.log.tried
        log = Log()
        if join == "all":
            for one in results.values():
                log.taking(one.log)
            return Done(log)
        wanted = 1 if join == "any" else join
        won = {label: one for label, one in results.items() if not one.failed and one.outcome != "skipped"}
        if join == "first" or len(won) > wanted:
            raise Ambiguous("who wins depends on who is faster")
        for label, one in results.items():
            # Out of reach is known before all have ended; and a winner does not wait for those that fail.
            log.taking(one.log, surely=label in won and len(won) == wanted)
        if len(won) < wanted:
            return Done(log, errors=(Error("join", 500, "", path),))
        value = {"winner": next(iter(won)), "value": next(iter(won.values())).value} if join == "any" else None
        return Done(log, value)


def together(results: Mapping[Any, tuple[Done, set[Any]]]) -> Done:
    """What came of several that run side by side, each after some of the others; one failure ends them all."""
    log = Log()
    failing = {name for name, (one, _) in results.items() if one.failed}
    sure = set(results)
    for name in failing:
        sure &= results[name][1] | {name}
    for name, (one, above) in results.items():
        if above & failing:
            continue  # never began
        before = {effect for need in above for effect in results[need][0].log.all}
        log.taking(one.log, before, surely=name in sure)
    errors = tuple(
        error
        for name in results
        if name in failing and not results[name][1] & failing
        for error in results[name][0].errors
    )
    return Done(log, errors=errors)


def chain(names: Iterable[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    last: set[str] = set()
    for name in names:
        found[name], last = last, {name}
    return found


def refers(spec: Spec, names: Iterable[str]) -> set[str]:
    """Which of the names a node refers to, anywhere in it, or needs."""
    words = set(re.findall(r"\bn\d+\b", " ".join(texts(spec))))
    return words & set(names)


def texts(data: Any) -> Sequence[str]:
    if isinstance(data, str):
        return [data]
    values = data.values() if isinstance(data, Mapping) else data if isinstance(data, list) else []
    return [text for value in values for text in texts(value)]


__all__ = ["Ambiguous", "Done", "Error", "Interpreter", "Log"]
