"""The order in which the keys of a graph's file stand: that of the language, for what has no order of its own.

A `Shape` says of a mapping in what order its keys stand and what its values are; of a mapping whose keys are the
author's, only the latter: nodes run in the order of the file, and fields are listed in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agentflow.types import Json


@dataclass(frozen=True)
class Shape:
    """What a value may be. `keys`: the order of a mapping's own keys; without any, they are the author's."""

    keys: tuple[str, ...] = ()
    inside: Mapping[str, Shape] = field(default_factory=dict)  # by key
    each: Shape | None = None  # every value of the author's keys, or every item of a list

    def order(self, data: Mapping[str, Json]) -> tuple[str, ...]:
        """The keys that this mapping may have, in their order."""
        return self.keys

    def of(self, key: object) -> Shape:
        """What the value of a key is."""
        return self.inside.get(str(key), self.each or ANY)

    def arranged(self, data: Mapping[str, Json]) -> list[str]:
        """The keys of a mapping in their order; those that nobody knows stay behind the one before them."""
        rank = {key: at for at, key in enumerate(self.order(data))}
        if not rank:
            return list(data)
        last, places = -1, {}
        for key in data:
            last = places[key] = rank.get(key, last)
        return sorted(data, key=lambda key: places[key])


class NodeShape(Shape):
    """A node: its verb first."""

    def order(self, data: Mapping[str, Json]) -> tuple[str, ...]:
        verb = next((key for key in data if key in VERBS), None)
        keys = ("description", "form", *(key for key in NODE if key != "form")) if verb == "ask" else NODE
        return keys if verb is None else (verb, *(key for key in keys if key != verb))


class TypeShape(Shape):
    """A type: an object of the author's fields, or one field with what is said of it."""

    def order(self, data: Mapping[str, Json]) -> tuple[str, ...]:
        return FIELD if "type" in data and all(key in FIELD for key in data) else ()

    def of(self, key: object) -> Shape:
        return ANY if key in ("schema", "python", "default") else FIELDS if key == "fields" else self


VERBS = frozenset(
    (
        *("agent", "tool", "approval", "ask", "parallel", "for_each", "switch", "loop", "nodes", "steps", "value"),
        *("wait", "event", "graph", "service", "emit", "set", "fail"),
    )
)
GRAPH = (
    *("agentflow", "graph", "description", "kind", "schedule", "include", "input", "state", "session", "on_busy"),
    *("types", "models", "tools", "agents", "entry", "limits", "nodes", "steps", "finally", "output"),
)
NODE = (  # after its verb; what may be long, the nodes inside it, stands last
    *("description", "prompt", "with", "data", "key", "conversation", "mode", "delay", "returns", "as"),
    *("until", "max", "start", "every", "on_max", "max_parallel", "join", "on_failure", "code"),
    *("needs", "when", "approvers", "to", "timeout", "escalate", "on_timeout", "on_reject", "form", "notify"),
    *("retry", "on_error", "compensate", "cases", "do", "default", "output"),
)
TOOL_VERBS = ("python", "http", "openapi", "mcp", "command", "graph", "service", "approval", "ask", "parallel")
TOOL = (
    *TOOL_VERBS,
    *("operations", "allow", "args", "base_url", "headers", "body", "env", "approvers", "form", "to", "returns"),
    *("description", "effect", "effects", "retry", "timeout", "escalate", "on_timeout", "on_reject", "notify"),
    *("compensate", "confirm"),
)
AGENT = ("description", "model", "instruction", "tools", "handoffs", "returns", "input", "limits", "generate")
GENERATE = ("temperature", "top_p", "top_k", "max_output_tokens", "stop", "seed", "thinking_budget")
FIELD = ("type", "optional", "description", "default", "minimum", "maximum", "pattern", "max_length")

ANY = Shape()
TYPE = TypeShape()
FIELDS = Shape(each=TYPE)
RETRY = Shape(("attempts", "initial", "factor", "max", "within"))
UNDO = Shape(("tool", "with", "on"))
ESCALATION = Shape(each=Shape(("to", "timeout")))
NOTIFY = Shape(("tool", "with"))
LIMITS = Shape(("time", "model_calls", "tool_calls", "tokens", "cost", "handoffs", "fan_out"))
CONFIRM = Shape(
    ("when", "message", "approvers", "timeout", "escalate", "on_timeout", "notify"),
    {"escalate": ESCALATION, "notify": NOTIFY},
)
COMMON: dict[str, Shape] = {
    "retry": RETRY,
    "compensate": UNDO,
    "escalate": ESCALATION,
    "notify": NOTIFY,
    "form": TYPE,
    "returns": TYPE,
}
ONE_NODE = NodeShape(NODE, inside=(_inside := dict(COMMON)))
NODES = Shape(each=ONE_NODE)
_inside.update(
    {
        **dict.fromkeys(("nodes", "steps", "parallel", "loop", "cases"), NODES),
        **dict.fromkeys(("do", "default"), ONE_NODE),
        "on_error": Shape(("use", "run"), {"run": ONE_NODE}),
    }
)
FILE = Shape(
    GRAPH,
    {
        "input": TYPE,
        "state": TYPE,
        "types": FIELDS,
        "models": Shape(
            each=Shape(
                ("model", "base_url", "api_key", "price", *GENERATE, "retry"),
                {"retry": RETRY, "price": Shape(("input", "output"))},
            )
        ),
        "tools": Shape(
            each=Shape(
                TOOL,
                {
                    **COMMON,
                    "args": TYPE,
                    "confirm": CONFIRM,
                    "mcp": Shape(("command", "url", "env", "headers")),
                },
            )
        ),
        "agents": Shape(
            each=Shape(AGENT, {"returns": TYPE, "input": TYPE, "limits": LIMITS, "generate": Shape(GENERATE)})
        ),
        "limits": LIMITS,
        "schedule": Shape(("cron", "timezone", "every", "input")),
        "session": Shape(("keep", "summarize_after")),
        "nodes": NODES,
        "steps": NODES,
        "finally": NODES,
    },
)
"""A graph's file, or one that it includes."""


def arranged(data: Json, shape: Shape = FILE) -> object:
    """What a file says, with its keys in their order, and no more: two files of which this is equal mean the same."""
    if isinstance(data, dict):
        return [(_plain(key), arranged(data[key], shape.of(key))) for key in shape.arranged(data)]
    if isinstance(data, list):
        return ["list", *(arranged(item, shape.each or ANY) for item in data)]
    return _plain(data)


def _plain(value: object) -> str:
    return f"{type(value).__name__} {value!r}"
