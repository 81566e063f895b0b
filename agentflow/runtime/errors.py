"""How a node ends other than with a value.

Two families. A `NodeError` is an outcome that the graph's author can see and catch with `on_error`.
An `Interruption` is not: it unwinds everything up to whoever may act on it, so it derives from
BaseException, like the SDK's own suspension, and no `except Exception` on its way can swallow it.
"""

from __future__ import annotations

from typing import Literal

from agentflow.types import Json

ErrorKind = Literal[
    "tool", "model", "output", "timeout", "expired", "rejected", "cancelled", "limit", "join", "event", "fail"
]


class NodeError(Exception):
    """A node failed for good. `code` is HTTP-like and never 409, which means other things to the engine.

    `unknown` says that the call was cut off: whether it took effect is not known. `told`: a model that asked for the
    call is told, and may recover.
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        code: int = 500,
        node: str | None = None,
        unknown: bool = False,
        told: bool = False,
    ) -> None:
        super().__init__(message)
        self.kind: ErrorKind = kind
        self.code = 500 if code == 409 else code
        self.message = message
        self.node = node
        self.unknown = unknown
        self.told = told

    def as_json(self) -> dict[str, Json]:
        """The `error` that templates see: kind, code, message, node."""
        return {"kind": self.kind, "code": self.code, "message": self.message, "node": self.node}


class Interruption(BaseException):
    """Unwinds to the frame that owns its cause; never caught on the way."""


class Cancelled(Interruption):
    """The engine cancelled this invocation."""


class TimedOut(Interruption):
    """An alarm went off: the time limit of a node or of the run."""

    def __init__(self, alarm: object) -> None:
        super().__init__("out of time")
        self.alarm = alarm


class TemplateError(Exception):
    """A template met a value that is not there; the message names it."""


class ModelUnavailable(Exception):
    """A model's provider did not answer this time; trying again may help. `retry_after` is in seconds."""

    def __init__(self, message: str, *, code: int = 503, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.retry_after = retry_after


class ToolUnavailable(Exception):
    """What a tool calls did not do it this time; trying again may help. `retry_after` is in seconds.

    `code` is what the service answered, where it did. `unknown`: the call may have taken effect all the same.
    """

    def __init__(
        self, message: str, *, code: int = 503, retry_after: float | None = None, unknown: bool = False
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.retry_after = retry_after
        self.unknown = unknown


class ModelRefused(NodeError):
    """A model's provider will not answer this, however often it is asked: a wrong key, an unknown model."""

    def __init__(self, message: str, *, code: int = 500) -> None:
        super().__init__("model", message, code=code)
