"""Any other provider, through LiteLLM in ADK's model class; and every server that speaks OpenAI's protocol.

`provider/model` is LiteLLM's own name for a model, and its key that provider's own variable (OPENAI_API_KEY,
MISTRAL_API_KEY...) where the entry has no `api_key`. A bare name is a model of the server at `base_url`, which is sent
no key but the entry's own. LiteLLM's retries are off, the durable call tries again; nothing is reported to anybody.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import AsyncGenerator, Mapping
from functools import lru_cache
from typing import Any

# Before it is imported: no list of prices is fetched, no .env is read, and nothing is printed.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ.setdefault("LITELLM_MODE", "PRODUCTION")
os.environ.setdefault("LITELLM_LOG", "ERROR")

import httpx  # noqa: E402
import litellm  # noqa: E402
from google.adk.models.base_llm import BaseLlm  # noqa: E402
from google.adk.models.lite_llm import LiteLlm  # noqa: E402
from google.adk.models.llm_request import LlmRequest  # noqa: E402
from google.adk.models.llm_response import LlmResponse  # noqa: E402

from agentflow.providers import litellm_name  # noqa: E402
from agentflow.runtime.errors import ModelRefused, ModelUnavailable  # noqa: E402
from agentflow.runtime.graph import Model  # noqa: E402
from agentflow.runtime.keys import NO_KEY, TIMEOUT, answered, key_of, no_key, retry_after, unreachable  # noqa: E402

litellm.telemetry = False
litellm.suppress_debug_info = True
litellm.turn_off_message_logging = True
litellm.success_callback = []
litellm.failure_callback = []
litellm.disable_aiohttp_transport = True  # one client for all, and none that is left open in a loop that has ended
for _name in ("LiteLLM", "LiteLLM Proxy", "LiteLLM Router", "httpx"):
    logging.getLogger(_name).setLevel(logging.ERROR)

_WORDS = re.compile(r"^litellm\.\w+: (\w+: )*(\w+ ?- )?")


def connect(model: Model) -> BaseLlm:
    """The client for this model, one for each process, address and key."""
    name, bare = litellm_name(model.model), litellm_name(model.model) != model.model
    key = key_of(model) or (NO_KEY if bare else None)
    if key is None and model.base_url is None:
        missing = litellm.validate_environment(name)["missing_keys"]
        if missing and all(variable.endswith("_API_KEY") for variable in missing):  # others may have other ways
            raise no_key(model, f"set {' and '.join(missing)}")
    return _connected(name, model.model, model.base_url, key)


@lru_cache(maxsize=64)
def _connected(name: str, shown: str, base_url: str | None, key: str | None) -> BaseLlm:
    try:
        _, provider, _, _ = litellm.get_llm_provider(name)
    except Exception:  # noqa: BLE001 - it raises what a call would
        raise ModelRefused(f'LiteLLM knows no provider of the model "{shown}"', code=404) from None
    given: dict[str, Any] = {"timeout": TIMEOUT, "num_retries": 0, "max_retries": 0}
    given |= {name: value for name, value in (("api_base", base_url), ("api_key", key)) if value is not None}
    llm = _Lite(model=name, **given)
    llm._shown, llm._provider, llm._own = shown, provider, base_url is not None
    return llm


class _Lite(LiteLlm):
    """ADK's LiteLlm with its failures told apart, and its counts of tokens made disjoint."""

    _shown: str = ""
    _provider: str = ""
    _own: bool = False  # a server of one's own

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        config = llm_request.config
        config.response_schema = self._format(config.response_json_schema)
        if config.thinking_config is not None and not litellm.supports_reasoning(self.model, self._provider):
            message = f"{self._shown} is not known to think: leave thinking_budget out"
            raise ModelRefused(message, code=400)
        try:
            async for response in super().generate_content_async(llm_request, stream=False):
                yield _disjoint(response)
        except litellm.exceptions.APIConnectionError as error:
            raise unreachable(self._shown, error) from None
        except Exception as error:
            code = getattr(error, "status_code", None)
            if not isinstance(code, int):
                raise
            raise self._failed(error, code) from None

    def _failed(self, error: Exception, code: int) -> ModelUnavailable | ModelRefused:
        headers = getattr(error, "litellm_response_headers", None) or getattr(
            getattr(error, "response", None), "headers", {}
        )
        if code == 500 and (broken := _transport(error)) is not None:  # which LiteLLM takes for an answer
            return unreachable(self._shown, broken)
        message = _WORDS.sub("", str(getattr(error, "message", "") or error)).strip()
        return answered(self._shown, code, message, retry_after(headers or {}))

    def _format(self, schema: object) -> Any:
        """The schema of the answer, where the provider takes one; the instruction names it in any case."""
        if not isinstance(schema, Mapping) or schema.get("type") != "object":
            return None  # OpenAI's protocol knows objects only
        if not self._own and not litellm.supports_response_schema(self.model, self._provider):
            return None
        return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": strict(schema)}}


def _transport(error: BaseException | None) -> httpx.TransportError | None:
    """The failure of the connection that an error comes from, if one does."""
    while error is not None:
        if isinstance(error, httpx.TransportError):
            return error
        error = error.__cause__ or error.__context__
    return None


def strict(schema: object) -> bool:
    """Whether a schema is of the kind that OpenAI's strict mode takes: every object closed, and all of it required."""
    if isinstance(schema, list):
        return all(strict(item) for item in schema)
    if not isinstance(schema, Mapping):
        return True
    if not schema or "default" in schema:
        return False
    if schema.get("type") == "object":
        properties = schema.get("properties")
        if not isinstance(properties, Mapping) or schema.get("additionalProperties") is not False:
            return False
        if set(properties) != set(schema.get("required") or ()):
            return False
        return all(strict(inner) for inner in properties.values()) and strict(list(_defs(schema)))
    return all(strict(value) for key, value in schema.items() if key not in ("enum", "const", "$defs")) and strict(
        list(_defs(schema))
    )


def _defs(schema: Mapping[str, object]) -> list[object]:
    defined = schema.get("$defs")
    return list(defined.values()) if isinstance(defined, Mapping) else []


def _disjoint(response: LlmResponse) -> LlmResponse:
    """OpenAI counts what was thought among what was answered; Gemini, whose form this is, beside it."""
    counts = response.usage_metadata
    if counts is not None and counts.thoughts_token_count and counts.candidates_token_count:
        counts.candidates_token_count = max(0, counts.candidates_token_count - counts.thoughts_token_count)
    return response
