"""What a model is told: its instruction, the tools it may call, and what was wrong with its call or answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from google.genai import types

from agentflow.runtime.graph import Agent, Tool
from agentflow.runtime.replies import TRANSFER
from agentflow.runtime.schema import Mismatch, Shape, shape_of
from agentflow.runtime.signature import parameters_of
from agentflow.toolnames import offered
from agentflow.types import Json


def adk_name(name: str) -> str:
    """ADK keeps `user` for people."""
    return "user_agent" if name == "user" else name


def instruction(text: str, shape: Shape) -> str:
    """The agent's instruction, and what form the answer has to have."""
    if shape.is_text:
        return text
    wanted = "Give your final answer as JSON, and nothing else, that fits this JSON Schema:"
    return f"{text.rstrip()}\n\n{wanted}\n{shape.schema_text}"


def correction(mismatch: Mismatch, shape: Shape) -> str:
    """Sends an answer back that does not fit."""
    wanted = "" if shape.is_text else " as JSON, and nothing else, that fits the schema in your instructions"
    return f"Your answer does not fit: {mismatch}. Give the whole answer again{wanted}."


def declaration(tool: Tool | Agent) -> types.FunctionDeclaration:
    """A tool as the model sees it; an agent is one too."""
    if isinstance(tool, Agent):
        about = tool.description or f"Asks the agent {tool.name}."
        return _declared(tool.name, about, _input_schema(tool))
    signature = parameters_of(tool)
    return _declared(offered(tool.name), tool.description or signature.description, signature.json_schema)


def _declared(name: str, about: str, schema: Mapping[str, Json]) -> types.FunctionDeclaration:
    schema = schema if schema.get("properties") else None  # type: ignore[assignment]  # some providers refuse {}
    return types.FunctionDeclaration(name=name, description=about, parameters_json_schema=schema)


def _wraps(agent: Agent) -> str | None:
    """The name of the one argument that stands for an input that is no object; None where its fields do."""
    if agent.input is None:
        return "message"
    schema = shape_of(agent.input).json_schema
    return None if schema.get("type") == "object" or "$ref" in schema else "input"


def _input_schema(agent: Agent) -> dict[str, Json]:
    schema, name = shape_of(agent.input).json_schema, _wraps(agent)
    return schema if name is None else {"type": "object", "properties": {name: schema}, "required": [name]}


def handoff(agents: Sequence[Agent]) -> types.FunctionDeclaration:
    """The tool that hands the conversation over, to one of these."""
    about = "".join(f"\n- {agent.name}: {agent.description or 'no description'}" for agent in agents)
    schema: dict[str, Json] = {
        "type": "object",
        "properties": {"agent_name": {"type": "string", "enum": [agent.name for agent in agents]}},
        "required": ["agent_name"],
    }
    text = f"Hands the conversation over to another agent, who then answers in your place:{about}"
    return _declared(TRANSFER, text, schema)


def checked(tool: Tool | Agent, args: Mapping[str, Json]) -> dict[str, Json]:
    """The arguments as given, once they are known to fit. Raises Mismatch."""
    if isinstance(tool, Tool):
        return parameters_of(tool).check(args)
    name = _wraps(tool)
    if name is None:
        shape_of(tool.input).check(dict(args))
    elif set(args) != {name}:
        raise Mismatch([f"expected one argument, {name}"])
    else:
        shape_of(tool.input).check(args[name])
    return dict(args)


def as_prompt(agent: Agent, args: Mapping[str, Json]) -> str:
    """What an agent that is called as a tool hears: its message, or its input as JSON."""
    name = _wraps(agent)
    value = dict(args) if name is None else args[name]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def wrong_arguments(tool: Tool | Agent, mismatch: Mismatch) -> str:
    """Tells the model what it got wrong and what would be right."""
    schema = declaration(tool).parameters_json_schema or {}
    return (
        f"{offered(tool.name)} was not called, its arguments do not fit: {mismatch}. "
        f"They must fit this JSON Schema: {json.dumps(schema, ensure_ascii=False)}"
    )
