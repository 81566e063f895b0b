"""What editors are told of the parts of a graph file that are no node and no tool kind, and of what they share."""

from __future__ import annotations

import re
from collections.abc import Iterator

from agentflow.editor import vocabulary as v
from agentflow.editor.vocabulary import Described, Schema
from agentflow.spec.names import JINJA, LONGEST, PYTHON, RESERVED
from agentflow.spec.objects import MOST
from agentflow.spec.tools import EFFECTS
from agentflow.spec.types import FOREIGN, PRIMITIVES
from agentflow.tools.outside import OUR_HEADERS

UNDO = Described(
    "What undoes it when the run fails, is rejected, cancelled, or out of time.",
    {
        "tool": v.word("The tool that undoes it, which must be one durable step."),
        "with": v.values("The arguments of the undoing, which see args, result and error."),
        "on": v.choice("Whether it is undone also when the call failed or was cut off.", "completed", "attempted"),
    },
    required=("tool",),
)
RETRY = v.mapping(
    Described(
        "How often, and at which pauses, it is tried again before it fails.",
        {
            "attempts": v.integer("How many tries there are, the first one included.", 1, 1_000_000),
            "initial": v.duration("The first pause."),
            "factor": v.number("By how much each pause is longer than the one before.", 1, 1000),
            "max": v.duration("The longest pause."),
            "within": v.duration("After how long no other try is begun."),
        },
    )
)
NODE = Described(
    "The keys of every node.",
    {
        "description": v.text("What the node is for."),
        "needs": v.names("Nodes that this one waits for without referring to them."),
        "when": v.expression("Whether the node runs; if not, it is skipped and its value is null."),
        "timeout": v.duration("How long it may take before it fails."),
        "on_error": v.ref("on_error", "What follows when it fails: fail, continue, {use: VALUE} or {run: node}."),
        "compensate": v.ref("compensate", UNDO.about),
    },
)
TOOL = Described(
    "The keys of every tool.",
    {
        "description": v.text("What models are told that it does."),
        "effect": v.choice("What a call does to the world; dangerous needs a person's consent.", *EFFECTS),
        "retry": v.ref("retry", "How often, and at which pauses, it is tried again before it fails."),
        "timeout": v.duration("How long one try of a call may take."),
        "compensate": v.ref("compensate", UNDO.about),
        "confirm": v.mapping(
            Described(
                "A person approves each call, with the very arguments that are then used.",
                {
                    "when": v.expression("For which calls, by their args; without it, for each."),
                    "message": v.text("What the person is asked, a template over args."),
                    "approvers": v.people("Whom to ask; one decision is enough."),
                    "timeout": v.duration("How long to wait for a decision."),
                    "escalate": v.ref("escalate", "Who is asked as well when nobody has decided in time."),
                    "on_timeout": v.choice("What follows when nobody has.", "reject", "approve", "fail"),
                },
                required=("message", "approvers"),
                rules=(*v.TIMED, v.ESCALATES),
            )
        ),
    },
)
LIMITS = v.mapping(
    Described(
        "What a run may spend; what is beyond it fails.",
        {
            "time": v.duration("How long it may take, the waiting for people included."),
            "model_calls": v.integer("How many calls of models.", 1, default=200),
            "tool_calls": v.integer("How many calls of tools.", 0, default=500),
            "tokens": v.integer("How many tokens, in and out.", 1),
            "cost": v.number("How much money, by the models' prices.", 0),
            "handoffs": v.integer("How many handoffs between agents.", 0, default=20),
            "fan_out": v.integer("How many items of one for_each.", 1, default=1000),
        },
    )
)
GENERATE: dict[str, Schema] = {
    "temperature": v.number("How much chance there is in what it says.", 0, 2),
    "top_p": v.number("From which share of the likeliest words it chooses.", 0, 1),
    "top_k": v.integer("From how many of the likeliest words it chooses.", 1),
    "max_output_tokens": v.integer("How long an answer may be, in tokens.", 1),
    "stop": {
        "anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "items": {"type": "string", "minLength": 1}}],
        "description": "Texts at which it stops.",
    },
    "seed": v.integer("Where its chance begins, where the provider has that."),
    "thinking_budget": v.integer("How many tokens it may think; -1 leaves that to it.", -1),
}
AGENT = Described(
    "An agent: a model with an instruction and with tools.",
    {
        "instruction": v.text("What the agent is told to be and to do, a template over input, run and state."),
        "description": v.text("What other agents are told of it when they hand over to it or call it."),
        "model": v.word("An entry of models, or a model itself; without it, the entry called default."),
        "tools": v.names("Tools, tool sets, single operations (crm.getCustomer), agents and graphs that it may call."),
        "handoffs": v.names("Agents to which it may hand the conversation over."),
        "returns": v.type("The type of its answers; without one they are text."),
        "input": v.type("What it takes when another agent calls it as a tool."),
        "limits": v.ref("limits", "What may be spent; what is beyond it fails."),
        "generate": v.mapping(Described("How its model is to generate, in the place of the model's own.", GENERATE)),
    },
    required=("instruction",),
)
MODEL = Described(
    "A model and how it is asked.",
    {
        "model": v.word("The model's name: gemini-..., claude-..., or provider/model."),
        "base_url": v.word("Where it is reached, in the place of its provider's address.", r"^https?://[^\s/{}]+"),
        "api_key": v.ref("secret", "The environment variable that holds the key: {env: NAME}."),
        "price": v.mapping(
            Described(
                "What it costs per million tokens, for limits.cost.",
                {"input": v.number("Of what it reads.", 0), "output": v.number("Of what it writes.", 0)},
                required=("input", "output"),
            )
        ),
        "retry": v.ref("retry", "How often, and at which pauses, it is tried again before it fails."),
        **GENERATE,
    },
    required=("model",),
)
SCHEDULE = Described(
    "When the graph starts by itself; the key of the run is the time of the firing.",
    {
        "cron": v.word("Minute, hour, day of the month, month, day of the week: 0 8 * * MON-FRI."),
        "timezone": v.word("The time zone of cron, as in Europe/Berlin or UTC."),
        "every": v.duration("The time from one start to the next, in whole seconds."),
        "input": v.value("The input of each run: data, and no template."),
    },
    rules=(
        {"anyOf": [{"required": ["cron", "timezone"]}, {"required": ["every"]}]},
        v.not_with("every", "cron"),
        v.needs("timezone", "cron"),
    ),
)
SESSION = Described(
    "How much of the conversation a model is given, in messages.",
    {
        "keep": v.integer("How many messages stand as they are.", 1, MOST, 50),
        "summarize_after": v.integer("From how many on the older ones are summarized; above keep.", 1, MOST),
    },
)
_OF_OBJECTS: Schema = {"properties": {"kind": {"const": "object"}}, "required": ["kind"]}
_WITH_NODES: Schema = {"anyOf": [{"required": ["nodes"]}, {"required": ["steps"]}]}
FILE = Described(
    "A graph of agents, tools and people, or a file of types, models, tools and agents that graphs include.",
    {
        "agentflow": {"const": 1, "description": "The version of the language, the first key of a graph."},
        "graph": v.word(
            "The graph's name, which is also that of its Restate service.",
            rf"^(?!restate|openapi$)[a-z][a-z0-9_]{{0,{LONGEST - 1}}}$",
        ),
        "description": v.text("What the graph does."),
        "kind": v.choice(
            "A workflow runs once a key, a service has no key, an object answers messages one at a time a key.",
            "workflow",
            "service",
            "object",
            default="workflow",
        ),
        "input": v.object_type("What a run is started with, as a mapping of fields."),
        "types": v.each(
            "Types by names that begin with a capital.",
            {"$ref": "#/definitions/type"},
            {"pattern": rf"^[A-Z][A-Za-z0-9_]{{0,{LONGEST - 1}}}$"},
        ),
        "models": v.each(
            "Models by name; default is that of agents that name none.",
            {
                "anyOf": [
                    {"type": "string", "pattern": r"^((models/)?gemini-|claude-|[a-z0-9][a-z0-9_.-]*/)\S+$"},
                    {"$ref": "#/definitions/model"},
                ]
            },
            {"$ref": "#/definitions/own_name"},
        ),
        "tools": v.each("Tools by name.", {"$ref": "#/definitions/tool"}, {"$ref": "#/definitions/name"}),
        "agents": v.each("Agents by name.", {"$ref": "#/definitions/agent"}, {"$ref": "#/definitions/name"}),
        "nodes": v.nodes("The nodes, each of which starts when what it refers to is done."),
        "steps": v.nodes("In the place of nodes: the nodes one after the other, in the order of the file."),
        "entry": v.name("The agent that a graph without nodes is."),
        "output": v.value("What a run yields; without it, the value of its one node, or of all by name."),
        "finally": v.nodes("What runs once when a run has ended, however it ended."),
        "limits": v.ref("limits", "What may be spent; what is beyond it fails."),
        "schedule": v.mapping(SCHEDULE),
        "include": {
            "type": "array",
            "items": {"type": "string", "pattern": r"\S"},
            "uniqueItems": True,
            "description": "Files of the project whose types, models, tools and agents count as if they stood here.",
        },
        "state": v.each(
            "What an object keeps from message to message: types by name.",
            {"$ref": "#/definitions/field"},
            {"$ref": "#/definitions/field_name"},
        ),
        "session": v.mapping(SESSION),
        "on_busy": v.choice(
            "What becomes of a message while another is answered.", "queue", "interrupt", default="queue"
        ),
    },
    rules=(
        v.not_with("steps", "nodes"),
        v.not_with("entry", "nodes", "steps"),
        {"if": {"anyOf": [{"required": [key]} for key in ("state", "session", "on_busy")]}, "then": _OF_OBJECTS},
        {"if": {"required": ["schedule"]}, "then": {"not": _OF_OBJECTS}},
        {"if": {"anyOf": [{"required": ["input"]}, {"required": ["output"]}]}, "then": _WITH_NODES},
    ),
)


def shared() -> dict[str, Schema]:
    """The definitions that several keys refer to."""
    parts: dict[str, Schema] = {"retry": RETRY, "compensate": v.mapping(UNDO), "limits": LIMITS}
    return {**_names(), **_texts(), **_types(), **_of_nodes(), **_of_tools(), **parts}


def _names() -> dict[str, Schema]:
    own: Schema = {"type": "string", "pattern": "^[a-z][a-z0-9_]*$", "maxLength": LONGEST}
    keywords = sorted(PYTHON)
    return {
        "name": {**own, "not": {"enum": [*sorted(RESERVED | JINJA | PYTHON)]}},
        "own_name": {**own, "not": {"enum": [*keywords]}},
        "field_name": {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_]*$", "maxLength": LONGEST},
    }


def _texts() -> dict[str, Schema]:
    file = Described("A text that is read from a file.", {"file": v.word("A file of the project.")}, ("file",))
    variable = v.word("The name of an environment variable.", "^[A-Za-z_][A-Za-z0-9_]*$")
    secret = Described("A secret, which stays out of the file.", {"env": variable}, ("env",))
    time = Described("A time.", {"until": v.word("A time (RFC 3339), or an expression of one.")}, ("until",))
    units = "".join(rf"([0-9]{{1,9}}{unit})?" for unit in ("d", "h", "m(?!s)", "s", "ms"))
    address: Schema = {"type": "string", "pattern": r"^https?://[^\s/?#{}@]+[^\s#{}?]*$"}
    return {
        "text": {"anyOf": [{"type": "string", "pattern": r"\S"}, v.mapping(file)]},
        "expression": {"anyOf": [{"type": "string", "pattern": r"\S"}, {"type": ["boolean", "integer"]}]},
        "duration": {
            "type": "string",
            "pattern": rf"^\s*(?=[0-9]*[a-z0-9]*[1-9]){units}\s*$",
            "examples": ["30s", "5m", "24h", "1h30m"],
        },
        "until": v.mapping(time),
        "secret": v.mapping(secret),
        "address": {"anyOf": [address, {"$ref": "#/definitions/secret"}]},
        "reference": {"type": "string", "pattern": r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$"},
        "people": {
            "anyOf": [
                {"type": "array", "items": {"type": "string", "pattern": r"\S"}, "minItems": 1},
                {"type": "string", "pattern": r"^\s*\{\{[\s\S]*\}\}\s*$"},
            ]
        },
    }


def _types() -> dict[str, Schema]:
    known = "|".join(map(re.escape, PRIMITIVES))
    single = rf"({known}|[A-Z][A-Za-z0-9_]*)"
    taken = "|".join(map(re.escape, [*(name for name in PRIMITIVES if name != "null"), *FOREIGN]))
    word = rf"(?!({taken})\s*(\||$))[A-Za-z0-9_][A-Za-z0-9_./+-]*"
    lone = r"(?!\s*[^\s|]+\s*\|\s*null\s*$)(?!\s*null\s*\|\s*[^\s|]+\s*$)"
    words = rf"^({lone}\s*{word}(\s*\|\s*{word})+|\s*{single}(\s*\|\s*null)?|\s*null\s*\|\s*{single})\s*$"
    given: Schema = {"$ref": "#/definitions/type"}
    spec: dict[str, Schema] = {
        "type": v.type("Its type."),
        "optional": v.boolean("Whether it may be left out or null."),
        "description": v.word("What it is."),
    }
    more: dict[str, Schema] = {
        "default": v.value("What it is where it is left out."),
        "minimum": v.number("The least that it may be."),
        "maximum": v.number("The most that it may be."),
        "pattern": v.word("A regular expression that it must match."),
        "max_length": v.integer("How long it may be.", 0),
    }
    numeric: Schema = {"enum": ["integer", "number", *_or_null("integer"), *_or_null("number")]}
    textual: Schema = {"enum": ["string", *_or_null("string")]}
    long: Schema = {"anyOf": [textual, {"type": "array"}]}
    fits = {"minimum": numeric, "maximum": numeric, "pattern": textual, "max_length": long}
    rules: list[Schema] = [{"dependencies": {key: {"properties": {"type": of}}}} for key, of in fits.items()]
    schema = Described("JSON Schema.", {"schema": {"type": "object", "description": "The schema."}}, ("schema",))
    model = v.ref("reference", "The class, as module:Name.")
    python = Described("A model of pydantic.", {"python": model}, ("python",))
    own = ("type", "schema", "python")
    fields: Schema = {
        "type": "object",
        "description": "An object: types by the names of its fields; {fields: {...}} where one is called type.",
        "not": {"anyOf": [{"required": [key]} for key in own]},
        "propertyNames": {"$ref": "#/definitions/field_name"},
        "additionalProperties": {"$ref": "#/definitions/field"},
    }
    listed = Described(
        "An object, one of whose fields may be called type, schema, python or fields.",
        {
            "fields": {
                "type": "object",
                "description": "Types by the names of the fields.",
                "propertyNames": {"$ref": "#/definitions/field_name"},
                "additionalProperties": {"$ref": "#/definitions/field"},
            }
        },
        ("fields",),
    )
    mappings = [v.mapping(schema), v.mapping(python), v.mapping(listed), fields]
    simple: list[Schema] = [
        {"enum": [name for name in PRIMITIVES if name != "null"]},  # for completion
        {"type": "string", "pattern": words},
        {"type": "array", "items": given, "minItems": 1, "maxItems": 1},
        {"type": "null"},
    ]
    about = "string integer number boolean any null, a type's name, [T], T | null, words joined by |, or fields."
    one = v.mapping(Described("A type, and what is said of it.", spec, ("type",)))
    field = v.mapping(
        Described("A field: its type, and what is said of it.", {**spec, **more}, ("type",), tuple(rules))
    )
    return {
        "type": {"anyOf": [*simple, one, *mappings], "description": about},
        "field": {"anyOf": [*simple, field, *mappings], "description": about},
        "object_type": {"anyOf": [{"type": "string", "pattern": r"^\s*[A-Z][A-Za-z0-9_]*\s*$"}, one, *mappings]},
    }


def _or_null(name: str) -> Iterator[str]:
    """The ways to write that it may be null, but for spaces of the author's."""
    for before in ("", " "):
        yield f"{name}{before}|{before}null"
        yield f"null{before}|{before}{name}"


def _of_nodes() -> dict[str, Schema]:
    node: Schema = {"$ref": "#/definitions/node"}
    names: Schema = {"$ref": "#/definitions/name"}
    some: Schema = {"type": "object", "propertyNames": names, "additionalProperties": node, "minProperties": 1}
    use = Described("A value in its place.", {"use": v.value("The value; it sees error.")}, ("use",))
    run = Described("A node in its place.", {"run": v.node("The node that runs; it sees error.")}, ("run",))
    step = Described(
        "One step: who is asked as well, and for how long.",
        {"to": v.people("Whom to ask as well."), "timeout": v.duration("How long to wait for them.")},
        ("to", "timeout"),
    )
    notify = Described(
        "A call of a tool for each person asked.",
        {
            "tool": v.word("The tool that is called."),
            "with": v.values("Its arguments, which see approver, link and message."),
        },
        ("tool",),
    )
    return {
        "nodes": {**some},
        "branches": {**some},
        "on_error": {"anyOf": [{"enum": ["fail", "continue"]}, v.mapping(use), v.mapping(run)]},
        "escalate": {"type": "array", "items": v.mapping(step), "minItems": 1},
        "notify": v.mapping(notify),
    }


def _of_tools() -> dict[str, Schema]:
    secret: Schema = {"$ref": "#/definitions/secret"}
    given: Schema = {"anyOf": [{"type": "string"}, secret]}
    fixed: Schema = {"anyOf": [{"type": "string", "not": {"pattern": r"\{\{"}}, secret]}
    ours = "|".join("".join(f"[{c.upper()}{c}]" if c.isalpha() else c for c in name) for name in sorted(OUR_HEADERS))
    header: Schema = {"pattern": rf"^(?!({ours})$)[!#$%&'*+.^_`|~0-9A-Za-z-]+$"}
    variable: Schema = {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}
    return {
        "headers": v.each("Headers by name.", given, header),
        "fixed_headers": v.each("Headers by name.", fixed, header),
        "environment": v.each("Variables by name.", fixed, variable),
        "effects": v.each("Effects by name.", {"enum": [*EFFECTS]}),
        "command": {"type": "array", "items": {"type": "string"}, "minItems": 1},
    }
