"""The trip graph's tools: flights, hotels and payments in memory, the same in every process. The city decides."""

from __future__ import annotations

from dataclasses import dataclass

import restate

from agentflow import ToolError
from tools import ledger

NO_FLIGHT = ("Atlantis",)
HOTEL_FULL = ("Venice",)
NO_TICKETS = ("Lima", "Dubai")
NO_RETURNS = ("Dubai",)  # whose hotel does not cancel a booking
CARD_LIMIT = 5_000


@dataclass
class Booking:
    id: str
    price: float


@dataclass
class Payment:
    id: str
    amount: float


@dataclass
class Tickets:
    id: str


async def book_flight(to: str, idempotency_key: str) -> Booking:
    """Books a flight, at most once for each idempotency key.

    Args:
        to: The city to fly to.
    """
    if to in NO_FLIGHT:
        raise restate.TerminalError(f"no airline flies to {to}", status_code=404)
    await ledger.effect("book_flight", idempotency_key, to=to)
    return Booking(f"flight-{to}", 310)


async def cancel_flight(booking: str, idempotency_key: str) -> None:
    """Cancels a flight, at most once for each idempotency key.

    Args:
        booking: The booking's id.
    """
    await ledger.effect("cancel_flight", idempotency_key, booking=booking)


async def book_hotel(city: str, nights: int, idempotency_key: str) -> Booking:
    """Books a hotel room, at most once for each idempotency key.

    Args:
        city: Where.
        nights: For how many nights.
    """
    if city in HOTEL_FULL:
        raise restate.TerminalError(f"there is no room in {city}", status_code=422)
    await ledger.effect("book_hotel", idempotency_key, city=city, nights=nights)
    return Booking(f"hotel-{city}", 120 * nights)


async def cancel_hotel(booking: str, idempotency_key: str) -> None:
    """Cancels a hotel room, at most once for each idempotency key.

    Args:
        booking: The booking's id.
    """
    if booking.removeprefix("hotel-") in NO_RETURNS:
        raise ToolError(f"the hotel does not cancel {booking}")
    await ledger.effect("cancel_hotel", idempotency_key, booking=booking)


async def charge(amount: float, idempotency_key: str) -> Payment:
    """Charges the traveller's card, at most once for each idempotency key.

    Args:
        amount: How much.
    """
    if amount > CARD_LIMIT:
        raise restate.TerminalError(f"the card is declined: {amount:g} is over its limit", status_code=402)
    await ledger.effect("charge", idempotency_key, amount=amount)
    return Payment(f"payment-{amount:g}", amount)


async def repay(payment: str, idempotency_key: str) -> None:
    """Pays a charge back, at most once for each idempotency key.

    Args:
        payment: The payment's id.
    """
    await ledger.effect("repay", idempotency_key, payment=payment)


async def issue_tickets(to: str, traveller: str, idempotency_key: str) -> Tickets:
    """Issues the tickets of a trip that has been paid, at most once for each idempotency key.

    Args:
        to: Where the trip goes.
        traveller: Whose name stands on them.
    """
    if to in NO_TICKETS:
        raise restate.TerminalError(f"no tickets to {to} can be issued for {traveller}", status_code=422)
    await ledger.effect("issue_tickets", idempotency_key, to=to, traveller=traveller)
    return Tickets(f"tickets-{to}")
