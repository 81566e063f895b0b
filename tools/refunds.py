"""The refund desk's tools: a shop's orders and its bank, in memory, the same in every process."""

from __future__ import annotations

import os
from dataclasses import dataclass

import restate

from agentflow import ToolError
from tools import ledger


@dataclass
class Order:
    order: str
    customer: str
    paid: float


@dataclass
class Payment:
    id: str
    order: str
    amount: float


def order_of(order: str) -> Order:
    """Looks up an order.

    Args:
        order: Its number.
    """
    if order == "99":
        raise ToolError("there is no order 99; ask the customer for the number")
    return Order(order, "ada", 25)


def history(order: str) -> list[str]:
    """The refunds that an order's customer has had."""
    return [] if order == "17" else ["16"]


def pay(order: str, amount: float, idempotency_key: str) -> Payment:
    """Pays money back to the customer.

    Args:
        order: The order's number.
        amount: In EUR.
    """
    if order == "stolen":
        raise restate.TerminalError("the card was reported stolen", status_code=451)
    if os.environ.get("EXAMPLES_BANK") == "down":
        raise ConnectionError("the bank does not answer")
    ledger.note("pay", idempotency_key, order=order, amount=amount)
    return Payment(f"r-{order}", order, amount)


def take_back(payment: str, idempotency_key: str) -> None:
    """Takes a payment back."""
    ledger.note("take_back", idempotency_key, payment=payment)
