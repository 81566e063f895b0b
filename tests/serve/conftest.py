"""The fixture that serves hand-written modules."""

from __future__ import annotations

from serving import served

__all__ = ["served"]
