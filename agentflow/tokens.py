"""Tokens and links: what proves who decides. Made when they are used, never journaled."""

from __future__ import annotations

import hashlib
import hmac
import json
import os

KEY = "AGENTFLOW_APPROVAL_KEY"


def required() -> bool:
    """Whether a decision needs a token. Without a key, in development, anyone who reaches the server may decide."""
    return bool(os.environ.get(KEY))


def token(gate: str, run: str, approver: str) -> str:
    """What proves that `approver` decides: an HMAC under AGENTFLOW_APPROVAL_KEY, hex."""
    message = json.dumps([gate, run, approver]).encode()
    return hmac.new(os.environ.get(KEY, "").encode(), message, hashlib.sha256).hexdigest()


def link(gate: str, run: str, approver: str) -> str:
    """Where `approver` decides: AGENTFLOW_LINKS, the gate's id, and the token after `#`, which no server is sent."""
    base = os.environ.get("AGENTFLOW_LINKS", "http://127.0.0.1:8080/approve").rstrip("/")
    return f"{base}/{gate}#token={token(gate, run, approver)}" if os.environ.get(KEY) else f"{base}/{gate}"
