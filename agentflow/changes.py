"""What a change of a graph means: for its callers, for what is kept over revisions, and for runs in flight.

Both sides are interfaces, the part of a manifest that others rely on, so that a file can be compared with a file, and
with what an engine runs. Runs in flight finish on the revision that they began on: only what they share with the new
one, its door for messages and the state that both keep, can break them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agentflow.types import Json

About = Literal["callers", "state", "runs"]
Schema = Mapping[str, Any]
Interface = Mapping[str, Any]  # see `manifest.interface`


@dataclass(frozen=True)
class Change:
    """`breaks`: something that works with the old graph does not with the new one."""

    about: About
    breaks: bool
    text: str


def changes(old: Interface, new: Interface) -> list[Change]:
    """Those that break something first, then in the order of what they are about."""
    found = [*_callers(old, new), *_state(old, new), *_runs(old, new)]
    return sorted(found, key=lambda change: (not change.breaks, ("callers", "state", "runs").index(change.about)))


def _callers(old: Interface, new: Interface) -> Iterator[Change]:
    if old["graph"] != new["graph"]:
        yield Change("callers", True, f"the graph is called {new['graph']} now: {old['graph']} is another service")
    if old["kind"] != new["kind"]:
        yield Change("callers", True, f"it is of the kind {new['kind']} now, and was {_a(old['kind'])}: keys differ")
    for name in old["handlers"]:
        if name not in new["handlers"]:
            yield Change("callers", True, f"the handler {name} is no longer there")
    for name in new["handlers"]:
        if name not in old["handlers"]:
            yield Change("callers", False, f"there is a new handler, {name}")
    yield from _given(old["input_schema"], new["input_schema"])
    yield from _got(old["output_schema"], new["output_schema"])
    if "questions" in old and "questions" in new:  # what was deployed long ago says nothing of them
        yield from _asked(old["questions"], new["questions"])
    if old["kind"] == new["kind"] == "object" and old.get("on_busy", new["on_busy"]) != new["on_busy"]:
        does = {"queue": "waits until those before it are done", "interrupt": "stops the turn in progress"}
        yield Change("callers", False, f"a message that comes during a turn {does[new['on_busy']]} now")


def _given(old: Schema, new: Schema) -> Iterator[Change]:
    """Of an input: whoever gave what was right goes on giving it. Fields that it does not know are refused."""
    for place, why in narrower(old, new, "input", closed=True):
        yield Change("callers", True, f"{place} {why}")
    for name in _fields(new):
        if name not in _fields(old):
            required = name in new.get("required", ())
            if not required:
                yield Change("callers", False, f"input.{name} may be given now")
        else:
            yield from _default("callers", f"input.{name}", _fields(old)[name], _fields(new)[name])


def _default(about: About, place: str, old: Schema, new: Schema) -> Iterator[Change]:
    """What stands in for a value that is not given."""
    before, after = old.get("default"), new.get("default")
    if before != after:
        shown = [json.dumps(value, ensure_ascii=False) for value in (after, before)]
        where = "where it is not given" if about == "callers" else "before it is first set"
        yield Change(about, False, f"{place} is {shown[0]} {where}, and was {shown[1]}")


def _asked(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """Of questions: people, and programs in their place, answer them by the names of their nodes."""
    for name, form in old.items():
        if name not in new:
            yield Change("callers", False, f"{name} is not asked any more")
        elif form is not None and new[name] is not None:
            for place, why in narrower(form, new[name], f"the form of {name}", closed=True):
                yield Change("callers", True, f"{place} {why}")
        elif form is not None or new[name] is not None:
            yield Change("callers", True, f"{name} has {'a form now' if form is None else 'no form any more'}")
    for name in new:
        if name not in old:
            yield Change("callers", False, f"{name} is asked now")


def _got(old: Schema, new: Schema) -> Iterator[Change]:
    """Of an output: whoever used what was there still finds it."""
    for place, why in narrower(new, old, "output", closed=False, backwards=True):
        yield Change("callers", True, f"{place} {why}")
    for name in _fields(new):
        if name not in _fields(old):
            yield Change("callers", False, f"output.{name} is new")


def _state(old: Interface, new: Interface) -> Iterator[Change]:
    kept, keeps = old.get("state") or {}, new.get("state") or {}
    for name, schema in _fields(kept).items():
        if name not in _fields(keeps):
            yield Change("state", False, f"state.{name} is no longer read; what is kept under it stays")
            continue
        context = {"$defs": kept.get("$defs", {})}, {"$defs": keeps.get("$defs", {})}
        for place, why in narrower(
            {**schema, **context[0]}, {**_fields(keeps)[name], **context[1]}, f"state.{name}", closed=False
        ):
            yield Change("state", True, f"{place} {why}: what is kept may not fit")
        yield from _default("state", f"state.{name}", schema, _fields(keeps)[name])
    for name in _fields(keeps):
        if kept and name not in _fields(kept):
            yield Change("state", False, f"state.{name} is new, and not set where something is kept")
    before, after = old.get("session"), new.get("session")
    if before and not after:
        yield Change("state", True, "there is no session any more: conversations are not gone on with")
    elif before and after and before != after:
        yield Change("state", False, f"the session keeps {_session(after)} now, and kept {_session(before)}")
    if old.get("schedule") != new.get("schedule"):
        yield Change("state", False, _schedule(old.get("schedule"), new.get("schedule")))


def _runs(old: Interface, new: Interface) -> Iterator[Change]:
    """Messages reach a run through the door of the newest revision."""
    for name, schema in old.get("events", {}).items():
        if name not in new.get("events", {}):
            yield Change("runs", True, f"messages called {name} are refused: a run that waits for one never gets it")
            continue
        for place, why in narrower(schema, new["events"][name], f"the message {name}", closed=False):
            yield Change("runs", True, f"{place} {why}: runs that wait for it get none of the old form")


# ---------------------------------------------------------------- schemas


def narrower(
    old: Schema, new: Schema, place: str, *, closed: bool, backwards: bool = False
) -> Iterator[tuple[str, str]]:
    """Where and why something that fits `old` may not fit `new`.

    `closed`: fields that `new` does not name are refused. `backwards`: in words, `new` is what was before.
    """
    yield from _Comparison(old, new, closed, backwards).compare(old, new, place)


class _Comparison:
    def __init__(self, old: Schema, new: Schema, closed: bool, backwards: bool) -> None:
        self.defs = old.get("$defs", {}), new.get("$defs", {})
        self.closed, self.backwards = closed, backwards
        self.seen: set[tuple[str, str]] = set()

    def compare(self, old: Schema, new: Schema, place: str) -> Iterator[tuple[str, str]]:
        pair = str(old.get("$ref")), str(new.get("$ref"))
        if "$ref" in old and "$ref" in new:
            if pair in self.seen:
                return
            self.seen.add(pair)
        old, new = self._resolved(old, 0), self._resolved(new, 1)
        if not _said(new):
            return
        if not _said(old):
            yield place, self._became("any value", described(new))
        elif "anyOf" in old:
            yield from self._any_of(old, new, place)
        elif "anyOf" in new:
            tried = [list(self.compare(old, one, place)) for one in new["anyOf"]]
            if all(tried):
                yield place, self._became(described(old), described(new))
        else:
            yield from self._plain(old, new, place)

    def _any_of(self, old: Schema, new: Schema, place: str) -> Iterator[tuple[str, str]]:
        failing = [one for one in old["anyOf"] if any(True for _ in self.compare(one, new, place))]
        if failing == [{"type": "null"}]:
            yield place, "may be null now" if self.backwards else "may not be null any more"
        elif failing:
            yield place, self._became(described(old), described(new))

    def _plain(self, old: Schema, new: Schema, place: str) -> Iterator[tuple[str, str]]:
        kinds = old.get("type"), new.get("type")
        if kinds[0] != kinds[1] and kinds != ("integer", "number"):
            yield place, self._became(described(old), described(new))
            return
        if "enum" in new and not {*map(str, old.get("enum", ("",)))} <= {*map(str, new["enum"])}:
            yield place, self._became(described(old), described(new))
        for key, words, tighter in _BOUNDS:
            before, after = old.get(key), new.get(key)
            if after is not None and (before is None or tighter(before, after)):
                yield place, self._bound(words, before, after)
        if kinds[1] == "array":
            yield from self.compare(old.get("items", {}), new.get("items", {}), f"{place}[]")
        if kinds[1] == "object":
            yield from self._object(old, new, place)

    def _object(self, old: Schema, new: Schema, place: str) -> Iterator[tuple[str, str]]:
        before, after = _fields(old), _fields(new)
        for name in new.get("required", ()):
            if name not in old.get("required", ()) and "default" not in after.get(name, {}):
                if self.backwards:
                    why = "may be missing now" if name in before else "is no longer there"
                else:
                    why = "is required now"
                yield f"{place}.{name}", why
        for name, schema in before.items():
            if name in after:
                yield from self.compare(schema, after[name], f"{place}.{name}")
            elif self.closed and after:
                yield f"{place}.{name}", "is refused now: there is no such field any more"

    def _became(self, before: str, after: str) -> str:
        before, after = (after, before) if self.backwards else (before, after)
        return f"was {before}, and is {after} now"

    def _bound(self, words: str, before: Json, after: Json) -> str:
        if self.backwards:
            return f"was always {words} {after}, and is not now"
        return f"must be {words} {after} now"

    def _resolved(self, schema: Schema, side: int) -> Schema:
        if "$ref" not in schema:
            return schema
        found: Schema = self.defs[side].get(str(schema["$ref"]).rpartition("/")[2], {})
        return found


_BOUNDS: tuple[tuple[str, str, Any], ...] = (
    ("minimum", "at least", lambda before, after: after > before),
    ("maximum", "at most", lambda before, after: after < before),
    ("maxLength", "of characters at most", lambda before, after: after < before),
    ("pattern", "of the form", lambda before, after: after != before),
)


def described(schema: Schema) -> str:
    """A schema in words: `text`, `a list of numbers`, `one of pay, reject`, `text or null`."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(described(one) for one in schema["anyOf"])
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    if schema.get("type") == "array":
        return f"a list of {_WORDS_OF.get(str(schema.get('items', {}).get('type')), 'values')}"
    return _WORDS.get(str(schema.get("type")), "any value")


_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
    "object": "an object",
}
_WORDS_OF = {"string": "texts", "integer": "whole numbers", "number": "numbers", "object": "objects", "array": "lists"}


def _said(schema: Schema) -> bool:
    return any(key in schema for key in ("type", "anyOf", "enum", "$ref"))


def _fields(schema: Schema) -> Mapping[str, Any]:
    found: Mapping[str, Any] = schema.get("properties", {})
    return found


def _a(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def _session(session: Mapping[str, Any]) -> str:
    after = session.get("summarize_after")
    return f"{session['keep']} messages" + (f", summed up after {after}" if after else "")


def _schedule(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> str:
    if new is None:
        return "it has no schedule any more: nothing starts by itself"
    if old is None:
        return "it has a schedule now: runs start by themselves"
    return "its schedule is another: it counts from when it is served"
