"""What the examples' tools leave behind, so that effects can be counted: one line of JSON a call.

`EXAMPLES_LEDGER` names the file; without it nothing is written. `EXAMPLES_PACE` is how many seconds
each effect takes (default 0), for whoever wants to interrupt one.
"""

from __future__ import annotations

import asyncio
import json
import os


async def effect(tool: str, key: str, **details: object) -> None:
    """Writes down that a tool acted under an idempotency key, and takes its time."""
    note(tool, key, **details)
    await asyncio.sleep(float(os.environ.get("EXAMPLES_PACE") or 0))


def note(tool: str, key: str, **details: object) -> None:
    """Writes down that a tool was called."""
    path = os.environ.get("EXAMPLES_LEDGER")
    if not path:
        return
    line = json.dumps({"tool": tool, "key": key, **details}, ensure_ascii=False)
    with open(path, "a", encoding="utf-8") as file:
        file.write(line + "\n")
