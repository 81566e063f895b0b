"""A model whose calls are durable: an ADK model that wraps another and asks the run for each answer.

The answer goes through the journal as JSON, with the ids of its function calls already in it, so a replay sees
the same answer under the same ids and the provider is not asked again.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, cast

from google.adk.models.base_llm import BaseLlm
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.genai import types
from pydantic import PrivateAttr

from agentflow.providers import GEMINI, provider_of
from agentflow.runtime.answers import Response
from agentflow.runtime.errors import ModelRefused, ModelUnavailable
from agentflow.runtime.graph import Graph, Model
from agentflow.runtime.secrets import mask
from agentflow.types import Json


def provider(model: Model) -> BaseLlm:
    """The ADK model that talks to the provider. Raises ModelRefused where nobody does, or not on this machine."""
    who = provider_of(model.model, model.base_url)
    if who is None:
        raise ModelRefused(f'no provider for model "{model.model}"', code=404)
    if not who.installed:
        raise ModelRefused(f'model "{model.model}" needs {who.package}, which is not installed: {who.install}')
    # The providers' clients are slow to import (LiteLLM takes seconds), and needless offline.
    match who.name:
        case "gemini":
            from agentflow.runtime.gemini import connect
        case "claude":
            from agentflow.runtime.claude import connect
        case "litellm":
            from agentflow.runtime.lite import connect
    return connect(model)


def prepare(graph: Graph) -> None:
    """Connects to what the graph's agents ask, so that what is missing shows before a run finds out.

    Raises ModelRefused for a key that is not set, a client that is not installed, a provider that there is not.
    """
    for model in {id(agent.model): agent.model for agent in graph.agents.values()}.values():
        provider(model)


def answers(request: LlmRequest) -> int:
    """How many answers this agent has given in the conversation that the request holds."""
    return sum(content.role == "model" for content in request.contents)


def contents(request: LlmRequest) -> tuple[str | None, list[dict[str, Json]]]:
    """The instruction and the conversation that a request holds, as JSON."""
    instruction = request.config.system_instruction
    return (
        instruction if isinstance(instruction, str) else None,
        [json.loads(content.model_dump_json(exclude_none=True)) for content in request.contents],
    )


Ask = Callable[[LlmRequest], Awaitable[Response]]


class DurableModel(BaseLlm):
    """Hands each request to `ask`, which answers from the journal or by a durable call."""

    _ask: Ask = PrivateAttr()

    def __init__(self, name: str, ask: Ask) -> None:
        super().__init__(model=name)
        self._ask = ask

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        """Yields one whole answer; there is no streaming through a journal."""
        response = await self._ask(llm_request)
        yield LlmResponse.model_validate_json(json.dumps(response))


async def complete(model: Model, request: LlmRequest, ids: str) -> Response:
    """Asks the provider once. What it raises is a ModelUnavailable or a ModelRefused, whatever went wrong."""
    inner = provider(model)
    copy = request.model_copy(
        update={
            "model": inner.model,
            "contents": [content.model_copy() for content in request.contents],
            "config": request.config.model_copy(),
        }
    )
    last: LlmResponse | None = None
    try:
        async for response in inner.generate_content_async(copy, stream=False):
            last = response
    except (ModelUnavailable, ModelRefused):
        raise
    except Exception as error:  # noqa: BLE001 - a client may raise anything, and none of it may be tried for ever
        raise ModelRefused(mask(f"the call of {inner.model} failed: {type(error).__name__}: {error}")) from None
    if last is None:
        raise ModelUnavailable(f"{inner.model} gave no answer")
    return stamped(last, f"adk-{ids}" if provider_of(model.model) is GEMINI else f"call-{ids}")


def stamped(response: LlmResponse, ids: str) -> Response:
    """The answer as JSON, its function calls numbered.

    ADK keeps ids that begin with its own prefix, `adk-`, from the provider: Gemini needs none. The others do.
    """
    for number, call in enumerate(response.get_function_calls(), 1):
        call.id = f"{ids}-{number}"
    return cast(Response, json.loads(response.model_dump_json(exclude_none=True)))


_SETTINGS = {"stop": "stop_sequences"}


def settings(generate: Mapping[str, Json]) -> types.GenerateContentConfig:
    """The language's `generate` as the provider's configuration."""
    config: dict[str, Any] = {_SETTINGS.get(name, name): value for name, value in generate.items()}
    budget = config.pop("thinking_budget", None)
    if isinstance(config.get("stop_sequences"), str):
        config["stop_sequences"] = [config["stop_sequences"]]
    if budget is not None:
        config["thinking_config"] = types.ThinkingConfig(thinking_budget=budget)
    return types.GenerateContentConfig(**config)
