"""`tools:` of a graph: the key that says what each is, and the keys that all have."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from agentflow.diagnostics import Diagnostic, choices_help, nearest, quoted
from agentflow.nodes import arguments
from agentflow.spec.confirm import read_confirm
from agentflow.spec.model import Body, ToolSpec, UndoSpec
from agentflow.spec.names import bad_name, is_broken
from agentflow.spec.reader import Reader, spaced
from agentflow.spec.settings import read_retry, read_undo
from agentflow.toolnames import offered
from agentflow.tools.kind import SingleToolKind, ToolSetKind
from agentflow.tools.registry import KINDS

Effect = Literal["read", "write", "dangerous"]
EFFECTS = ("read", "write", "dangerous")
COMMON = ("description", "effect", "retry", "timeout", "compensate", "confirm")


@dataclass
class Tools:
    """The tools of a graph by name, those of a set as `set.member`."""

    found: dict[str, ToolSpec] = field(default_factory=dict)
    sets: dict[str, tuple[str, ...]] = field(default_factory=dict)  # the names of each set's tools
    broken: set[str] = field(default_factory=set)  # names of which nothing can be made


def read_tools(reader: Reader) -> Tools:
    tools = Tools()
    for name, data in reader.entries("tools").items():
        path = reader.at("tools", name)
        if problem := bad_name(name, "a tool"):
            reader.error("bad-name", problem[0], path, key=True, help=problem[1])
        help = f'write {{python: "{data}"}}' if isinstance(data, str) and ":" in data and len(data) < 80 else None
        inner = reader.reading.reader(path, data, f"the tool {quoted(name)}", help)
        kind = _kind(inner) if inner is not None else None
        if inner is None or kind is None:
            tools.broken.add(name)
        elif isinstance(kind, ToolSetKind):
            _set(tools, inner, name, kind)
        elif (tool := _of_kind(inner, name, kind)) is not None:
            tools.found[name] = tool
        else:
            tools.broken.add(name)
    for name, tool in tools.found.items():
        tools.found[name] = KINDS[tool.kind].completed(tool, tools.found)
    _check_offered(reader, tools.found)
    return tools


def acting(tool: ToolSpec, tools: Mapping[str, ToolSpec]) -> Iterator[ToolSpec]:
    """The tools that a call of it calls: itself, or those that it runs."""
    called = KINDS[tool.kind].called(tool)
    yield from (tools[name] for name in called if name in tools) if called else (tool,)


def _check_offered(reader: Reader, tools: Mapping[str, ToolSpec]) -> None:
    """A model knows each tool by a name of its own."""
    seen: dict[str, str] = {}
    for name, tool in tools.items():
        other = seen.setdefault(offered(name), name)
        if other != name:
            message = (
                f"a model could not tell {quoted(name)} from {quoted(other)}: both are {quoted(offered(name))} to it"
            )
            related = [(tools[other].path, "the other is here")]
            reader.error("duplicate-name", message, tool.path, key=True, related=related)


def _kind(reader: Reader) -> SingleToolKind[Any] | ToolSetKind[Any] | None:
    kinds = [kind for kind in KINDS if reader.has(kind)]
    if len(kinds) > 1:
        first = [(reader.at(kinds[0]), "this is one")]
        message = f"{reader.what} is of two kinds: {' and '.join(quoted(kind) for kind in kinds)}"
        reader.error("several-verbs", message, reader.at(kinds[1]), key=True, note="this is another", related=first)
        return None
    if not kinds and _misspelt(reader):
        return None
    if not kinds:
        listed = ", ".join(KINDS)
        message = f"{reader.what} does not say what it is: it needs one of {listed}"
        reader.error("missing-key", message, reader.path, key=True, help='write {python: "tools.module:function"}')
        return None
    return KINDS[kinds[0]]


def _misspelt(reader: Reader) -> bool:
    """Whether a key is one that says what a tool is, but for its spelling; it is reported."""
    known = {*COMMON, *(key for kind in KINDS.values() for key in kind.keys)}
    for key in reader.data:
        near = nearest(str(key), KINDS) if key not in known else None
        help = spaced(str(key)) or (f"did you mean {quoted(near)}?" if near is not None else None)
        if help is not None:
            message = f"{reader.what} has no key {quoted(key)}"
            reader.error("unknown-key", message, reader.at(key), key=True, help=help)
            return True
    return False


def _set(tools: Tools, reader: Reader, name: str, kind: ToolSetKind[Any]) -> None:
    """A set's tools, which share what is said of the set."""
    members = kind.read_all(reader, name)
    description, effect, effects = reader.text("description"), _effect(reader), _effects(reader, kind)
    retry, timeout, compensate = read_retry(reader), reader.duration("timeout"), read_undo(reader)
    confirm = read_confirm(reader)
    reader.finish(known=(*COMMON, *kind.keys), elsewhere=kind.elsewhere)
    if not members:
        tools.broken.add(name)
        return
    if compensate is not None and len(members) > 1:
        message = "one compensation cannot undo several tools"
        help = "give the tool that it undoes a set of its own, or the compensation to the node that calls it"
        reader.error("misplaced-key", message, reader.at("compensate"), key=True, help=help)
    for member in members:
        told = [text for text in (description, member.description) if text]
        tools.found[f"{name}.{member.name}"] = ToolSpec(
            name=f"{name}.{member.name}",
            path=reader.path,
            kind=kind.key,
            body=member.body,
            signature=member.signature,
            description="\n".join(told) or None,
            effect=effects.get(member.name, effect),
            retry=retry,
            timeout=timeout,
            compensate=compensate,
            confirm=confirm,
        )
    tools.sets[name] = tuple(f"{name}.{member.name}" for member in members)
    tools.broken.update(one for each in _listed(reader, kind) if (one := f"{name}.{each}") not in tools.found)


def _listed(reader: Reader, kind: ToolSetKind[Any]) -> list[str]:
    listed = reader.data.get(kind.members)
    return [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []


def _effects(reader: Reader, kind: ToolSetKind[Any]) -> dict[str, Effect]:
    """The effects of single tools of a set, in the place of the set's."""
    found: dict[str, Effect] = {}
    known = _listed(reader, kind)
    inner = reader.mapping("effects", "write {name: read}")
    for name in inner.data if inner is not None else ():
        assert inner is not None
        if name in known:
            found[name] = _effect(inner, name)
        else:
            inner.take(name)
            help = choices_help(name, known)
            message = f"{quoted(name)} is not in {kind.members}"
            inner.error("unknown-operation", message, inner.at(name), key=True, help=help)
    return found


def _of_kind(reader: Reader, name: str, kind: SingleToolKind[Any]) -> ToolSpec | None:
    read, elsewhere = kind.read(reader), kind.elsewhere  # what belongs elsewhere is left to `finish` to report
    about = ToolSpec(
        name=name,
        path=reader.path,
        kind=kind.key,
        body=read[0] if read is not None else Body(),
        signature=read[1] if read is not None else None,
        description=reader.text("description"),
        effect="write" if "effect" in elsewhere else _effect(reader),
        retry=None if "retry" in elsewhere else read_retry(reader),
        timeout=None if "timeout" in elsewhere else reader.duration("timeout"),
        compensate=None if "compensate" in elsewhere else read_undo(reader),
        confirm=read_confirm(reader),
    )
    reader.finish(known=(*COMMON, *kind.keys), elsewhere=elsewhere)
    return about if read is not None else None


def _effect(reader: Reader, key: str = "effect") -> Effect:
    match reader.choice(key, EFFECTS, "write"):
        case "read":
            return "read"
        case "dangerous":
            return "dangerous"
        case _:
            return "write"


def check_undo(
    undo: UndoSpec, tools: Mapping[str, ToolSpec], broken: Collection[str], at: arguments.Where
) -> Iterator[Diagnostic]:
    """A compensation calls a tool that there is, with arguments that fit, and is one durable step."""
    source, place = at.source, (*undo.path, "tool")
    tool = tools.get(undo.tool)
    if tool is None:
        if not is_broken(undo.tool, broken):
            yield arguments.unknown_tool(undo.tool, place, tools, {}, source)
        return
    kind = KINDS[tool.kind]
    if tool.confirm is not None:
        message = f"the tool {quoted(undo.tool)} asks before it acts, and an undo waits for nobody"
        related = ((source.key_span(tool.confirm.path), "it asks here"),)
        yield source.error("undo-not-a-step", message, place, help="undo with a tool without confirm", related=related)
    elif (reason := kind.more_than_one_step(tool)) is not None:
        why, help = reason
        message = f"the tool {quoted(undo.tool)} {why}, and an undo is one durable step"
        yield source.error("undo-not-a-step", message, place, help=help)
    yield from arguments.check(undo.args, (*undo.path, "with"), place, undo.tool, tool.signature, at)
