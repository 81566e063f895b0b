"""What crosses the journal when a model is asked, and what a provider's refusal means. Nothing here imports ADK."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from agentflow.runtime.errors import ModelRefused, ModelUnavailable
from agentflow.types import Json

Response = dict[str, Json]
"""An ADK LlmResponse as JSON, without its nulls."""

Call = Callable[[int], Awaitable[Response]]
"""One try of a model call; takes the number of the try, from 1. It may run more than once."""


@dataclass(frozen=True)
class Asked:
    """What a model is asked, for those who watch: by which agent, with what settings.

    `contents` gives the instruction and the conversation, ADK contents as JSON.
    """

    agent: str
    settings: Mapping[str, Json]
    contents: Callable[[], tuple[str | None, list[dict[str, Json]]]]


def failure(message: str, code: int, retry_after: float | None = None) -> ModelUnavailable | ModelRefused:
    """A provider's HTTP status: 408, 429 and 5xx may pass, the rest will not."""
    if code in (408, 429) or code >= 500:
        return ModelUnavailable(message, code=code, retry_after=retry_after)
    return ModelRefused(message, code=code)


@dataclass(frozen=True)
class Usage:
    """Tokens of one answer."""

    input: int = 0
    output: int = 0


def usage(response: Mapping[str, Json]) -> Usage:
    """The tokens that a journaled answer took, zero where the provider did not say."""
    counts = response.get("usage_metadata")
    if not isinstance(counts, dict):
        return Usage()

    def total(*names: str) -> int:
        return sum(count for name in names if isinstance(count := counts.get(name), int))

    return Usage(
        total("prompt_token_count", "tool_use_prompt_token_count"),
        total("candidates_token_count", "thoughts_token_count"),
    )
