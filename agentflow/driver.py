"""The whole compiler, in order: read -> spec -> check -> lower -> emit -> write."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from agentflow.diagnostics import Diagnostic, ordered
from agentflow.ir import Program
from agentflow.source import Source, read
from agentflow.spec.graph import parse


@dataclass(frozen=True)
class Result:
    """What came of a graph. Without a program there is at least one error among the diagnostics."""

    program: Program | None
    diagnostics: list[Diagnostic]
    source: Source | None


@dataclass(frozen=True)
class Built:
    """The files that a graph was compiled to."""

    program: Program
    module_path: Path
    manifest_path: Path
    revision: str  # 8 hex digits


class Invalid(Exception):
    """A graph with mistakes cannot be built; they are in the result."""

    def __init__(self, result: Result) -> None:
        super().__init__(f"{len(result.diagnostics)} mistakes")
        self.result = result


def compile(path: Path, lowered: bool = True) -> Result:
    """The program of a graph file, or all that is wrong with it. `lowered` false: only checked."""
    source, found = read(path)
    if source is None:
        return Result(None, ordered(found), None)
    misread = {(one.file, one.span.line, one.span.column) for one in found}
    graph, problems = parse(source)
    found += problems
    if graph is not None:
        from agentflow.check import check

        found += check(graph)
    found = _without_echoes(found, misread)
    if graph is None or not lowered or any(problem.severity == "error" for problem in found):
        return Result(None, ordered(found), source)
    from agentflow.lower import lower

    return Result(lower(graph), ordered(found), source)


def _without_echoes(found: list[Diagnostic], misread: set[tuple[str, int, int]]) -> list[Diagnostic]:
    """What YAML took for something else is told once: what is wrong with what it was taken for follows from that."""
    first: dict[tuple[str, int, int], str] = {}
    for one in found:
        place = (one.file, one.span.line, one.span.column)
        if place in misread:
            first.setdefault(place, one.code)
    return [one for one in found if first.get((one.file, one.span.line, one.span.column), one.code) == one.code]


def build(path: Path, folder: Path) -> Built:
    """Writes `folder/<graph>/`: the module and its manifest. Raises Invalid, and OSError if it cannot write."""
    from agentflow.codegen import emit
    from agentflow.manifest import manifest

    program = _program(path)
    text, revision = emit(program)
    target = folder / program.name
    target.mkdir(parents=True, exist_ok=True)
    module_path, manifest_path = target / f"{program.name}.py", target / "manifest.json"
    module_path.write_text(text, encoding="utf-8", newline="\n")
    content = json.dumps(manifest(program, revision), indent=2, ensure_ascii=False) + "\n"
    manifest_path.write_text(content, encoding="utf-8", newline="\n")
    return Built(program, module_path, manifest_path, revision)


def write_listing(path: Path, folder: Path) -> Path:
    """Writes `folder/<graph>/<graph>.ir`: the program's operations as text."""
    from agentflow.listing import listing

    program = _program(path)
    target = folder / program.name / f"{program.name}.ir"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(listing(program), encoding="utf-8", newline="\n")
    return target


def _program(path: Path) -> Program:
    result = compile(path)
    if result.program is None:
        raise Invalid(result)
    return result.program
