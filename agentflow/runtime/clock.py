"""Durable timers: every one that a run sets is made here."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import restate


def sleep(ctx: restate.Context, milliseconds: float) -> restate.RestateDurableFuture[Any]:
    """A timer that goes off after so long, over restarts of whatever runs here."""
    return ctx.sleep(timedelta(milliseconds=milliseconds))
