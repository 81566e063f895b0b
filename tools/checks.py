"""The checks graph's tools: three registers, each of which takes its second to answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tools import ledger

SECONDS = 1.0
NO_CREDIT = ("Bob",)


@dataclass
class Check:
    ok: bool
    reason: str


async def address(customer: str) -> Check:
    """Whether a customer lives where they say.

    Args:
        customer: Who.
    """
    return await _look("address", customer, True)


async def credit(customer: str) -> Check:
    """Whether a customer has credit.

    Args:
        customer: Who.
    """
    return await _look("credit", customer, customer not in NO_CREDIT)


async def sanctions(customer: str) -> Check:
    """Whether a customer is on no list.

    Args:
        customer: Who.
    """
    return await _look("sanctions", customer, True)


async def _look(register: str, customer: str, ok: bool) -> Check:
    ledger.note(register, "", customer=customer)
    await asyncio.sleep(SECONDS)
    return Check(ok, "nothing against it" if ok else f"{customer} has none")
