"""Adds a case to a test file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import yaml

from agentflow.source import read
from agentflow.types import Json


class CannotRecord(Exception):
    """In one line: why the run does not become a case."""


def append(file: Path, name: str, case: Mapping[str, Json]) -> str:
    """Adds the case at the end of a test file, made if need be; the name that it got.

    Raises CannotRecord where the file is none that a case can be added to; then it is as it was.
    """
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    data: Json = {}
    if before.strip():
        source, problems = read(file)
        if source is None or problems or not isinstance(source.data, dict):
            raise CannotRecord(f"{file} is no test file")
        data = source.data
    cases = data.get("cases", {}) if isinstance(data, dict) else {}
    if not isinstance(data, dict) or not isinstance(cases, dict):
        raise CannotRecord(f"{file} is no test file")
    name = _free(name, cases)
    block = yaml.safe_dump({name: dict(case)}, sort_keys=False, allow_unicode=True, width=100, default_flow_style=None)
    lines = "".join(f"  {line}\n" if line else "\n" for line in block.splitlines())
    begin = before.rstrip("\n") + "\n\n" if cases else (before.rstrip("\n") + "\n" if before.strip() else "")
    begin += "" if "cases" in data else "cases:\n"
    partial = file.with_name(f".{file.name}.new")
    try:
        partial.write_text(begin + lines, encoding="utf-8")
        source, problems = read(partial)
        if problems or source is None or source.data != {**data, "cases": {**cases, name: dict(case)}}:
            raise CannotRecord(f"a case cannot be added at the end of {file}: its cases are to be last, in block style")
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    return name


def _free(name: str, cases: Mapping[str, Json]) -> str:
    name = re.sub(r"[^a-z0-9_]+", "_", name.lower()).strip("_") or "run"
    name = name if name[0].isalpha() else f"run_{name}"
    number = 1
    while (found := name if number == 1 else f"{name}_{number}") in cases:
        number += 1
    return found
