"""The digest graph's tools: an agency with the same news every day, and a post office."""

from __future__ import annotations

from tools import ledger

_NEWS = {
    "energy": ["Wind makes half of all power", "Prices fall for the third week", "A zoo has a new panda"],
    "space": ["A probe reaches Jupiter"],
}


def headlines(topic: str) -> list[str]:
    """Fetches today's headlines about a topic.

    Args:
        topic: In a word.
    """
    return _NEWS.get(topic, [])


async def send(subject: str, text: str, idempotency_key: str) -> str:
    """Sends a letter to all subscribers: at most once for each idempotency key.

    Args:
        subject: The letter's first line.
        text: The rest.
    """
    await ledger.effect("send", idempotency_key, subject=subject)
    return f"letter of {len(text)} characters"
