"""The functions of a till."""

from __future__ import annotations


def pay(amount: float, idempotency_key: str) -> None:
    """Pays."""


def keep(text: str) -> str:
    """Keeps a text; takes no key."""
    return text
