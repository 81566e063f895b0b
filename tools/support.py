"""The support graph's tools: the books of a small shop, the same in every process."""

from __future__ import annotations

from dataclasses import dataclass

from agentflow import ToolError
from tools import ledger


@dataclass
class Charge:
    id: str
    order: str
    amount: float


@dataclass
class Credit:
    id: str
    charge: str
    amount: float


CHARGES = (Charge("c-71", "7", 40), Charge("c-72", "7", 40), Charge("c-80", "8", 15))


def charges_of(order: str) -> list[Charge]:
    """Lists what has been charged for an order.

    Args:
        order: The order's number.
    """
    found = [charge for charge in CHARGES if charge.order == order]
    if not found:
        raise ToolError(f"there is no order {order}")
    return found


async def credit(charge: str, amount: float, idempotency_key: str) -> Credit:
    """Gives money back for a charge, at most once for each idempotency key.

    Args:
        charge: The charge's id.
        amount: How much to give back; at most what was charged.
    """
    known = next((known for known in CHARGES if known.id == charge), None)
    if known is None or not 0 < amount <= known.amount:
        raise ToolError(f"{amount} cannot be given back for {charge}")
    await ledger.effect("credit", idempotency_key, charge=charge, amount=amount)
    return Credit(f"n-{charge}", charge, amount)


async def take_back(credit: str, idempotency_key: str) -> None:
    """Cancels a credit, at most once for each idempotency key.

    Args:
        credit: The credit's id.
    """
    await ledger.effect("take_back", idempotency_key, credit=credit)


def delivery_of(order: str) -> str:
    """Says where an order is.

    Args:
        order: The order's number.
    """
    return {"7": "delivered on Monday", "8": "on its way"}.get(order, "not known")
