"""What the clients of models share: where the key is, and what a provider's answer means. Nothing here imports ADK."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from agentflow.runtime.answers import failure
from agentflow.runtime.errors import ModelRefused, ModelUnavailable
from agentflow.runtime.graph import Model
from agentflow.runtime.secrets import mask

TIMEOUT = 10 * 60  # seconds; a call that hangs for ever could never be tried again
NO_KEY = "none"  # for a server of one's own that needs none, where the client insists on one

_SAID = {400: "rejected the request", 401: "refused the key", 403: "refused the key", 404: "does not know the model"}


def key_of(model: Model, *variables: str) -> str | None:
    """The key of the model's entry, else that of the first of the provider's own variables that is set."""
    if model.api_key is not None:
        value = os.environ.get(model.api_key.name)
        if not value:
            raise no_key(model, f"{model.api_key.name} is not set")
        return value
    return next((value for name in variables if (value := os.environ.get(name))), None)


def no_key(model: Model, why: str) -> ModelRefused:
    return ModelRefused(f'no key for model "{model.model}": {why}', code=401)


def answered(model: str, code: int, message: str, retry_after: float | None = None) -> ModelUnavailable | ModelRefused:
    """What a provider's refusal is to the run; the text shows no key."""
    said = _SAID.get(code, f"answered {code}")
    return failure(mask(f"{model} {said}: {message}"), code, retry_after)


def unreachable(model: str, error: BaseException) -> ModelUnavailable:
    return ModelUnavailable(f"{model} cannot be reached: {type(error).__name__}")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from a Retry-After header: a number, or a date."""
    given = (headers.get("retry-after") or "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", given):
        return float(given)
    try:
        return max(0.0, parsedate_to_datetime(given).timestamp() - time.time()) if given else None
    except ValueError:
        return None
