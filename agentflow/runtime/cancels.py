"""Waiting for what has to be known whether or not somebody cancels meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, cast

import restate
from restate.exceptions import TerminalError


async def outlived(future: Awaitable[Any]) -> bool:
    """Waits for a future of the SDK, over cancels. Gives whether there was one; the future may have failed."""
    cancelled = False
    while True:
        try:
            await restate.wait_completed(cast("restate.RestateDurableFuture[Any]", future))
        except TerminalError:
            cancelled = True
        else:
            return cancelled
