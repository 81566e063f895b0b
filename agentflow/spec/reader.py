"""Reading one mapping of the file: each key is taken with what it must be, and what is left over is refused.

Written for this instead of pydantic, whose locations contain the tags of unions, which are not in the YAML, and
which cannot say "not supported yet", point at a key, or go on to the next mistake within one value.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from agentflow.diagnostics import Diagnostic, Path, choices_help, nearest, quoted
from agentflow.durations import BadDuration, milliseconds
from agentflow.source import Source, read_text
from agentflow.types import Json, Type

_WORDS: Mapping[type, str] = {
    dict: "a mapping",
    list: "a list",
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "nothing",
}


def _kind(value: Json) -> str:
    words = _WORDS[type(value)]
    return words.replace("a ", "an empty ") if value in ({}, []) else "an empty text" if value == "" else words


@dataclass
class Reading:
    """One file being read: its source, the project around it, and what has been found wrong so far."""

    source: Source
    root: FilePath
    problems: list[Diagnostic] = field(default_factory=list)
    type_names: frozenset[str] = frozenset()  # all that the file defines
    types: Mapping[str, Type] = field(default_factory=dict)  # as far as they have been read
    stateful: bool = False  # the graph is an object with a state of its own, which functions may take

    def error(
        self,
        code: str,
        message: str,
        path: Path,
        *,
        key: bool = False,
        part: tuple[int, int] | None = None,
        note: str | None = None,
        help: str | None = None,
        related: Iterable[tuple[Path, str]] = (),
    ) -> None:
        also = tuple((self.source.key_span(place), text) for place, text in related)
        found = self.source.error(code, message, path, key=key, part=part, note=note, help=help, related=also)
        self.problems.append(found)

    def wrong(self, path: Path, must: str, value: Json, help: str | None = None) -> None:
        """The value at a path is of the wrong kind; `must` says of which it must be: `text`, `a list of names`."""
        name = path[-1] if path and isinstance(path[-1], str) else None
        if name is None and len(path) > 1 and isinstance(path[-2], str):
            name = f"{path[-2]}[{path[-1]}]"
        message = f"{quoted(name) if name else 'this'} must be {must}"
        told = spaced(value) if isinstance(value, str) else None
        self.error("wrong-type", message, path, note=f"this is {_kind(value)}", help=told or help)

    def reader(self, path: Path, data: Json, what: str, help: str | None = None) -> Reader | None:
        """A reader of the mapping at a path; None, and reported, if it is none."""
        if isinstance(data, dict):
            return Reader(self, path, data, what)
        if path:
            self.wrong(path, "a mapping", data, help)
        else:
            self.error("wrong-type", "a graph must be a mapping", path, note=f"this is {_kind(data)}")
        return None

    def text(self, path: Path, data: Json, blank: bool = False) -> str | None:
        """A text, or what `{file: x}` reads."""
        if isinstance(data, dict) and set(data) == {"file"}:
            return self._file(path, data["file"])
        if not isinstance(data, str):
            help = "put it in quotes" if isinstance(data, bool | int | float) else None
            self.wrong(path, "text", data, help)
            return None
        if not blank and not data.strip():
            self.error("empty-text", f"{quoted(path[-1])} is empty", path)
            return None
        return data

    def in_project(self, path: Path, name: Json, rule: str) -> FilePath | None:
        """The file of the project that a relative path names, be it there or not; None, and reported, if it names none.

        `rule` says what is done with such files: `a text is read from a file`.
        """
        if not isinstance(name, str) or not name.strip() or "\0" in name:
            self.wrong(path, "the path of a file in the project", name)
            return None
        root = FilePath(os.path.realpath(self.root))
        found = FilePath(os.path.realpath(root / name))  # os.path: never raises
        if FilePath(name).is_absolute() or not found.is_relative_to(root):
            help = f"{rule} below the project's folder, by a path relative to it"
            self.error("file-outside-project", f"{quoted(name)} is not inside the project", path, help=help)
            return None
        return found

    def misplaced(self, found: FilePath, name: str) -> str | None:
        """What helps where a file is not there, but would be beside the graph."""
        beside = not os.path.exists(found) and os.path.exists(self.source.path.parent / name)
        return "the path is relative to the project's folder, not to the graph" if beside else None

    def _file(self, path: Path, name: Json) -> str | None:
        place = (*path, "file")
        found = self.in_project(place, name, "a text is read from a file")
        if found is None:
            return None
        text, problem = read_text(found, str(name))
        if text is None:
            message = problem.message if problem else f"{name} cannot be read"
            self.error("unreadable-file", message, place, help=self.misplaced(found, str(name)))
            return None
        if not text.strip():
            self.error("empty-text", f"the file {quoted(name)} is empty", place)
            return None
        self.source.texts[path] = (shown(found), text)
        return text


class Reader:
    """Takes the keys of one mapping. `what` names the thing in messages: `the node "pay"`."""

    def __init__(self, reading: Reading, path: Path, data: dict[str, Json], what: str) -> None:
        self.reading = reading
        self.path = path
        self.data = data
        self.what = what
        self._taken: set[str] = set()
        self.error = reading.error

    def at(self, *keys: str | int) -> Path:
        return (*self.path, *keys)

    def has(self, key: str) -> bool:
        return key in self.data

    def take(self, key: str) -> Json:
        """Whatever is there; None also where there is nothing."""
        self._taken.add(key)
        return self.data.get(key)

    def require(self, key: str, help: str | None = None) -> bool:
        if key in self.data:
            return True
        if any(nearest(str(given), [key], 0.8) for given in self.data):
            return False  # misspelt, which is reported as an unknown key
        self.error("missing-key", f"{self.what} lacks {quoted(key)}", self.path, key=True, help=help)
        return False

    def string(self, key: str, must: str = "text") -> str | None:
        """A plain text that is no template: a name, say."""
        self._taken.add(key)
        if key not in self.data:
            return None
        value = self.data[key]
        if isinstance(value, str) and value.strip():
            return value
        self.reading.wrong(self.at(key), must, value)
        return None

    def text(self, key: str) -> str | None:
        self._taken.add(key)
        return self.reading.text(self.at(key), self.data[key]) if key in self.data else None

    def choice(self, key: str, choices: Collection[str], default: str | None = None) -> str | None:
        self._taken.add(key)
        if key not in self.data:
            return default
        value = self.data[key]
        if isinstance(value, str) and value in choices:
            return value
        legal = ", ".join(choices)
        near = nearest(value, choices) if isinstance(value, str) else None
        help = f"did you mean {quoted(near)}?" if near else None
        shown = quoted(value) if isinstance(value, str | int | float) else f"this ({_kind(value)})"
        self.error("bad-choice", f"{quoted(key)} is one of {legal}, and not {shown}", self.at(key), help=help)
        return default

    def boolean(self, key: str, default: bool = False) -> bool:
        self._taken.add(key)
        value = self.data.get(key, default)
        if isinstance(value, bool):
            return value
        help = {"yes": "write true", "on": "write true", "no": "write false", "off": "write false"}.get(
            str(value).lower()
        )
        self.reading.wrong(self.at(key), "true or false", value, help)
        return default

    def number(self, key: str, low: float | None = None, high: float | None = None) -> int | float | None:
        self._taken.add(key)
        if key not in self.data:
            return None
        value = self.data[key]
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.reading.wrong(self.at(key), "a number", value)
            return None
        if (low is not None and value < low) or (high is not None and value > high):
            limits = (
                f"at least {low}" if high is None else f"at most {high}" if low is None else f"from {low} to {high}"
            )
            self.error("out-of-range", f"{quoted(key)} is {limits}, and not {value}", self.at(key))
            return None
        return value

    def integer(self, key: str, low: int | None = None, high: int | None = None) -> int | None:
        value = self.number(key, low, high)
        if isinstance(value, float):
            self.reading.wrong(self.at(key), "a whole number", value)
            return None
        return value

    def duration(self, key: str) -> int | None:
        """In milliseconds."""
        self._taken.add(key)
        if key not in self.data:
            return None
        value = self.data[key]
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            self.reading.wrong(self.at(key), "a duration", value)
            return None
        try:
            return milliseconds(value.strip() if isinstance(value, str) else str(value))
        except BadDuration as problem:
            self.error("bad-duration", f"{problem}: {quoted(value)}", self.at(key), help=problem.help)
            return None

    def names(self, key: str) -> tuple[str, ...]:
        """A list of names, each once."""
        self._taken.add(key)
        value = self.data.get(key, [])
        if not isinstance(value, list):
            self.reading.wrong(self.at(key), "a list of names", value, help=_in_list(value))
            return ()
        found: dict[str, int] = {}
        for index, name in enumerate(value):
            if not isinstance(name, str):
                self.reading.wrong(self.at(key, index), "a name", name)
            elif name in found:
                first = [(self.at(key, found[name]), "it is listed here first")]
                self.error("duplicate-name", f"{quoted(name)} is listed twice", self.at(key, index), related=first)
            else:
                found[name] = index
        return tuple(found)

    def mapping(self, key: str, help: str | None = None) -> Reader | None:
        self._taken.add(key)
        if key not in self.data:
            return None
        return self.reading.reader(self.at(key), self.data[key], quoted(key), help)

    def entries(self, key: str, must: str = "a mapping of names") -> dict[str, Json]:
        """The entries of a mapping of named things; those of a wrong one are none."""
        self._taken.add(key)
        value = self.data.get(key, {})
        if isinstance(value, dict):
            return value
        self.reading.wrong(self.at(key), must, value)
        return {}

    def finish(self, known: Collection[str] = (), elsewhere: Mapping[str, str] = {}) -> None:
        """Refuses every key that was not taken.

        `known` is what is offered for a misspelt one beside those taken, `elsewhere` keys that belong to something
        else, with what they belong to.
        """
        for key in self.data:
            if key in self._taken:
                continue
            if key in elsewhere:
                message = f"{quoted(key)} has no meaning in {self.what}"
                self.error("misplaced-key", message, self.at(key), key=True, help=elsewhere[key])
            else:
                message = f"{self.what} has no key {quoted(key)}"
                help = spaced(str(key)) or choices_help(str(key), (self._taken | set(known)) - self.data.keys())
                self.error("unknown-key", message, self.at(key), key=True, help=help)


def spaced(key: str) -> str | None:
    """`value:1` is all one word to YAML."""
    found = re.fullmatch(r"(\w+):([^\s/].{0,60})", key)
    return f"a space is missing after the colon: write {found[1]}: {found[2]}" if found else None


def shown(path: FilePath) -> str:
    """A file as it is shown: relative to the current folder, where it is below it."""
    here = FilePath.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else path.as_posix()


def _in_list(value: Json) -> str | None:
    return f"write [{value}]" if isinstance(value, str) and value.isidentifier() else None
