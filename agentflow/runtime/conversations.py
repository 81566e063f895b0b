"""What agents said and heard, as JSON: shared by the nodes of a run, and in an object kept from message to message.

An entry is one message: `{by, parts}`, where `by` is `user`, an agent, or `system` for what is said of the conversation
itself, and the parts are those of a model's content. The results of an agent's calls carry `role: user`. Nothing here
imports ADK.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from agentflow.runtime.errors import Interruption, NodeError, TemplateError, TimedOut
from agentflow.types import Json

Entry = dict[str, Any]
Ending = Literal["failed", "interrupted", "rejected"]

USER, SYSTEM = "user", "system"


@dataclass(eq=False)
class Conversation:
    """`heard` is what was said before this run or this invocation of it, `fresh` what has been said since.

    `answers` counts, by agent, the answers before those in `heard`, and `summary` says what they were about.
    """

    heard: list[Entry] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)
    summary: str | None = None
    before: int = 0  # entries before those in `heard`
    fresh: list[Entry] = field(default_factory=list)

    def __len__(self) -> int:
        """All entries that there have ever been."""
        return self.before + len(self.heard) + len(self.fresh)

    def entries(self) -> list[Entry]:
        return [*self.heard, *self.fresh]

    def add(self, entry: Entry) -> None:
        self.fresh.append(entry)

    def end(self, error: BaseException) -> None:
        """Says why the last message has no answer."""
        answer_calls(self.fresh)
        ending, text = ended_by(error)
        self.fresh.append({"by": SYSTEM, "outcome": ending, "parts": [{"text": text}]})

    def as_json(self) -> dict[str, Any]:
        """For an invocation of its own: to it, all this has been heard."""
        return {"heard": self.entries(), "answers": self.answers, "summary": self.summary, "before": self.before}


@contextmanager
def joined(conversation: Conversation | None) -> Iterator[None]:
    """While an agent speaks in a conversation; says in it how that ended, where it did not end with an answer."""
    try:
        yield
    except (NodeError, TemplateError, Interruption) as end:
        if conversation is not None:
            conversation.end(end)
        raise


def ended_by(error: BaseException) -> tuple[Ending, str]:
    """What became of a message that has no answer, and the sentence that says so."""
    if isinstance(error, NodeError) and error.kind != "cancelled":
        ending: Ending = "rejected" if error.kind in ("rejected", "expired") else "failed"
        return (
            ending,
            f"This was not answered, for it {ending if ending == 'failed' else 'was rejected'}: {error.message}",
        )
    if isinstance(error, TimedOut):
        return "failed", "This was not answered, for it ran out of time."
    return "interrupted", "This was not answered, for it was interrupted."


def said_by_user(text: str, at: float) -> Entry:
    return {"by": USER, "at": round(at, 3), "parts": [{"text": text}]}


def told(text: str) -> Entry:
    """What the runtime tells a model in the place of the user: why its answer will not do."""
    return {"by": SYSTEM, "parts": [{"text": text}]}


def is_answer(entry: Mapping[str, Any]) -> bool:
    """Whether a model said it."""
    return entry["by"] not in (USER, SYSTEM) and entry.get("role") != "user"


def answers(entries: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How many answers each agent has given."""
    return dict(Counter(str(entry["by"]) for entry in entries if is_answer(entry)))


def answer_calls(entries: list[Entry]) -> None:
    """Gives every call that has no result one that says so: models refuse a conversation with calls left open."""
    results = {
        part["function_response"].get("id")
        for entry in entries
        for part in entry["parts"]
        if "function_response" in part
    }
    open_calls: list[dict[str, Any]] = []
    by = ""
    for entry in entries:
        for part in entry["parts"]:
            call = part.get("function_call")
            if call is not None and call.get("id") not in results:
                open_calls.append(call)
                by = entry["by"]
    if open_calls:
        lost = {"error": "the turn ended before the result of this call was known"}
        parts = [
            {"function_response": {"id": call.get("id"), "name": call.get("name"), "response": lost}}
            for call in open_calls
        ]
        entries.append({"by": by, "role": "user", "parts": parts})


def first_kept(entries: Sequence[Mapping[str, Any]], keep: int) -> int:
    """Where the last `keep` messages begin; never in the middle of an exchange, which begins with the user."""
    beginnings = [at for at, entry in enumerate(entries) if entry["by"] == USER]
    within = [at for at in beginnings if at >= len(entries) - keep]
    if within:
        return within[0]
    return beginnings[-1] if beginnings else max(0, len(entries) - keep)


def transcript(entries: Iterable[Mapping[str, Any]]) -> str:
    """As lines of text, for a model to summarize."""
    return "\n".join(line for entry in entries for line in _lines(entry))


def _lines(entry: Mapping[str, Any]) -> Iterable[str]:
    for part in entry["parts"]:
        if "text" in part:
            yield f"{entry['by']}: {part['text']}"
        elif "function_call" in part:
            yield f"{entry['by']} calls {part['function_call'].get('name')}({part['function_call'].get('args')})"
        elif "function_response" in part:
            result = part["function_response"]
            yield f"{result.get('name')} gives {result.get('response')}"


def shown(entry: Mapping[str, Any]) -> dict[str, Json]:
    """An entry as `history` gives it, but for its time."""
    seen: dict[str, Json] = {name: entry[name] for name in ("turn", "by", "outcome") if name in entry}
    texts = [part["text"] for part in entry["parts"] if "text" in part]
    if texts:
        seen["text"] = "".join(texts)
    calls = [part["function_call"] for part in entry["parts"] if "function_call" in part]
    if calls:
        seen["calls"] = [{"tool": call.get("name"), "with": call.get("args") or {}} for call in calls]
    results = [part["function_response"] for part in entry["parts"] if "function_response" in part]
    if results:
        seen["results"] = [{"tool": result.get("name"), "result": result.get("response")} for result in results]
    return seen
