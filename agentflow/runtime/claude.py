"""Claude, by Anthropic's own client in ADK's model class: which failures may pass, and no key in any text.

The key is the model entry's, else ANTHROPIC_API_KEY; the address the entry's `base_url`, else ANTHROPIC_BASE_URL. The
client's own retries are off, the durable call tries again; so are its traces, the run has its own.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncGenerator
from functools import lru_cache
from typing import Any

import anthropic
from google.adk.models.anthropic_llm import AnthropicLlm
from google.adk.models.base_llm import BaseLlm
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse

from agentflow.runtime.graph import Model
from agentflow.runtime.keys import NO_KEY, TIMEOUT, answered, key_of, no_key, retry_after, unreachable

_SAMPLING = ("temperature", "top_p", "top_k")
KEY, BASE_URL = "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"

logging.getLogger("httpx2").setLevel(logging.WARNING)  # a line for each request, with its address


def connect(model: Model) -> BaseLlm:
    """The client for this model, one for each process, address and key."""
    base_url = model.base_url or os.environ.get(BASE_URL) or None
    key = key_of(model, KEY) or (NO_KEY if base_url else None)
    if key is None:
        raise no_key(model, f"set {KEY}")
    return _connected(model.model, base_url, key)


@lru_cache(maxsize=64)
def _connected(model: str, base_url: str | None, key: str) -> BaseLlm:
    client = anthropic.AsyncAnthropic(
        api_key=key, base_url=base_url, timeout=TIMEOUT, max_retries=0, open_telemetry=False
    )
    return _Claude(model=model, client=client)


class _Claude(AnthropicLlm):
    """ADK's Claude with its failures told apart."""

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        # ADK has the answer's schema sent as a tool that Claude must call, and reads the call as the answer.
        llm_request.config.response_schema = llm_request.config.response_json_schema
        try:
            async for response in super().generate_content_async(llm_request, stream=False):
                yield response
        except anthropic.APIStatusError as error:
            raise answered(self.model, error.status_code, _said(error), retry_after(error.response.headers)) from None
        except (anthropic.APIConnectionError, ConnectionError, TimeoutError) as error:
            raise unreachable(self.model, error) from None

    def _build_anthropic_kwargs(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """What is asked. The newer clients know no sampling any more, as the newest models do; others still take it."""
        asked: dict[str, Any] = super()._build_anthropic_kwargs(*args, **kwargs)
        sampling = {name: asked.pop(name) for name in _SAMPLING if name in asked}
        return {**asked, "extra_body": sampling} if sampling else asked


def _said(error: anthropic.APIStatusError) -> str:
    body = error.body
    about = body.get("error") if isinstance(body, dict) else None
    message = about.get("message") if isinstance(about, dict) else None
    return str(message or error.message)
