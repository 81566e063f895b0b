"""Gives back to the system what a burst of runs has taken, which by themselves the allocators keep.

What is left after a burst is little, but a small object here and there, each of which keeps the page that it is in.
Most belong to connections of the engine: so these are few, and remember no more of their streams than they must.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sysconfig
import time
from collections.abc import Callable

EVERY = 20.0  # seconds
WORTH = 1.0  # seconds of work after which there is something to clear away, in a tenth of a second
STREAMS = 500  # of one connection at a time; hypercorn knows a thousand
# Of one connection, of which it knows how they ended. A late frame of one that it has forgotten would be an error of
# the whole connection, so it forgets none while others of their time are under way.
ENDED = 2 * STREAMS


def environment() -> dict[str, str]:
    """What the environment of the service says when it starts: which allocator it uses.

    Python's own gives back mebibytes of which nothing is in use, and one small object that outlives a burst keeps its
    mebibyte. The C library's gives back single pages. For that it takes about four percent more processor time.
    """
    own_alone = sysconfig.get_config_var("Py_GIL_DISABLED")  # without the GIL Python refuses every other
    return {} if own_alone or _trim() is None else {"PYTHONMALLOC": "malloc"}


def remember_less() -> None:
    """Before the first connection is made. By itself h2 remembers of each how its last 65,536 streams ended."""
    from h2.connection import H2Connection

    H2Connection.MAX_CLOSED_STREAMS = ENDED


async def give_back() -> None:
    """Goes on until it is cancelled; ends at once where the C library has no `malloc_trim`: glibc alone has."""
    trim = _trim()
    if trim is None:
        return
    cleared = time.process_time()
    while True:
        await asyncio.sleep(EVERY)
        if time.process_time() - cleared > WORTH:
            clear_away()
            cleared = time.process_time()
        trim(0)  # a few milliseconds for a hundred mebibytes


def clear_away() -> None:
    """Lets go of streams that have ended, which connections keep until their next one begins, and of free lists."""
    from h2.connection import H2Connection

    for thing in gc.get_objects():
        if type(thing) is H2Connection:
            _ = thing.open_inbound_streams  # counting them removes the others
    gc.collect()


def _trim() -> Callable[[int], object] | None:
    try:
        found: Callable[[int], object] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
    return found
