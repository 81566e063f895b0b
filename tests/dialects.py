"""What providers of models say, each in its own protocol; `standin` says it on loopback."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from tests import standin
from tests.standin import Answer


class Dialect(ABC):
    """How a provider answers, and how it was asked."""

    @abstractmethod
    def say(self, value: object) -> Answer: ...

    @abstractmethod
    def call(self, *calls: tuple[str, Mapping[str, Any]]) -> Answer: ...

    @abstractmethod
    def error(self, status: int, message: str = "said no", retry_after: str | None = None) -> Answer: ...

    @abstractmethod
    def results(self, request: Mapping[str, Any]) -> list[tuple[str, str]]:
        """The results of tools in a request, each with the id of its call."""

    @abstractmethod
    def asked(self, request: Mapping[str, Any]) -> list[str]:
        """The ids of the calls that a request shows the model to have asked for."""

    @abstractmethod
    def schema(self, request: Mapping[str, Any]) -> Any:
        """The schema that the answer must fit."""


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


class OpenAI(Dialect):
    def _answer(self, message: Mapping[str, Any], finish: str) -> Answer:
        choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", **message}}
        details = {"reasoning_tokens": 1}
        usage = {
            "prompt_tokens": 7,
            "completion_tokens": 3,
            "total_tokens": 10,
            "completion_tokens_details": details,
        }
        about = {"id": "c-1", "object": "chat.completion", "created": 1, "model": "standin"}
        return Answer({**about, "choices": [choice], "usage": usage})

    def say(self, value: object) -> Answer:
        return self._answer({"content": _text(value)}, "stop")

    def call(self, *calls: tuple[str, Mapping[str, Any]]) -> Answer:
        asked = [
            {"id": f"theirs-{at}", "type": "function", "function": {"name": name, "arguments": json.dumps(args)}}
            for at, (name, args) in enumerate(calls)
        ]
        return self._answer({"content": None, "tool_calls": asked}, "tool_calls")

    def error(self, status: int, message: str = "said no", retry_after: str | None = None) -> Answer:
        headers = {} if retry_after is None else {"Retry-After": retry_after}
        return Answer({"error": {"message": message, "type": "error", "code": str(status)}}, status, headers)

    def results(self, request: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [(said["tool_call_id"], said["content"]) for said in request["messages"] if said["role"] == "tool"]

    def asked(self, request: Mapping[str, Any]) -> list[str]:
        return [call["id"] for said in request["messages"] for call in said.get("tool_calls") or ()]

    def schema(self, request: Mapping[str, Any]) -> Any:
        return request["response_format"]["json_schema"]["schema"] if "response_format" in request else None


class Claude(Dialect):
    def _answer(self, content: list[dict[str, Any]], stop: str) -> Answer:
        usage = {"input_tokens": 7, "output_tokens": 3}
        about = {"id": "m-1", "type": "message", "role": "assistant", "model": "standin", "stop_sequence": None}
        return Answer({**about, "content": content, "stop_reason": stop, "usage": usage})

    def say(self, value: object) -> Answer:
        return self._answer([{"type": "text", "text": _text(value)}], "end_turn")

    def typed(self, value: object) -> Answer:
        """An answer that fits a schema, as the call of a tool, which is how ADK asks for it."""
        given = value if isinstance(value, dict) else {"response": value}
        block = {"type": "tool_use", "id": "theirs-0", "name": "structured_output", "input": given}
        return self._answer([block], "tool_use")

    def call(self, *calls: tuple[str, Mapping[str, Any]]) -> Answer:
        blocks = [
            {"type": "tool_use", "id": f"theirs-{at}", "name": name, "input": args}
            for at, (name, args) in enumerate(calls)
        ]
        return self._answer(blocks, "tool_use")

    def error(self, status: int, message: str = "said no", retry_after: str | None = None) -> Answer:
        headers = {} if retry_after is None else {"Retry-After": retry_after}
        return Answer({"type": "error", "error": {"type": "some_error", "message": message}}, status, headers)

    def _blocks(self, request: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
        said = [message["content"] for message in request["messages"] if isinstance(message["content"], list)]
        return [block for blocks in said for block in blocks if block["type"] == kind]

    def results(self, request: Mapping[str, Any]) -> list[tuple[str, str]]:
        blocks = self._blocks(request, "tool_result")
        return [(block["tool_use_id"], _text(block["content"])) for block in blocks]

    def asked(self, request: Mapping[str, Any]) -> list[str]:
        return [block["id"] for block in self._blocks(request, "tool_use")]

    def schema(self, request: Mapping[str, Any]) -> Any:
        found = [tool for tool in request.get("tools", ()) if tool["name"] == "structured_output"]
        return found[0]["input_schema"] if found else None


class Gemini(Dialect):
    def say(self, value: object) -> Answer:
        return standin.say(value)

    def call(self, *calls: tuple[str, Mapping[str, Any]]) -> Answer:
        return standin.call(*calls)

    def error(self, status: int, message: str = "said no", retry_after: str | None = None) -> Answer:
        return standin.error(status, message, retry_after=retry_after)

    def results(self, request: Mapping[str, Any]) -> list[tuple[str, str]]:
        parts = [part for content in request["contents"] for part in content["parts"]]
        found = [part["functionResponse"] for part in parts if "functionResponse" in part]
        return [(one.get("id", ""), _text(one["response"])) for one in found]

    def asked(self, request: Mapping[str, Any]) -> list[str]:
        parts = [part for content in request["contents"] for part in content["parts"]]
        return [part["functionCall"].get("id", "") for part in parts if "functionCall" in part]

    def schema(self, request: Mapping[str, Any]) -> Any:
        return request["generationConfig"].get("responseJsonSchema")
