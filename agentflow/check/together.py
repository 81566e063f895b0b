"""Tools that run several tools: each of these is one durable step, and gets arguments that it takes."""

from __future__ import annotations

from collections.abc import Iterator

from agentflow.check.algebra import field_type, may_be_null, misfit, without_null
from agentflow.check.gates import index_of
from agentflow.diagnostics import Diagnostic, Path, quoted
from agentflow.nodes import arguments
from agentflow.spec.model import GraphSpec, ToolSpec
from agentflow.spec.names import is_broken
from agentflow.tools.parallel import ParallelToolBody
from agentflow.tools.registry import KINDS
from agentflow.types import Field


def check(graph: GraphSpec) -> Iterator[Diagnostic]:
    for tool in graph.tools.values():
        if isinstance(tool.body, ParallelToolBody):
            yield from _check(graph, tool, tool.body)


def _check(graph: GraphSpec, tool: ToolSpec, body: ParallelToolBody) -> Iterator[Diagnostic]:
    source, known = graph.source, True
    for name in body.members:
        place: Path = (*tool.path, "parallel", index_of(source.data, (*tool.path, "parallel"), name))
        member = graph.tools.get(name)
        if member is None:
            known = False
            if not is_broken(name, graph.broken):
                yield arguments.unknown_tool(name, place, graph.tools, graph.agents, source)
        elif (problem := _not_a_step(member)) is not None:
            message = f"the tool {quoted(name)} {problem[0]}, and what runs at once is one durable step each"
            yield source.error("member-not-a-step", message, place, help=problem[1])
        elif member.signature is None:
            known = False
        else:
            known = known and not member.signature.open
            yield from _arguments(graph, tool, member, place)
    if known and tool.signature is not None:
        taken = {name for takes in body.members.values() for name in takes or ()}
        for parameter in tool.signature.parameters:
            if parameter.name not in taken:
                listed = ", ".join(body.members)
                message = f"no tool of {quoted(tool.name)} has a parameter {quoted(parameter.name)}: {listed}"
                yield source.error("unknown-parameter", message, (*tool.path, "args", parameter.name), key=True)


def _not_a_step(member: ToolSpec) -> tuple[str, str] | None:
    """Why it cannot run at once with others, and what to do instead."""
    if member.confirm is not None:
        return "asks before it acts", "give the confirm to the tool that runs it with others"
    if (reason := KINDS[member.kind].more_than_one_step(member)) is not None:
        why, _ = reason
        return why, "let nodes run it beside others: parallel: {...}"
    if member.signature is not None and member.signature.takes_state:
        return "changes the state", "call it by itself: two at once would not see what the other writes"
    return None


def _arguments(graph: GraphSpec, tool: ToolSpec, member: ToolSpec, place: Path) -> Iterator[Diagnostic]:
    assert tool.signature is not None and member.signature is not None
    missing: list[str] = []
    for parameter in member.signature.parameters:
        given = tool.signature.parameter(parameter.name)
        if given is None:
            if parameter.required:
                missing.append(parameter.name)
            continue
        actual = field_type(Field(given.name, given.type, optional=not given.required))
        reason = misfit(actual, parameter.type, graph.types)
        if parameter.required and may_be_null(actual) and not may_be_null(parameter.type):
            reason = "it may be missing"
        elif not parameter.required:
            reason = misfit(without_null(actual), without_null(parameter.type), graph.types)
        if reason is not None:
            message = f"{quoted(given.name)} does not fit what {quoted(member.name)} takes: {reason}"
            yield graph.source.error("argument-type", message, (*tool.path, "args", given.name))
    if missing:
        listed = ", ".join(quoted(name) for name in missing)
        message = f"the call of {quoted(member.name)} lacks {listed}"
        help = "what its tools are given is in args: {...} of the tool that runs them"
        yield graph.source.error("missing-argument", message, place, help=help)
