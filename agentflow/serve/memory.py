"""Gives back to the system what a burst of runs has left free in the allocator, which by itself keeps most of it."""

from __future__ import annotations

import asyncio
import ctypes

EVERY = 20.0  # seconds


async def give_back() -> None:
    """Goes on until it is cancelled; ends at once where the C library has no `malloc_trim`: glibc alone has."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return
    while True:
        await asyncio.sleep(EVERY)
        trim(0)  # a few milliseconds for a hundred mebibytes
