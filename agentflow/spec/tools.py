"""`tools:` of a graph: the key that says what each is, and the keys that all have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from agentflow.diagnostics import Diagnostic, Path, quoted
from agentflow.nodes import arguments
from agentflow.source import Source
from agentflow.spec.model import Body, ToolSpec, UndoSpec
from agentflow.spec.names import bad_name
from agentflow.spec.reader import Reader
from agentflow.spec.settings import read_retry, read_undo
from agentflow.tools.kind import ToolKind
from agentflow.tools.registry import KINDS, LATER

EFFECTS = ("read", "write", "dangerous")
COMMON = ("description", "effect", "retry", "timeout", "compensate")


def read_tools(reader: Reader) -> tuple[dict[str, ToolSpec], frozenset[str]]:
    """The tools, and the names of those of which nothing can be made."""
    found: dict[str, ToolSpec] = {}
    broken: set[str] = set()
    for name, data in reader.entries("tools").items():
        path = reader.at("tools", name)
        if problem := bad_name(name, "a tool"):
            reader.error("bad-name", problem[0], path, key=True, help=problem[1])
        help = f'write {{python: "{data}"}}' if isinstance(data, str) and ":" in data and len(data) < 80 else None
        inner = reader.reading.reader(path, data, f"the tool {quoted(name)}", help)
        tool = _tool(inner, name) if inner is not None else None
        if tool is None:
            broken.add(name)
        else:
            found[name] = tool
    return found, frozenset(broken)


def _tool(reader: Reader, name: str) -> ToolSpec | None:
    kinds = [kind for kind in (*KINDS, *LATER) if reader.has(kind)]
    if len(kinds) > 1:
        first = [(reader.at(kinds[0]), "this is one")]
        message = f"{reader.what} is of two kinds: {' and '.join(quoted(kind) for kind in kinds)}"
        reader.error("several-verbs", message, reader.at(kinds[1]), key=True, note="this is another", related=first)
        return None
    if not kinds:
        listed = ", ".join(KINDS)
        message = f"{reader.what} does not say what it is: it needs one of {listed}"
        reader.error("missing-key", message, reader.path, key=True, help='write {python: "tools.module:function"}')
        return None
    if kinds[0] not in KINDS:
        message = f"{quoted(kinds[0])} tools are part of the language, but not supported yet"
        reader.error("not-supported-yet", message, reader.at(kinds[0]), key=True)
        return None
    return _of_kind(reader, name, KINDS[kinds[0]])


def _of_kind(reader: Reader, name: str, kind: ToolKind[Any]) -> ToolSpec | None:
    read = kind.read(reader)
    about = ToolSpec(
        name=name,
        path=reader.path,
        kind=kind.key,
        body=read[0] if read is not None else Body(),
        signature=read[1] if read is not None else None,
        description=reader.text("description"),
        effect=_effect(reader),
        retry=read_retry(reader),
        timeout=reader.duration("timeout"),
        compensate=read_undo(reader),
    )
    reader.finish(later=("confirm",), known=(*COMMON, *kind.keys), elsewhere=kind.elsewhere)
    return about if read is not None else None


def _effect(reader: Reader) -> Literal["read", "write", "dangerous"]:
    match reader.choice("effect", EFFECTS, "write"):
        case "read":
            return "read"
        case "dangerous":
            return "dangerous"
        case _:
            return "write"


def check_undo(
    undo: UndoSpec, tools: Mapping[str, ToolSpec], broken: frozenset[str], source: Source
) -> Iterator[Diagnostic]:
    """A compensation calls a tool that there is, with arguments that fit, and is one durable step."""
    place: Path = (*undo.path, "tool")
    tool = tools.get(undo.tool)
    if tool is None:
        if undo.tool not in broken:
            yield arguments.unknown_tool(undo.tool, place, tools, {}, source)
        return
    kind = KINDS[tool.kind]
    if not kind.one_step(tool):
        why, help = kind.why_not_one_step(tool)
        message = f"the tool {quoted(undo.tool)} {why}, and an undo is one durable step"
        yield source.error("undo-not-a-step", message, place, help=help)
    yield from arguments.check(undo.args, (*undo.path, "with"), place, undo.tool, tool.signature, source)
