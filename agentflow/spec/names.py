"""Which names may be given to things in a graph."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection

from agentflow.diagnostics import quoted

RESERVED = frozenset(
    ["input", "run", "state", "item", "index", "previous", "error", "args", "result", "approver", "link", "message"]
)
JINJA = frozenset(
    [
        "and",
        "or",
        "not",
        "in",
        "is",
        "if",
        "elif",
        "else",
        "for",
        "endfor",
        "endif",
        "true",
        "false",
        "none",
        "loop",
        "self",
        "super",
        "caller",
        "varargs",
        "kwargs",
        "block",
        "extends",
        "print",
        "macro",
        "include",
        "from",
        "import",
        "set",
        "with",
        "without",
        "context",
        "autoescape",
        "call",
        "filter",
        "recursive",
    ]
)
PYTHON = frozenset(word.lower() for word in keyword.kwlist) | frozenset(keyword.kwlist)
LONGEST = 63
_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_TYPE_NAME = re.compile(r"[A-Z][A-Za-z0-9_]*\Z")
_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")


def bad_name(name: str, what: str, reserved: bool = True) -> tuple[str, str | None] | None:
    """Why a name cannot name a thing, and what would do; None if it can."""
    if not _NAME.match(name):
        proposal = re.sub(r"[^a-z0-9_]+", "_", name.strip().lower()).strip("_")
        help = f"write {proposal}" if _NAME.match(proposal) and len(proposal) <= LONGEST else None
        rule = "begins with a letter and is made of a-z, 0-9 and _"
        return f"{quoted(name)} cannot name {what}: a name {rule}", help
    if len(name) > LONGEST:
        return f"{quoted(name)} cannot name {what}: a name has at most {LONGEST} characters", None
    if reserved and name in RESERVED:
        return f"{quoted(name)} cannot name {what}: the word has a meaning of its own in templates", None
    if name in PYTHON or (reserved and name in JINJA):
        return f"{quoted(name)} cannot name {what}: it is a keyword", None
    return None


def bad_type_name(name: str) -> str | None:
    if _TYPE_NAME.match(name) and name not in PYTHON and len(name) <= LONGEST:
        return None
    return (
        f"{quoted(name)} cannot name a type: a type's name begins with a capital and is made of letters, digits and _"
    )


def bad_field_name(name: str) -> str | None:
    if _FIELD_NAME.match(name) and len(name) <= LONGEST:
        return None
    return (
        f"{quoted(name)} cannot name a field: a field's name begins with a letter and is made of letters, digits and _"
    )


def is_broken(name: str, broken: Collection[str]) -> bool:
    """Whether a tool's name, or that of its set, has been reported."""
    return name in broken or name.partition(".")[0] in broken
