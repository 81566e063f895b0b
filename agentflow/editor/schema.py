"""The JSON Schema (draft 7) of graph files: what `agentflow schema` prints, for the YAML language server and others.

Node and tool kinds describe themselves; what surrounds them is described in `editor.parts`, and held to the keys that
the compiler reads: a key or a kind that nobody describes is an error here, and so a failing test. It says what a file
by itself shows: which names there are, which types fit and what may be null is for `agentflow check`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from agentflow.editor import vocabulary as v
from agentflow.editor.parts import AGENT, FILE, MODEL, NODE, TOOL, shared
from agentflow.editor.vocabulary import Described, Schema
from agentflow.nodes.kind import Kind
from agentflow.nodes.registry import KINDS as NODE_KINDS
from agentflow.spec.agents import AGENT_KEYS
from agentflow.spec.agents import KEYS as MODEL_KEYS
from agentflow.spec.graph import KEYS as FILE_KEYS
from agentflow.spec.include import SECTIONS
from agentflow.spec.model import Body
from agentflow.spec.nodes import COMMON as NODE_KEYS
from agentflow.spec.tools import COMMON as TOOL_KEYS
from agentflow.tools.kind import ToolKind
from agentflow.tools.registry import KINDS as TOOL_KINDS
from agentflow.types import Json

DRAFT = "http://json-schema.org/draft-07/schema#"


class Undescribed(AssertionError):
    """Keys that the compiler reads and nobody describes, or that are described and not read."""


def schema() -> Schema:
    """The whole schema, of a graph or of a file that graphs include."""
    nodes = {f"{kind.verb}_node": _node(kind) for kind in NODE_KINDS.values() if kind.verb}
    tools = {f"{kind.key}_tool": _tool(kind) for kind in TOOL_KINDS.values()}
    definitions: dict[str, Json] = {
        **shared(),
        "node": {**_one_of(nodes), "description": "A node: exactly one verb, its keys, and the keys of every node."},
        "tool": {**_one_of(tools), "description": "A tool: exactly one kind, its keys, and the keys of every tool."},
        "agent": v.mapping(_held("agents", AGENT, AGENT_KEYS)),
        "model": v.mapping(_held("models", MODEL, MODEL_KEYS)),
        **nodes,
        **tools,
    }
    return {
        "$schema": DRAFT,
        "title": "agentflow graph",
        **v.mapping(_held("the file", FILE, FILE_KEYS)),
        "definitions": definitions,
    } | {"allOf": [*FILE.rules, *_of_graphs()]}


def _one_of(branches: Iterable[str]) -> Schema:
    return {"anyOf": [{"$ref": f"#/definitions/{branch}"} for branch in branches]}


def _held(what: str, described: Described, keys: Iterable[str]) -> Described:
    if set(described.keys) != set(keys):
        raise Undescribed(f"{what}: {sorted(set(described.keys) ^ set(keys))}")
    return described


def _node(kind: Kind[Body]) -> Schema:
    common = {**NODE.keys, **({"retry": TOOL.keys["retry"]} if kind.retries else {})}
    _held("nodes", NODE, NODE_KEYS)
    own = (kind.verb, *kind.keys, *(("timeout",) if kind.own_timeout else ()))
    return _branch(f"{kind.verb} node", kind.verb, _held(kind.verb, kind.described, own), common)


def _tool(kind: ToolKind[Body]) -> Schema:
    _held("tools", TOOL, TOOL_KEYS)
    own = _held(kind.key, kind.described, (kind.key, *kind.keys))
    common = {key: about for key, about in TOOL.keys.items() if key not in kind.elsewhere}
    return _branch(f"{kind.key} tool", kind.key, own, common)


def _branch(title: str, verb: str, own: Described, common: Mapping[str, Schema]) -> Schema:
    """One kind: its own keys first, for that is the order in which editors offer them."""
    keys = {**own.keys, **{key: about for key, about in common.items() if key not in own.keys}}
    return {"title": title, **v.mapping(Described(own.about, keys, (verb, *own.required), own.rules))}


def _of_graphs() -> Iterator[Schema]:
    """What holds of a graph, and not of a file that is only there to be included."""
    part: Schema = {"propertyNames": {"enum": list(SECTIONS)}, "minProperties": 1}
    yield {"if": part, "else": {"required": ["agentflow", "graph"]}}
    whole: Schema = {"required": ["graph"], "not": {"required": ["include"]}}
    default: Schema = {"required": ["models"], "properties": {"models": {"required": ["default"]}}}
    each: Schema = {"properties": {"agents": {"additionalProperties": {"required": ["model"]}}}}
    yield {"if": {"allOf": [whole, {"not": default}]}, "then": each}
    lone: Schema = {"properties": {"agents": {"maxProperties": 1}}, "required": ["agents"]}
    bare: Schema = {"not": {"anyOf": [{"required": [key]} for key in ("nodes", "steps", "entry")]}}
    yield {"if": {"allOf": [whole, bare]}, "then": lone}
