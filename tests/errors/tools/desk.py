"""The functions of a small service desk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import restate


@dataclass
class Ticket:
    id: str
    urgent: bool


def lookup(customer: str, limit: int = 10) -> list[Ticket]:
    """Finds a customer's tickets."""
    return []


def close(ticket: str, reason: Literal["solved", "duplicate"], idempotency_key: str) -> Ticket:
    """Closes a ticket."""
    return Ticket(ticket, False)


def reopen(ticket: str) -> Ticket:
    """Opens a ticket again."""
    return Ticket(ticket, True)


async def follow(ctx: restate.Context, ticket: str) -> None:
    """Follows a ticket for days."""


def positional(ticket: str, /) -> None:
    """Cannot be called by name."""


def contexts(one: restate.Context, two: restate.Context) -> None:
    """Takes one too many."""


class Desk:
    """No function."""
