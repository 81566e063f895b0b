"""Who answers for a model, by its name; the compiler and the runtime agree on it here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

Name = Literal["gemini", "claude", "litellm"]


@dataclass(frozen=True)
class Provider:
    """A client that asks models. `package` is what it imports, and `extra` what installs that, where it is optional."""

    name: Name
    package: str
    extra: str | None = None

    @property
    def installed(self) -> bool:
        """Whether the client is there; it is not imported for that."""
        return self.extra is None or find_spec(self.package) is not None

    @property
    def install(self) -> str:
        return f'pip install "agentflow[{self.extra}]"'


GEMINI = Provider("gemini", "google.genai")
CLAUDE = Provider("claude", "anthropic", "claude")
LITELLM = Provider("litellm", "litellm", "litellm")

_NAMES = (
    (re.compile(r"(?:models/)?gemini-[A-Za-z0-9._-]+\Z"), GEMINI),
    (re.compile(r"claude-[A-Za-z0-9._@-]+\Z"), CLAUDE),
    (re.compile(r"[a-z0-9][a-z0-9_.-]*/\S+\Z"), LITELLM),
)
_ANY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/-]*\Z")


def provider_of(model: str, base_url: str | None = None) -> Provider | None:
    """Who is asked for a model.

    With a `base_url`, Gemini's, Claude's and a named provider's own protocol is spoken there. Any other name is then
    a model of a server that speaks OpenAI's protocol.
    """
    for pattern, provider in _NAMES:
        if pattern.match(model):
            return provider
    return LITELLM if base_url is not None and _ANY.match(model) else None


def litellm_name(model: str) -> str:
    """The model as LiteLLM names it: a bare name is of a server that speaks OpenAI's protocol."""
    return model if _NAMES[-1][0].match(model) else f"openai/{model}"
