"""What a run has used, counted from the journal, and the limits that are checked before each call.

A limit belongs to the run or to an agent. A run's counts everything; an agent's what is spent while the agent works on
a conversation, also by the agents that it calls as tools, but not by those that it hands the conversation over to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from agentflow.runtime.errors import NodeError
from agentflow.runtime.graph import Limits

Counted = Literal["model_calls", "tool_calls", "handoffs"]


@dataclass
class Spent:
    """What has been used. A replay counts it again, from the same journal, to the same sums."""

    model_calls: int = 0
    tool_calls: int = 0
    handoffs: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0  # in the currency of the models' prices

    def add(self, other: Mapping[str, float]) -> None:
        for name, amount in other.items():
            setattr(self, name, _sum(getattr(self, name), amount))

    def minus(self, other: Mapping[str, float]) -> dict[str, float]:
        return {name: _sum(amount, -other.get(name, 0)) for name, amount in vars(self).items()}


def _sum(one: float, other: float) -> float:
    """Rounded, so that costs do not show how machines add."""
    return round(one + other, 12)


@dataclass
class Used:
    """What an agent has used of its limits in the parts of a conversation that it had."""

    spent: dict[str, float] = field(default_factory=dict)
    time: float = 0  # seconds


@dataclass(eq=False)
class Meter:
    """Limits in force, and what counts against them: `before`, and what `spent` has grown by since this was made."""

    who: str
    limits: Limits
    spent: Spent
    before: Mapping[str, float] | None = None  # None: all that has been spent counts
    _since: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        self._since = {} if self.before is None else dict(vars(self.spent))

    def used(self) -> dict[str, float]:
        now, before = self.spent.minus(self._since), self.before or {}
        return {name: _sum(amount, before.get(name, 0)) for name, amount in now.items()}

    def check(self, name: Counted, node: str, amount: int) -> None:
        """Raises the error of a limit that `amount` more calls would exceed."""
        limits, used = self.limits, self.used()
        most: int | None = getattr(limits, name)
        words = name.replace("_", " ")
        if most is not None and used[name] >= most:
            raise _over(f"{self.who} has made its {most} {words} (limits.{name})", node)
        if most is not None and used[name] + amount > most:
            made = f"{self.who} has made {used[name]} of its {most} {words}"
            raise _over(f"{made}, and {amount} more were asked for at once (limits.{name})", node)
        if name == "tool_calls" and limits.fan_out is not None and amount > limits.fan_out:
            message = f"{self.who}: {amount} tool calls at once are more than {limits.fan_out} (limits.fan_out)"
            raise _over(message, node)
        if name == "model_calls":
            self._check_tokens(used, node)

    def _check_tokens(self, used: Mapping[str, float], node: str) -> None:
        """What a call will take is not known before it: it is made while there is something left."""
        tokens, limits = used["input_tokens"] + used["output_tokens"], self.limits
        if limits.tokens is not None and tokens >= limits.tokens:
            raise _over(f"{self.who} has used {tokens} tokens, of {limits.tokens} (limits.tokens)", node)
        if limits.cost is not None and used["cost"] >= limits.cost:
            raise _over(f"{self.who} has cost {amount(used['cost'])}, of {amount(limits.cost)} (limits.cost)", node)


def amount(cost: float) -> str:
    """A cost as people write it, however small."""
    return f"{cost:.12f}".rstrip("0").rstrip(".")


def _over(message: str, node: str) -> NodeError:
    return NodeError("limit", message, node=node)
