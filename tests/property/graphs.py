"""Random graphs that are right: typed, null-safe, and with nothing that the compiler would refuse.

`made(seed)` gives a graph as data. Node names are unique in a graph (`n1`, `n2`), effects have unique names (`e1`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any

INPUT = {"n": "integer", "m": "integer", "s": "string", "b": "boolean", "c": "boolean", "items": ["integer"]}
UNDO = {"tool": "undo", "with": {"name": "{{ args.name }}"}}
TOOLS: dict[str, Any] = {
    "act": {"python": "tools.lab:act", "retry": {"attempts": 1}, "compensate": UNDO},
    "work": {"python": "tools.lab:work", "retry": {"attempts": 1}},
    "undo": {"python": "tools.lab:undo"},
    "add": {"python": "tools.lab:add", "effect": "read"},
    "upto": {"python": "tools.lab:upto", "effect": "read"},
}  # fmt: skip
LITERALS = {"int": "7", "str": "'none'", "bool": "false"}
FAILURES = ("tool", "terminal", "error")
REFUSED = "the provider does not like it"  # in a prompt: the model's call fails for good
REPLIES: dict[str, Any] = {
    "echo": [
        {"if": f"'{REFUSED}' in prompt", "error": 400},
        {"if": "'bee' in prompt", "say": "a word about bees"},
        {"if": "prompt | length > 20", "say": "long"},
        {"say": "x"},
    ],
    "judge": [
        {"if": f"'{REFUSED}' in prompt", "error": 400},
        {"if": "'1' in prompt or 'x' in prompt", "say": {"ok": True, "word": "none"}},
        {"say": {"ok": False, "word": "a"}},
    ],
}
AGENTS: dict[str, Any] = {
    "echo": {"instruction": "You answer.", "model": "gemini-2.5-flash"},
    "judge": {"instruction": "You judge.", "model": "gemini-2.5-flash", "returns": {"ok": "boolean", "word": "string"}},
}

Type = Any  # int, str, bool; ("list", type, nullable); ("object", {field: (type, nullable)})


@dataclass(frozen=True)
class Var:
    text: str  # as it stands in an expression
    type: Type
    nullable: bool = False
    node: bool = False  # it is skipped, or failed, or neither


@dataclass(frozen=True)
class Place:
    """Where a node is made: what it sees, and what it may be."""

    scope: tuple[Var, ...]
    depth: int
    indices: tuple[str, ...] = ()  # what tells executions of the same node apart
    safe: bool = False  # nothing in it fails

    def seeing(self, *more: Var) -> Place:
        return replace(self, scope=(*self.scope, *more))

    def deeper(self, **more: Any) -> Place:
        return replace(self, depth=self.depth + 1, **more)


@dataclass
class Maker:
    random: random.Random
    name: str
    nodes: int = 0
    effects: int = 0
    fails: float = field(default=0.0)  # how likely a call is to fail
    agents: set[str] = field(default_factory=set)  # that are used

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def fresh(self) -> str:
        self.nodes += 1
        return f"n{self.nodes}"

    # ------------------------------------------------------------ expressions

    def expression(self, type: Type, scope: tuple[Var, ...], depth: int = 0) -> str:
        """An expression that is never null."""
        known = self.known(type, scope)
        if known and self.chance(0.6):
            return self.random.choice(known)
        if depth > 2 or self.chance(0.3):
            return self.literal(type)

        def inner(type: Type) -> str:
            return self.expression(type, scope, depth + 1)

        match type:
            case "int":
                forms = [f"({inner('int')} {self.random.choice('+-*')} {inner('int')})"]
                lists = [var.text for var in scope if isinstance(var.type, tuple) and var.type[0] == "list"]
                lists = [text for text in lists if not self.nullable(text, scope)]
                forms += [f"({self.random.choice(lists)} | length)"] if lists else []
                forms += [f"({inner('int')} if {inner('bool')} else {inner('int')})", f"({inner('str')} | length)"]
            case "str":
                forms = [f"({inner('str')} ~ '-' ~ {inner('int')})", f"({inner('str')} | upper)"]
                forms += [f"({inner('str')} ~ {inner('str')})"]
            case "bool":
                forms = [f"({inner('int')} {self.random.choice(['<', '>', '<=', '>='])} input.m)"]
                forms += [
                    f"({inner('bool')} {self.random.choice(['and', 'or'])} {inner('bool')})",
                    f"(not {inner('bool')})",
                ]
                nodes = [var for var in scope if var.node and var.nullable]
                if nodes:
                    about = self.random.choice(nodes).text
                    forms += [f"({about} is {self.random.choice(['skipped', 'not skipped', 'failed', 'none'])})"]
            case _:
                return self.literal(type)
        return self.random.choice(forms)

    def nullable(self, text: str, scope: tuple[Var, ...]) -> bool:
        return next(var.nullable for var in reversed(scope) if var.text == text)

    def known(self, type: Type, scope: tuple[Var, ...]) -> list[str]:
        """What in scope is of a type, or has a field that is."""
        found = []
        for var in scope:
            if var.type == type:
                found.append(self.given(var.text, type, var.nullable))
            elif isinstance(var.type, tuple) and var.type[0] == "object":
                for name, (inner, nullable) in var.type[1].items():
                    if inner == type:
                        found.append(self.given(f"{var.text}.{name}", type, var.nullable or nullable))
        return found

    def given(self, text: str, type: Type, nullable: bool) -> str:
        return f"({text} | default({self.literal(type)}))" if nullable else text

    def literal(self, type: Type) -> str:
        if type == "int":
            return str(self.random.randint(0, 9))
        if type == "str":
            return self.random.choice(["'a'", "'bee'", "'none'"])
        if type == "bool":
            return self.random.choice(["input.b", "input.c"])
        assert isinstance(type, tuple) and type[0] == "list", type
        return "input.items"

    def value(self, type: Type, scope: tuple[Var, ...]) -> str:
        return "{{ " + self.expression(type, scope) + " }}"

    # ------------------------------------------------------------ nodes

    def node(self, type: Type, place: Place) -> tuple[dict[str, Any], bool]:
        """A node whose value is of a type, and whether it may be null."""
        simple = {"int": [self.let, self.call], "str": [self.let, self.call], "bool": [self.let]}
        makers = [*simple.get(type if isinstance(type, str) else "", [self.let])] * (2 if place.depth < 3 else 1)
        if place.depth < 3 and isinstance(type, str):
            makers += [self.group, self.steps, self.switch, self.loop, self.race, self.gate, self.late]
        spec, nullable = self.random.choice(makers)(type, place)
        return self.dressed(spec, nullable, type, place)

    def dressed(self, spec: dict[str, Any], nullable: bool, type: Type, place: Place) -> tuple[dict[str, Any], bool]:
        """With `when` and `on_error`, at times."""
        spec = dict(spec)
        if isinstance(type, str) and self.chance(0.35 if self.fails else 0.05):
            how = self.random.choice(["continue", "use", "run"])
            if how == "continue":
                spec["on_error"], nullable = "continue", True
            elif how == "use":
                spec["on_error"] = {"use": self.value(type, place.scope)}
            else:
                told = replace(place, depth=9).seeing(Var("error.code", "int"), Var("error.kind", "str"))
                instead, may = self.node(type, told)
                spec["on_error"] = {"run": instead}
                nullable = nullable or may
        if self.chance(0.25):
            spec["when"] = self.expression("bool", place.scope)
            nullable = True
        return spec, nullable

    def let(self, type: Type, place: Place) -> tuple[dict[str, Any], bool]:
        return {"value": self.value(type, place.scope)}, False

    def call(self, type: Type, place: Place) -> tuple[dict[str, Any], bool]:
        if type == "int":
            return {"tool": "add", "with": {"number": self.value("int", place.scope)}}, False
        if self.chance(0.25):
            return self.agent("echo", place), False
        spec: dict[str, Any] = {"tool": "work", "with": self.effect(place)}
        if self.chance(0.3):
            spec["compensate"] = {**UNDO, "on": "attempted"} if self.chance(0.5) else UNDO
        return spec, False

    def agent(self, name: str, place: Place) -> dict[str, Any]:
        self.agents.add(name)
        prompt = f"{self.value('str', place.scope)} and {self.value('int', place.scope)}"
        return {"agent": name, "prompt": f"{prompt}: {REFUSED}" if self.chance(self.fails / 2) else prompt}

    def gate(self, type: Type, place: Place) -> tuple[dict[str, Any], bool]:
        """What a person decides as the message says, or nobody in time; then a value that tells it."""
        asked, told = self.fresh(), self.fresh()
        self.effects += 1
        decision, more = f"{{{{ 'yes' if {self.expression('bool', place.scope)} else 'no' }}}}", {}
        if self.chance(0.5):
            ends = ["approve", "reject", "fail"] if self.fails else ["approve", "reject"]
            decision, more = "silence", {"timeout": "20ms", "on_timeout": self.random.choice(ends)}
        ends_run = self.chance(self.fails)
        gate = {"approval": f"{decision} e{self.effects}", "approvers": ["ann"], **more}
        gate["on_reject"] = "fail" if ends_run else "continue"
        chosen = f"{self.expression(type, place.scope)} if {asked}.approved else {self.expression(type, place.scope)}"
        return {"steps": {asked: gate, told: {"value": f"{{{{ {chosen} }}}}"}}, "output": f"{{{{ {told} }}}}"}, False

    def late(self, type: Type, place: Place) -> tuple[dict[str, Any], bool]:
        """A node after a short wait, which may be skipped."""
        wait, name = self.fresh(), self.fresh()
        spec, nullable = self.node(type, place.deeper())
        first: dict[str, Any] = {"wait": self.random.choice(["1ms", "20ms"])}
        if self.chance(0.3):
            first["when"] = self.expression("bool", place.scope)
        return {"steps": {wait: first, name: spec}, "output": f"{{{{ {name} }}}}"}, nullable

    def act(self, place: Place) -> tuple[dict[str, Any], bool, Type]:
        spec: dict[str, Any] = {"tool": "act", "with": self.effect(place)}
        nullable = False
        if self.chance(0.2):
            spec["on_error"], nullable = "continue", True
        return spec, nullable, ("object", {"id": ("str", False), "ok": ("bool", False)})

    def effect(self, place: Place) -> dict[str, Any]:
        self.effects += 1
        given = {"name": "-".join([f"{self.name}.e{self.effects}", *(f"{{{{ {one} }}}}" for one in place.indices)])}
        if self.chance(self.fails):
            how = self.random.choice(FAILURES)
            certain = self.chance(0.3)
            given["fail"] = how if certain else f"{{{{ '{how}' if {self.expression('bool', place.scope)} else '' }}}}"
        return given

    def block(self, place: Place, ordered: bool, least: int = 1) -> tuple[dict[str, Any], tuple[Var, ...]]:
        """Nodes of one scope, and what they are to those that follow."""
        nodes: dict[str, Any] = {}
        seen: tuple[Var, ...] = ()
        for _ in range(self.random.randint(least, 4)):
            name, inside = self.fresh(), place.seeing(*seen).deeper()
            if ordered and self.chance(self.fails / 2):
                stop = {
                    "fail": "Stop " + self.value("str", inside.scope),
                    "when": self.expression("bool", inside.scope),
                }
                nodes[name] = {**stop, "code": self.random.choice([400, 422, 500, 503])}
                continue
            spec, var = self.any_node(name, inside)
            if not ordered and seen and self.chance(0.2):
                others = [other for other in nodes if not nodes[other].get("fail")]
                spec["needs"] = [self.random.choice(others)]
            nodes[name] = spec
            seen = (*seen, var)
        if not seen:
            name = self.fresh()
            nodes[name], seen = {"value": 1}, (Var(name, "int", node=True),)
        if not ordered and self.chance(0.5):
            nodes = dict(self.random.sample(list(nodes.items()), len(nodes)))
        return nodes, seen

    def any_node(self, name: str, place: Place) -> tuple[dict[str, Any], Var]:
        """A node of some type."""
        kind = self.random.choice(
            ["int", "str", "bool", "int", "str", "act", "act", "each", "all", "upto", "object", "judge"]
        )
        if place.depth > 3 and kind in ("each", "all", "object"):
            kind = "act"
        type: Type
        if kind == "act":
            spec, nullable, type = self.act(place)
        elif kind == "judge":
            spec, nullable = self.agent(kind, place), False
            type = ("object", {"ok": ("bool", False), "word": ("str", False)})
        elif kind == "each":
            spec, nullable, type = self.each(place)
        elif kind == "all":
            spec, nullable, type = self.all(place)
        elif kind == "upto":
            spec, nullable, type = (
                {"tool": "upto", "with": {"number": self.value("int", place.scope)}},
                False,
                ("list", "int", False),
            )  # noqa: E501
        elif kind == "object":
            nodes, seen = self.block(place, ordered := self.chance(0.5), 2)
            spec, nullable = {"steps" if ordered else "nodes": nodes}, False
            type = ("object", {var.text: (var.type, var.nullable) for var in seen})
            if len(nodes) != len(seen) or len(nodes) == 1:
                spec["output"] = {var.text: f"{{{{ {var.text} }}}}" for var in seen}
            if self.chance(0.3):
                spec["on_error"], nullable = "continue", True
        else:
            type = kind
            spec, nullable = self.node(kind, place)
        if kind in ("act", "each", "all", "upto", "object", "judge") and self.chance(0.2):
            spec["when"] = self.expression("bool", place.scope)
            nullable = True
        return spec, Var(name, type, nullable, node=True)

    def group(self, type: Type, place: Place) -> tuple[dict[str, Any], bool]:
        nodes, seen = self.block(place, False)
        return {"nodes": nodes, "output": self.value(type, (*place.scope, *seen))}, False

    def steps(self, type: Type, place: Place) -> tuple[dict[str, Any], bool]:
        nodes, seen = self.block(place, True)
        return {"steps": nodes, "output": self.value(type, (*place.scope, *seen))}, False

    def switch(self, type: Type, place: Place) -> tuple[dict[str, Any], bool]:
        inside = place.deeper()

        def case() -> tuple[dict[str, Any], bool]:
            if self.chance(self.fails / 2):
                return {"fail": "No case for " + self.value("str", place.scope), "code": 404}, False
            return self.node(type, inside)

        if self.chance(0.5):
            cases: dict[Any, tuple[dict[str, Any], bool]] = {True: self.node(type, inside), False: case()}
            spec: dict[str, Any] = {"switch": self.expression("bool", place.scope)}
            others: list[tuple[dict[str, Any], bool]] = []
        else:
            cases = {number: self.node(type, inside) for number in self.random.sample(range(6), 2)}
            others = [case()]
            spec = {"switch": self.expression("int", place.scope), "default": others[0][0]}
        spec["cases"] = {key: one for key, (one, _) in cases.items()}
        return spec, any(nullable for _, nullable in [*cases.values(), *others])

    def loop(self, type: Type, place: Place) -> tuple[dict[str, Any], bool]:
        if place.indices:
            return self.let(type, place)
        start = self.chance(0.5)
        inside = place.seeing(Var("index", "int"), Var("previous", type, not start))
        nodes, seen = self.block(replace(inside, indices=("index",)), False)
        scope = (*inside.scope, *seen)
        most = self.random.randint(1, 4)
        spec = {"loop": nodes, "max": most, "output": self.value(type, scope)}
        spec["until"] = f"index >= {self.random.randint(1, 5)} or {self.expression('bool', scope)}"
        spec["on_max"] = self.random.choice(["fail", "continue", "continue"]) if self.fails else "continue"
        if start:
            spec["start"] = self.value(type, place.scope)
        return spec, False

    def race(self, type: Type, place: Place) -> tuple[dict[str, Any], bool]:
        """A race that one wins for sure, since the others fail or are skipped: its value, in a group."""
        if type != "str":
            return self.let(type, place)
        good, _ = self.node(type, replace(place, depth=9))
        good.pop("when", None)
        wins, race = self.fresh(), self.fresh()
        branches = {wins: good}
        for _ in range(self.random.randint(1, 2)):
            fails = {**self.effect(place), "fail": self.random.choice(FAILURES)}
            branches[self.fresh()] = {"tool": "work", "with": fails}
        branches = dict(self.random.sample(list(branches.items()), len(branches)))
        if self.chance(0.3):
            spec = {"parallel": branches, "join": 1}
            return {"nodes": {race: spec}, "output": f"{{{{ {race}.{wins} | default('lost') }}}}"}, False
        spec = {"parallel": branches, "join": "any"}
        return {"nodes": {race: spec}, "output": f"{{{{ {race}.value | default('lost') }}}}"}, False

    def each(self, place: Place) -> tuple[dict[str, Any], bool, Type]:
        if place.indices:
            return (*self.let(("list", "int", False), place), ("list", "int", False))
        type = self.random.choice(["int", "str"])
        inside = place.seeing(Var("item", "int"), Var("index", "int"))
        do, nullable = self.node(type, replace(inside.deeper(), indices=("index",)))
        spec: dict[str, Any] = {"for_each": self.expression(("list", "int", False), place.scope), "do": do}
        if self.chance(0.5):
            spec["max_parallel"] = self.random.randint(1, 3)
        if self.chance(0.4):
            spec["on_failure"], nullable = "collect", True
        return spec, False, ("list", type, nullable)

    def all(self, place: Place) -> tuple[dict[str, Any], bool, Type]:
        branches: dict[str, Any] = {}
        fields: dict[str, tuple[Type, bool]] = {}
        collect = self.chance(0.4)
        for _ in range(self.random.randint(1, 3)):
            name = self.fresh()
            branches[name], var = self.any_node(name, place.deeper())
            fields[name] = (var.type, var.nullable or collect)
        spec: dict[str, Any] = {"parallel": branches}
        if collect:
            spec["on_failure"] = "collect"
        return spec, False, ("object", fields)


def made(seed: int, name: str) -> dict[str, Any]:
    """A graph; the same seed gives the same one."""
    maker = Maker(random.Random(seed), name)
    maker.fails = maker.random.choice([0, 0.1, 0.25, 0.5])
    names = (("n", "int"), ("m", "int"), ("s", "str"), ("b", "bool"), ("c", "bool"), ("items", ("list", "int", False)))
    scope = tuple(Var(f"input.{name}", type) for name, type in names)
    place = Place(scope, 0)
    ordered = maker.chance(0.3)
    nodes, seen = maker.block(place, ordered, 2)
    graph: dict[str, Any] = {"agentflow": 1, "graph": name, "input": INPUT, "tools": TOOLS}
    if maker.agents:
        graph["agents"] = {name: AGENTS[name] for name in sorted(maker.agents)}
    graph["steps" if ordered else "nodes"] = nodes
    if maker.chance(0.8):
        graph["output"] = {
            **{var.text: f"{{{{ {var.text} }}}}" for var in seen},
            "i": maker.value("int", (*scope, *seen)),
            "s": maker.value("str", (*scope, *seen)),
        }
    if maker.chance(0.4):
        last = {"tool": "work", "with": {"name": name + ".finally-{{ error.kind if error else run.state }}"}}
        graph["finally"] = {"last": last}
    return graph


def given(seed: int) -> dict[str, Any]:
    """An input."""
    chosen = random.Random(seed)
    items = [chosen.randint(-2, 9) for _ in range(chosen.randint(0, 4))]
    return {
        "n": chosen.randint(-3, 9),
        "m": chosen.randint(-3, 9),
        "s": chosen.choice(["", "x", "long text"]),
        "b": chosen.random() < 0.5,
        "c": chosen.random() < 0.5,
        "items": items,
    }
