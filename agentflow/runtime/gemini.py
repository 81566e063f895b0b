"""Gemini, by Google's own client: which failures may pass, and no key in any text.

The key is the model entry's, else GOOGLE_API_KEY or GEMINI_API_KEY; the address the entry's `base_url`, else
GOOGLE_GEMINI_BASE_URL. The client's own retries are off: the durable call tries again.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncGenerator
from functools import lru_cache

import httpx
from google.adk.models.base_llm import BaseLlm
from google.adk.models.google_llm import Gemini
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.genai import errors, types

from agentflow.runtime.errors import ModelRefused, ModelUnavailable
from agentflow.runtime.graph import Model
from agentflow.runtime.keys import NO_KEY, TIMEOUT, answered, key_of, no_key, retry_after, unreachable

_KEYS = ("GOOGLE_API_KEY", "GEMINI_API_KEY")


def connect(model: Model) -> BaseLlm:
    """The client for this model, one for each process, address and key."""
    key = key_of(model, *_KEYS)
    vertex = model.api_key is None and os.environ.get("GOOGLE_GENAI_USE_VERTEXAI", "").lower() in ("1", "true")
    base_url = model.base_url or os.environ.get("GOOGLE_GEMINI_BASE_URL")
    if key is None and base_url:
        key = NO_KEY
    if key is None and not vertex:
        raise no_key(model, "set GOOGLE_API_KEY or GEMINI_API_KEY")
    return _connected(model.model, base_url, key, vertex)


@lru_cache(maxsize=64)
def _connected(model: str, base_url: str | None, key: str | None, vertex: bool) -> BaseLlm:
    options = types.HttpOptions(
        base_url=base_url,
        timeout=TIMEOUT * 1000,
        retry_options=types.HttpRetryOptions(attempts=1),
        httpx_async_client=httpx.AsyncClient(),  # else whichever is installed, with errors of its own
    )
    kwargs = {"http_options": options} if vertex else {"http_options": options, "api_key": key, "vertexai": False}
    return _Gemini(model=model, client_kwargs=kwargs)


class _Gemini(Gemini):
    """ADK's Gemini with its failures told apart."""

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        try:
            async for response in super().generate_content_async(llm_request, stream=False):
                yield response
        except errors.APIError as error:
            raise self._failed(error) from None
        except (httpx.TransportError, ConnectionError, TimeoutError) as error:
            raise unreachable(self.model, error) from None

    def _failed(self, error: errors.APIError) -> ModelUnavailable | ModelRefused:
        code = error.code if isinstance(error.code, int) else 500
        if code == 400 and "API_KEY_INVALID" in str(error.details):
            code = 401  # what Google answers to a wrong key
        return answered(self.model, code, str(error.message or error.status), _retry_after(error))


def _retry_after(error: errors.APIError) -> float | None:
    """Seconds, from the Retry-After header or Google's RetryInfo."""
    given = retry_after(getattr(error.response, "headers", None) or {})
    if given is not None:
        return given
    info = re.search(r"'retryDelay': '(\d+(?:\.\d+)?)s'", str(error.details))
    return float(info[1]) if info else None
