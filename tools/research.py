"""The research graph's tools: sources that can be read or not, and archives that lend a slot before they answer."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

import restate

from tools import ledger

CLOSED = ("diary",)
SECONDS = {"north": 0.2, "south": 1.5}  # to answer


@dataclass
class Slot:
    slot: str


async def read_source(source: str) -> str:
    """Reads a source.

    Args:
        source: Its name.
    """
    if source in CLOSED:
        raise restate.TerminalError(f"the {source} is closed", status_code=403)
    ledger.note("read_source", "", source=source)
    await asyncio.sleep(float(os.environ.get("EXAMPLES_PACE") or 0.3))
    return f"what the {source} says"


async def reserve(archive: str, idempotency_key: str) -> Slot:
    """Reserves a slot in an archive, at most once for each idempotency key.

    Args:
        archive: Which one.
    """
    await ledger.effect("reserve", idempotency_key, archive=archive)
    return Slot(f"slot-{archive}")


async def release(slot: str, idempotency_key: str) -> None:
    """Gives a slot back, at most once for each idempotency key.

    Args:
        slot: Which one.
    """
    await ledger.effect("release", idempotency_key, slot=slot)


async def fetch(slot: str, topic: str) -> str:
    """Fetches what an archive has about a topic.

    Args:
        slot: The slot that was reserved there.
        topic: What about.
    """
    await asyncio.sleep(SECONDS[slot.removeprefix("slot-")])
    return f"an old map of {topic}"
