"""The claim graph's tools: a small insurance company in memory, the same in every process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agentflow import ToolError
from tools import ledger

_PLANS: tuple[Literal["basic", "full"], ...] = ("basic", "full")


@dataclass
class Policy:
    claim_id: str
    plan: Literal["basic", "full"]
    covers: list[str]
    limit: float


@dataclass
class Payment:
    id: str
    claim_id: str
    amount: float


@dataclass
class Refund:
    payment: str
    refunded: bool


def policy_of(claim_id: str) -> Policy:
    """Looks up the policy that a claim belongs to.

    Args:
        claim_id: The claim's number.
    """
    if not claim_id.strip():
        raise ToolError("a claim has a number")
    plan = _PLANS[len(claim_id) % 2]
    covers = ["accident", "illness"] + (["dental"] if plan == "full" else [])
    return Policy(claim_id, plan, covers, 10_000 if plan == "full" else 2_000)


async def pay(claim_id: str, amount: float, idempotency_key: str) -> Payment:
    """Pays a claim: at most once for each idempotency key, as a payment provider would.

    Args:
        claim_id: The claim's number.
        amount: How much to pay.
    """
    if amount <= 0:
        raise ToolError(f"{amount} cannot be paid")
    await ledger.effect("pay", idempotency_key, claim_id=claim_id, amount=amount)
    return Payment(f"p-{claim_id}", claim_id, amount)


async def refund(payment: str, idempotency_key: str) -> Refund:
    """Takes a payment back, at most once for each idempotency key.

    Args:
        payment: The payment's id.
    """
    await ledger.effect("refund", idempotency_key, payment=payment)
    return Refund(payment, True)
