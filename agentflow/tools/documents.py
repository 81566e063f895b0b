"""Documents of other makers in the project, an API's specification say: JSON, or YAML as such documents are written.

Unlike in a graph, keys may be numbers (`200:`) and are read as text, and what an alias repeats is shared, not copied.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from agentflow.scalars import NumberTooLarge, plain
from agentflow.types import Json

MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 64
_NO_KEY = object()


class Unreadable(Exception):
    """A document that is there, but cannot be read; says why."""


def read(path: Path) -> Json:
    """The document, read once for each state of its file. Raises Unreadable."""
    try:
        stat = path.stat()
        if stat.st_size > MAX_BYTES:
            raise Unreadable(f"it is larger than {MAX_BYTES // (1024 * 1024)} MiB")
        return _read(path, stat.st_mtime_ns)
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from None


@functools.lru_cache(maxsize=32)
def _read(path: Path, mtime: int) -> Json:
    try:
        text = path.read_bytes().decode("utf-8").removeprefix("\ufeff")
        if text.lstrip().startswith("{"):
            found: Json = json.loads(text)
            return found
        return _from_events(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark is not None else ""
        raise Unreadable(f"it is not YAML{where}: {getattr(error, 'problem', None) or 'it cannot be read'}") from None
    except UnicodeDecodeError:
        raise Unreadable("it is not UTF-8") from None
    except RecursionError:
        raise Unreadable("it is nested too deep") from None
    except ValueError as error:
        raise Unreadable(f"it is not JSON: {error}") from None


def _from_events(text: str) -> Json:
    anchors: dict[str, Any] = {}  # Any: of JSON's kinds, filled while it is built
    stack: list[tuple[Any, list[Any]]] = []
    root: list[Any] = []
    documents = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        match event:
            case DocumentStartEvent():
                documents += 1
                if documents > 1:
                    raise Unreadable("it holds several documents")
            case MappingStartEvent() | SequenceStartEvent():
                if len(stack) >= MAX_DEPTH:
                    raise Unreadable("it is nested too deep")
                value: Any = {} if isinstance(event, MappingStartEvent) else []
                if event.anchor is not None:
                    anchors[event.anchor] = value
                stack.append((value, [_NO_KEY]))
            case MappingEndEvent() | SequenceEndEvent():
                _add(stack, root, stack.pop()[0])
            case AliasEvent():
                if event.anchor not in anchors or any(anchors[event.anchor] is open for open, _ in stack):
                    raise Unreadable(f"the alias *{event.anchor} has nothing to stand for")
                _add(stack, root, anchors[event.anchor])
            case ScalarEvent():
                scalar = _scalar(event, is_key=bool(stack) and _awaits_key(*stack[-1]))
                if event.anchor is not None:
                    anchors[event.anchor] = scalar
                _add(stack, root, scalar)
    return root[0] if root else None


def _awaits_key(of: Any, key: list[Any]) -> bool:
    return isinstance(of, dict) and key[0] is _NO_KEY


def _scalar(event: ScalarEvent, is_key: bool) -> Json:
    if is_key or event.style or event.tag is not None:
        return str(event.value)
    try:
        return plain(event.value)
    except NumberTooLarge:
        return str(event.value)


def _add(stack: list[tuple[Any, list[Any]]], root: list[Any], value: Any) -> None:
    if not stack:
        root.append(value)
        return
    of, key = stack[-1]
    if isinstance(of, list):
        of.append(value)
    elif key[0] is _NO_KEY:
        if not isinstance(value, str):
            raise Unreadable("a key in it is no text")
        key[0] = value
    else:
        of[key[0]] = value
        key[0] = _NO_KEY
