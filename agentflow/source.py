"""A YAML file as plain data, and the place in the file of everything in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path as FilePath

from agentflow.diagnostics import Diagnostic, Path, Span
from agentflow.types import Json


@dataclass
class Source:
    path: FilePath
    name: str  # as shown in messages
    text: str
    data: Json

    def span(self, path: Path) -> Span:
        """Of the value at the path; of the nearest thing around it that is in the file, if it is not."""
        raise NotImplementedError

    def key_span(self, path: Path) -> Span:
        """Of the key of the value at the path."""
        raise NotImplementedError

    def within(self, path: Path, offset: int, length: int) -> Span:
        """Of a part of a scalar's value; of all of it, where the part has no one place in the file."""
        raise NotImplementedError

    def error(self, code: str, message: str, path: Path) -> Diagnostic:
        raise NotImplementedError


def read(path: FilePath, name: str | None = None) -> tuple[Source | None, list[Diagnostic]]:
    raise NotImplementedError
