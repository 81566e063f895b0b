"""The order graph's tools: a shop's storehouse in memory, the same in every process."""

from __future__ import annotations

from dataclasses import dataclass

from tools import ledger


@dataclass
class Reservation:
    id: str


@dataclass
class Parcel:
    id: str


def reserve(item: str, idempotency_key: str) -> Reservation:
    """Puts an item aside."""
    ledger.note("reserve", idempotency_key, item=item)
    return Reservation(f"s-{item}")


def release(reservation: str, idempotency_key: str) -> None:
    """Puts it back on the shelf."""
    ledger.note("release", idempotency_key, reservation=reservation)


def ship(reservation: str, reference: str, idempotency_key: str) -> Parcel:
    """Sends it to the customer."""
    ledger.note("ship", idempotency_key, reservation=reservation, reference=reference)
    return Parcel(f"p-{reservation}")
