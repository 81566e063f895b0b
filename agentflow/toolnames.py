"""The name by which a model calls a tool: `crm.getCustomer` is a function called `crm_getCustomer` to it."""

from __future__ import annotations

import hashlib
import re

LONGEST = 64  # of what providers take as the name of a function


def offered(name: str) -> str:
    """Letters, digits and _ only; the same for the same tool, whatever else there is."""
    plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
    if len(plain) <= LONGEST:
        return plain
    return f"{plain[: LONGEST - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
