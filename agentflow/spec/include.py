"""`include:` of a graph: files of the project whose types, models, tools and agents count as if they stood in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path as FilePath

from agentflow.diagnostics import Diagnostic, Path, choices_help, quoted
from agentflow.source import START, Source, read, read_text
from agentflow.spec.reader import Reading, shown
from agentflow.types import Json

SECTIONS = ("types", "models", "tools", "agents")
HOLDS = "an included file holds types, models, tools and agents"


def is_part(data: Json) -> bool:
    """Whether a file is meant to be included: it names no graph, and holds nothing but what may be included."""
    return isinstance(data, dict) and bool(data) and all(key in SECTIONS for key in data)


def not_a_graph(source: Source) -> Diagnostic:
    message = "this file holds parts of graphs, and is none itself"
    help = f"check a graph that has it under include: [{source.path.name}]; what is wrong in here is told there"
    return source.error("not-a-graph", message, (), help=help)


def include(reading: Reading, keys: tuple[str, ...]) -> bool:
    """Puts what the included files hold into the source's data. `keys`: all that a graph may have.

    False where one of them could not be read, so that whatever the graph names may have stood in it.
    """
    source = reading.source
    if not isinstance(source.data, dict) or "include" not in source.data:
        return True
    names = source.data["include"]
    if not isinstance(names, list):
        help = f"write [{names}]" if isinstance(names, str) and names.strip() else None
        reading.wrong(("include",), "a list of files", names, help)
        return False
    complete = True
    seen: dict[FilePath, int] = {}
    for index, name in enumerate(names):
        path: Path = ("include", index)
        found = _file(reading, path, name)
        if found is None:
            complete = False
            continue
        if found in seen:
            related = [(("include", seen[found]), "it is listed here first")]
            reading.error("bad-include", f"{quoted(name)} is included twice", path, related=related)
            continue
        seen[found] = index
        part = _read(reading, path, found)
        if part is not None and _is_fit(reading, path, part, keys):
            source.included.append(part)
            continue
        complete = False
        if part is not None:
            source.texts[path] = (part.name, part.text)
    _merge(reading)
    return complete


def _file(reading: Reading, path: Path, name: Json) -> FilePath | None:
    found = reading.in_project(path, name, "a file is included from")
    if found is None:
        return None
    _, problem = read_text(found, str(name))
    if problem is not None and problem.span == START:  # no place in it to tell of
        reading.error(problem.code, problem.message, path, help=reading.misplaced(found, str(name)))
        return None
    return found


def _read(reading: Reading, path: Path, found: FilePath) -> Source | None:
    """The file as data; what keeps it from being read is told at its place."""
    part, problems = read(found, shown(found))
    reading.problems += problems
    if part is None:
        text = read_text(found, shown(found))[0]
        reading.source.texts[path] = (shown(found), text or "")
        return None
    part.tag = part.name
    return part


def _is_fit(reading: Reading, path: Path, part: Source, keys: tuple[str, ...]) -> bool:
    """Whether it is a mapping that holds what may be included; keys that may not are told, and left out."""
    if not isinstance(part.data, dict):
        reading.problems.append(part.error("wrong-type", HOLDS, ()))
        return False
    if "graph" in part.data:
        message, help = f"{quoted(part.name)} is a graph of its own", f"{HOLDS}; a graph is called by a graph node"
        related = [(part.key_span(("graph",)), "it is named here")]
        found = reading.source.error("bad-include", message, path, help=help, related=tuple(related))
        reading.problems.append(found)
        return False
    reading.problems += _wrong_keys(part, keys)
    return True


def _wrong_keys(part: Source, keys: tuple[str, ...]) -> Iterator[Diagnostic]:
    assert isinstance(part.data, dict)
    for key in part.data:
        if key in SECTIONS:
            continue
        if key == "include":
            message, help = "an included file includes no others", "list them all in the graph"
            yield part.error("bad-include", message, (key,), key=True, help=help)
        elif key in keys:
            yield part.error(
                "bad-include", f"{quoted(key)} has no meaning in an included file", (key,), key=True, help=HOLDS
            )
        else:
            message = f"an included file has no key {quoted(key)}"
            yield part.error("unknown-key", message, (key,), key=True, help=choices_help(key, SECTIONS))


def _merge(reading: Reading) -> None:
    source = reading.source
    assert isinstance(source.data, dict)
    merged: dict[str, Json] = dict(source.data)
    for section in SECTIONS:
        own = source.data.get(section, {})
        if not isinstance(own, dict):
            continue  # told where the section is read
        together: dict[str, Json] = {}
        for part in source.included:
            assert isinstance(part.data, dict)
            given = part.data.get(section, {})
            if not isinstance(given, dict):
                reading.problems.append(part.error("wrong-type", f'"{section}" must be a mapping of names', (section,)))
                continue
            for name, value in given.items():
                if name in together:
                    _twice(reading, part, (section, name))
                    continue
                together[name] = value
                source.parts[(section, name)] = part
        for name in own:
            if name in together:
                first = source.parts.pop((section, name))
                related = ((first.key_span((section, name)), "it is defined here too"),)
                message = f"{quoted(name)} is defined twice in {section}: here, and in a file that is included"
                reading.problems.append(
                    source.error("duplicate-name", message, (section, name), key=True, related=related)
                )
        if together or section in merged:
            merged[section] = {**together, **own}
    source.data = merged


def _twice(reading: Reading, part: Source, path: Path) -> None:
    """Two included files define the same."""
    first = reading.source.parts[path]
    related = ((first.key_span(path), "it is defined here first"),)
    message = f"{quoted(path[1])} is defined twice in {path[0]}: in two files that are included"
    reading.problems.append(part.error("duplicate-name", message, path, key=True, related=related))
