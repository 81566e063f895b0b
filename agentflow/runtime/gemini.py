"""Gemini, by Google's own client: which failures may pass, and no key in any text.

The key is read from GOOGLE_API_KEY or GEMINI_API_KEY, the address from the model's `base_url`, else from
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

from agentflow.runtime.answers import failure
from agentflow.runtime.errors import ModelRefused, ModelUnavailable
from agentflow.runtime.graph import Model

_KEYS = ("GOOGLE_API_KEY", "GEMINI_API_KEY")
_TIMEOUT = 10 * 60 * 1000  # ms; a call that hangs for ever could never be tried again
_STATUS = {400: "rejected the request", 401: "refused the key", 403: "refused the key", 404: "does not know the model"}


def connect(model: Model) -> BaseLlm:
    """The client for this model, one for each process, address and key."""
    key = next((value for name in _KEYS if (value := os.environ.get(name))), None)
    vertex = os.environ.get("GOOGLE_GENAI_USE_VERTEXAI", "").lower() in ("1", "true")
    base_url = model.base_url or os.environ.get("GOOGLE_GEMINI_BASE_URL")
    if key is None and base_url:
        key = "none"  # a server of one's own may need no key, but the client insists on one
    if key is None and not vertex:
        raise ModelRefused(f'no key for model "{model.model}": set GOOGLE_API_KEY or GEMINI_API_KEY', code=401)
    return _connected(model.model, base_url, key, vertex)


@lru_cache(maxsize=64)
def _connected(model: str, base_url: str | None, key: str | None, vertex: bool) -> BaseLlm:
    options = types.HttpOptions(base_url=base_url, timeout=_TIMEOUT, retry_options=types.HttpRetryOptions(attempts=1))
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
            raise ModelUnavailable(f"{self.model} cannot be reached: {type(error).__name__}") from None

    def _failed(self, error: errors.APIError) -> ModelUnavailable | ModelRefused:
        code = error.code if isinstance(error.code, int) else 500
        if code == 400 and "API_KEY_INVALID" in str(error.details):
            code = 401  # what Google answers to a wrong key
        said = _STATUS.get(code, f"answered {code}")
        return failure(_redacted(f"{self.model} {said}: {error.message or error.status}"), code, _retry_after(error))


def _redacted(text: str) -> str:
    for name in _KEYS:
        if key := os.environ.get(name):
            text = text.replace(key, "***")
    return text


def _retry_after(error: errors.APIError) -> float | None:
    """Seconds, from the Retry-After header or Google's RetryInfo."""
    headers = getattr(error.response, "headers", None) or {}
    if re.fullmatch(r"\d+(\.\d+)?", given := headers.get("retry-after") or ""):
        return float(given)
    info = re.search(r"'retryDelay': '(\d+(?:\.\d+)?)s'", str(error.details))
    return float(info[1]) if info else None
