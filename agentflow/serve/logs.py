"""Keeps the logs of the children small: what is beyond a size goes to `.1`, in the place of what was there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

LARGEST = 10 * 1024 * 1024  # bytes of a log, and of the one before it
PERIOD = 10.0  # seconds


async def keep_small(logs: Sequence[Path], largest: int = LARGEST, period: float = PERIOD) -> None:
    """For ever. A full disk or a log that somebody took away is no reason to end what is served."""
    while True:
        for log in logs:
            await asyncio.to_thread(shorten, log, largest)
        await asyncio.sleep(period)


def shorten(log: Path, largest: int) -> bool:
    """Moves what a log holds to `.1` once it is too large; of more than that, the end.

    The child keeps the file open and appends to it, so the file stays and is emptied: a line that comes between the
    copy and that is lost.
    """
    try:
        with log.open("r+b") as file:
            size = os.fstat(file.fileno()).st_size
            if size <= largest:
                return False
            file.seek(size - largest)
            log.with_name(f"{log.name}.1").write_bytes(file.read())
            file.truncate(0)
    except OSError:
        return False
    return True
