"""What spans say of models and tools, in the words of OpenTelemetry's conventions for generative AI."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agentflow.providers import CLAUDE, GEMINI, provider_of
from agentflow.runtime.secrets import mask_json
from agentflow.types import Json

if TYPE_CHECKING:
    from agentflow.runtime.answers import Asked
    from agentflow.runtime.graph import Model

Value = str | bool | int | float | Sequence[str]

_PROVIDERS = {"azure": "azure.ai.openai", "bedrock": "aws.bedrock", "mistral": "mistral_ai", "xai": "x_ai"}
_ASKED = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_output_tokens": "max_tokens",
    "seed": "seed",
}


def chat(model: Model, asked: Asked, answer: Any, *, content: bool) -> dict[str, Value]:
    """A model call; `answer` is the journaled one, if there is one. `content`: also what was said."""
    about: dict[str, Value] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": _provider(model),
        "gen_ai.request.model": model.model,
        "gen_ai.agent.name": asked.agent,
        **{
            f"gen_ai.request.{_ASKED[name]}": value
            for name, value in asked.settings.items()
            if name in _ASKED and isinstance(value, (int, float))
        },
        **_stops(asked.settings.get("stop")),
        **_answered(answer),
    }
    if content:
        about.update(_texts(asked.contents()))
        about.update(_said(answer))
    return about


def execute_tool(name: str, args: Mapping[str, Json] | None, outcome: Mapping[str, Any]) -> dict[str, Value]:
    """A tool call; without `args` nothing is told of what it was given and gave."""
    about: dict[str, Value] = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": name,
        "gen_ai.tool.type": "function",
    }
    if args is not None:
        about["gen_ai.tool.call.arguments"] = _json(dict(args))
        if "value" in outcome:
            about["gen_ai.tool.call.result"] = _json(outcome["value"])
    return about


def _provider(model: Model) -> str:
    """By the conventions' names, where they have one."""
    found = provider_of(model.model, model.base_url)
    if found is GEMINI:
        return "gcp.gemini"
    if found is CLAUDE:
        return "anthropic"
    named = model.model.split("/")[0] if "/" in model.model else "openai"
    return _PROVIDERS.get(named, named)


def _stops(given: Json) -> dict[str, Value]:
    stops = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    return {"gen_ai.request.stop_sequences": [str(stop) for stop in stops]} if stops else {}


def _answered(answer: Any) -> dict[str, Value]:
    """What a journaled answer, an ADK LlmResponse as JSON, says of itself."""
    if not isinstance(answer, dict):
        return {}
    used = answer.get("usage_metadata") or {}
    counts = {
        "input_tokens": ("prompt_token_count", "tool_use_prompt_token_count"),
        "output_tokens": ("candidates_token_count", "thoughts_token_count"),
        "reasoning.output_tokens": ("thoughts_token_count",),
        "cache_read.input_tokens": ("cached_content_token_count",),
    }
    found: dict[str, Value] = {
        f"gen_ai.usage.{name}": sum(used.get(one) or 0 for one in names)
        for name, names in counts.items()
        if any(used.get(one) is not None for one in names)
    }
    if answer.get("model_version"):
        found["gen_ai.response.model"] = str(answer["model_version"])
    if answer.get("finish_reason"):
        found["gen_ai.response.finish_reasons"] = [str(answer["finish_reason"]).lower()]
    return found


def _texts(asked: tuple[str | None, Sequence[Mapping[str, Any]]]) -> dict[str, Value]:
    instruction, contents = asked
    said: dict[str, Value] = {"gen_ai.input.messages": _json([_message(content) for content in contents])}
    if instruction:
        said["gen_ai.system_instructions"] = _json([{"type": "text", "content": instruction}])
    return said


def _said(answer: Any) -> dict[str, Value]:
    if not isinstance(answer, dict) or not isinstance(answer.get("content"), dict):
        return {}
    reason = str(answer.get("finish_reason") or "stop").lower()
    return {"gen_ai.output.messages": _json([{**_message(answer["content"]), "finish_reason": reason}])}


def _message(content: Mapping[str, Any]) -> dict[str, Any]:
    role = {"model": "assistant"}.get(content.get("role") or "user", content.get("role") or "user")
    parts = [_part(part) for part in content.get("parts") or ()]
    return {"role": "tool" if any(part["type"] == "tool_call_response" for part in parts) else role, "parts": parts}


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    if (call := part.get("function_call")) is not None:
        return {"type": "tool_call", "id": call.get("id"), "name": call.get("name"), "arguments": call.get("args")}
    if (told := part.get("function_response")) is not None:
        return {"type": "tool_call_response", "id": told.get("id"), "response": told.get("response")}
    return {"type": "reasoning" if part.get("thought") else "text", "content": part.get("text") or ""}


def _json(value: Json) -> str:
    return json.dumps(mask_json(value), ensure_ascii=False, separators=(",", ":"))
