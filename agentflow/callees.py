"""Graphs that a graph calls: found by name in the project, and what they take and give.

Of what a graph takes, its own head is read; of what it gives, the whole of it. A graph that is asked for while it is
being read, because it calls itself or one that calls it, gives something of any type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from agentflow.diagnostics import Diagnostic, choices_help, nearest, quoted
from agentflow.diagnostics import Path as Place
from agentflow.source import Source, read
from agentflow.types import ANY, Field, ListOf, Named, Nullable, Object, Type, Union

SUFFIXES = (".replies", ".test")  # of files beside a graph that are none


@dataclass(frozen=True)
class Acts:
    """What a graph does to the world, itself or through what it calls."""

    writes: bool = False
    leaves: bool = False  # something that it did stays done, also where it is cancelled


@dataclass(frozen=True)
class Callee:
    """A graph as its callers see it; its types stand for themselves, none by a name of its own file."""

    name: str
    file: Path
    kind: str
    description: str | None
    input: Type
    output: Type
    acts: Acts


@dataclass(frozen=True)
class NoCallee:
    """Why there is none, for a diagnostic."""

    code: str
    message: str
    note: str | None = None
    help: str | None = None

    def at(self, source: Source, place: Place) -> Diagnostic:
        return source.error(self.code, self.message, place, note=self.note, help=self.help)


_known: dict[tuple[Path, int, int], Callee] = {}
_reading: list[Path] = []


def find(name: str, source: Source, root: Path) -> Callee | NoCallee:
    """The graph of that name: the caller itself, else `NAME.yaml` in its folder, else in the project's `graphs`."""
    if isinstance(source.data, dict) and source.data.get("graph") == name:
        return _read(name, source.path, root)
    for folder in _folders(source, root):
        file = folder / f"{name}.yaml"
        if file.is_file():
            return _read(name, file, root)
    names = [path.stem for folder in _folders(source, root) for path in sorted(folder.glob("*.yaml"))]
    known = [known for known in names if not known.endswith(SUFFIXES)]
    where = "neither beside this one nor in graphs/"
    near = nearest(name, known)
    help = f"did you mean {quoted(near)}?" if near else choices_help(name, known)
    return NoCallee("unknown-graph", f"there is no graph {quoted(name)}", where, help)


def _folders(source: Source, root: Path) -> Iterator[Path]:
    own = source.path.absolute().parent
    yield own
    if own != root.absolute() / "graphs":
        yield root / "graphs"


def _read(name: str, file: Path, root: Path) -> Callee | NoCallee:
    try:
        stat = file.stat()
    except OSError as error:
        return NoCallee("unknown-graph", f"the graph {quoted(name)} cannot be read: {error.strerror}")
    key = (file.absolute(), stat.st_mtime_ns, stat.st_size)
    if key in _known:
        return _known[key]
    from agentflow.spec.graph import interface

    source, problems = read(file)
    shown = _shown(file, root)
    if source is None:
        return _wrong(name, shown)
    head, found = interface(source)
    if head is None or any(one.severity == "error" for one in (*problems, *found)):
        return _wrong(name, shown)
    if head.name != name:
        message = f"there is no graph {quoted(name)}: the file {shown} holds the graph {quoted(head.name)}"
        return NoCallee("unknown-graph", message, help="a graph that is called has the name of its file")
    outermost = not _reading
    output, acts = _whole(key[0], source)
    callee = Callee(name, key[0], head.kind, head.description, closed(head.input, head.types), output, acts)
    if outermost:
        _known[key] = callee
    return callee


def _wrong(name: str, shown: str) -> NoCallee:
    return NoCallee("invalid-graph", f"the graph {quoted(name)} has mistakes", help=f"agentflow check {shown}")


def _shown(file: Path, root: Path) -> str:
    file, root = file.absolute(), root.absolute()
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name


def _whole(file: Path, source: Source) -> tuple[Type, Acts]:
    """What it gives and what it does."""
    if file in _reading:
        return ANY, Acts()
    from agentflow.check import typed
    from agentflow.check.effects import of_agent, writes
    from agentflow.spec.graph import parse

    _reading.append(file)
    try:
        graph, _ = parse(source)
        if graph is None:
            return ANY, Acts()
        types = typed(graph)
        output = closed(types.of_block(types.analysis.root), graph.types)
        calls = [call.undone for place in types.analysis.root.places.values() for call in writes(graph, place)]
        if graph.entry is not None:
            calls += [tool.compensate is not None for tool in of_agent(graph, graph.entry)]
        return output, Acts(bool(calls), not all(calls))
    finally:
        _reading.pop()


def closed(type: Type, types: Mapping[str, Type], above: tuple[str, ...] = ()) -> Type:
    """The type without names; one that holds itself is of any type there."""
    match type:
        case Named(name):
            return ANY if name in above or name not in types else closed(types[name], types, (*above, name))
        case ListOf(of):
            return ListOf(closed(of, types, above))
        case Nullable(of):
            inner = closed(of, types, above)
            return inner if inner == ANY or isinstance(inner, Nullable) else Nullable(inner)
        case Object(fields):
            return Object(tuple(_closed_field(field, types, above) for field in fields))
        case Union(of):
            return Union(tuple(closed(one, types, above) for one in of))
        case _:
            return type


def _closed_field(field: Field, types: Mapping[str, Type], above: tuple[str, ...]) -> Field:
    return replace(field, type=closed(field.type, types, above))
