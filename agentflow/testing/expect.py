"""What a case expects, held against what came of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agentflow.testing.cases import LISTS, Case, bare, length
from agentflow.testing.outcome import Outcome
from agentflow.types import Json

Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Miss:
    """One thing that is not as expected. `place` is below the case's `expect`."""

    place: Place
    expected: str
    got: str

    @property
    def what(self) -> str:
        return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.place).lstrip(".")


def misses(case: Case, outcome: Outcome) -> list[Miss]:
    return [miss for key, wanted in case.expect.items() for miss in _one(key, wanted, outcome)]


def _one(key: str, wanted: Any, outcome: Outcome) -> Iterator[Miss]:
    place: Place = (key,)
    if key in LISTS:
        yield from _names(place, wanted, outcome.of_state(key))
    elif key == "nodes":
        for path, state in wanted.items():
            node = outcome.nodes.get(path, {})
            got: Any = node if isinstance(state, dict) else node.get("state", "not reached")
            yield from compared((*place, path), state, got)
    elif key == "calls":
        for tool, calls in wanted.items():
            made = [call["args"] for call in outcome.calls if call["tool"] == tool]
            yield from compared((*place, tool), calls, made if isinstance(calls, list) else len(made))
    elif key in ("undone", "not_undone"):
        yield from _undone(place, wanted, outcome.undone if key == "undone" else outcome.not_undone)
    elif key == "elapsed":
        if length(wanted) != outcome.elapsed:
            yield Miss(place, str(wanted), duration(outcome.elapsed))
    else:
        yield from compared(place, wanted, getattr(outcome, key))


def compared(place: Place, wanted: Any, got: Any) -> Iterator[Miss]:
    """Mappings are subsets; lists are as long, and all else is equal. `{contains: x}` asks a text for a part of it."""
    if isinstance(wanted, dict) and isinstance(got, str) and list(wanted) == ["contains"]:
        if str(wanted["contains"]) not in got:
            yield Miss((*place, "contains"), f"a text with {shown(wanted['contains'])} in it", shown(got))
    elif isinstance(wanted, dict) and isinstance(got, Mapping):
        for name, inner in wanted.items():
            if name in got:
                yield from compared((*place, name), inner, got[name])
            elif inner is not None:
                yield Miss((*place, name), shown(inner), "nothing")
    elif isinstance(wanted, list) and isinstance(got, list):
        if len(wanted) != len(got):
            yield Miss(place, f"{len(wanted)}: {shown(wanted)}", f"{len(got)}: {shown(got)}")
            return
        for at, (inner, each) in enumerate(zip(wanted, got, strict=True)):
            yield from compared((*place, at), inner, each)
    elif isinstance(wanted, bool) is not isinstance(got, bool) or wanted != got:
        yield Miss(place, shown(wanted), shown(got))


def _names(place: Place, wanted: list[Json], got: list[str]) -> Iterator[Miss]:
    """Nodes in any order: what is skipped at one moment is skipped in none."""
    lacking = [str(name) for name in wanted if name not in got]
    more = [name for name in got if name not in wanted]
    if lacking or more:
        yield Miss(place, shown(wanted), shown(got))


def _undone(place: Place, wanted: list[Json], got: Any) -> Iterator[Miss]:
    """In the order in which they were undone, each by its node, by the tool that undid it, or as a mapping."""
    entries = list(got)
    if len(wanted) != len(entries):
        yield Miss(place, shown(wanted), shown([_undo_name(entry) for entry in entries]))
        return
    for at, (each, entry) in enumerate(zip(wanted, entries, strict=True)):
        if isinstance(each, dict):
            yield from compared((*place, at), each, entry)
        elif each not in (entry["node"], bare(str(entry["node"])), entry["tool"]):
            yield Miss((*place, at), shown(each), _undo_name(entry))


def _undo_name(entry: Mapping[str, Any]) -> str:
    why = f": {entry['error']}" if entry.get("error") else ""
    return f"{entry['node']} ({entry['tool']}){why}"


def shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 200 else text[:197] + "..."


def duration(milliseconds: int) -> str:
    """`28h`, `1h30m`, `0s`: in the units that say it shortest."""
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        number, milliseconds = divmod(milliseconds, size)
        if number:
            parts.append((number, unit))
    if len(parts) and parts[0][1] == "d" and parts[0][0] <= 3 and len(parts) > 1 and parts[1][1] == "h":
        parts[:2] = [(parts[0][0] * 24 + parts[1][0], "h")]
    return "".join(f"{number}{unit}" for number, unit in parts) or "0s"
