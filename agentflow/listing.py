"""A program as text, for people and for golden files: what is as it is by default is left out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import MISSING, Field, fields, is_dataclass

from agentflow.ir import Program

WIDTH = 110


def listing(program: Program) -> str:
    """The same program gives the same text."""
    return _show(program, 0) + "\n"


def _show(value: object, indent: int) -> str:
    line = _line(value)
    if len(line) + indent <= WIDTH:
        return line
    inner = indent + 2
    pad = "\n" + " " * inner
    if isinstance(value, tuple | list):
        return "[" + "".join(f"{pad}{_show(item, inner)}," for item in value) + "\n" + " " * indent + "]"
    if isinstance(value, dict):
        items = "".join(f"{pad}{key!r}: {_show(item, inner)}," for key, item in value.items())
        return "{" + items + "\n" + " " * indent + "}"
    if is_dataclass(value):
        items = "".join(f"{pad}{name}={_show(item, inner)}," for name, item in _given(value))
        return f"{type(value).__name__}({items}\n{' ' * indent})"
    return line


def _line(value: object) -> str:
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_line, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_line(item)}" for key, item in value.items()) + "}"
    if is_dataclass(value):
        return f"{type(value).__name__}({', '.join(f'{name}={_line(item)}' for name, item in _given(value))})"
    return repr(value)


def _given(value: object) -> Iterable[tuple[str, object]]:
    """The fields that are not as they would be anyway; None and nothing count as such."""
    for field in fields(value):  # type: ignore[arg-type]  # only called with dataclasses
        item = getattr(value, field.name)
        if item is not None and item != () and item != _default(field):
            yield field.name, item


def _default(field: Field[object]) -> object:
    return field.default if field.default is not MISSING else ...
