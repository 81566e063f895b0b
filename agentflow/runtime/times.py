"""Times as people and templates read them, and how long steps may take and what has ended is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

# How long one step may take. By itself the engine would break off an attempt that has been silent for eleven minutes,
# and begin the step anew, for ever; a step that hangs is its time limit's business.
ABORT = timedelta(days=1)
RETENTION = timedelta(days=7)  # of a finished run's key, result and status, and of a decided gate


def rfc3339(seconds: float) -> str:
    """Seconds since 1970 as `2026-01-31T08:00:00.000Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
