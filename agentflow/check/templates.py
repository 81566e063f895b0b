"""Every template: whether it can be read, and whether what it does with its names can work."""

from __future__ import annotations

from collections.abc import Iterator

from agentflow import syntax
from agentflow.check import findings
from agentflow.check.algebra import apart, described, may_be_null, misfit, nullable, opaque, resolved, without_null
from agentflow.check.findings import Finding
from agentflow.check.inference import Inference, Known
from agentflow.check.places import Analysis, Text
from agentflow.check.types import Typed
from agentflow.diagnostics import Diagnostic, Path, Span, pointed, quoted
from agentflow.expressions import Leaf
from agentflow.types import ANY, BOOLEAN, STRING, ListOf, Object, Type


def check(analysis: Analysis, typed: Typed) -> Iterator[Diagnostic]:
    for text in analysis.texts:
        for leaf in text.leaves:
            if leaf.problem is not None:
                yield _unreadable(analysis, leaf)
            elif leaf.tree is not None:
                yield from _inferred(typed, text, leaf)


def _unreadable(analysis: Analysis, leaf: Leaf) -> Diagnostic:
    problem = leaf.problem
    assert problem is not None
    part = (min(problem.offset, max(len(leaf.text) - 1, 0)), problem.length)
    return analysis.graph.source.error(problem.code, problem.message, leaf.path, part=part, help=problem.help)


def _inferred(typed: Typed, text: Text, leaf: Leaf) -> Iterator[Diagnostic]:
    found: list[Finding] = []
    inference = Inference(typed.names(text.scope), found.append)
    known = Known(_facts(typed, text))
    if isinstance(leaf.tree, syntax.Template):
        inference.text(leaf.tree, known)
        found += _text_around(typed, text, leaf)
    elif leaf.tree is not None:
        type = inference.of(leaf.tree, known)
        if text.template.form == "value" or text.template.expected not in (ANY, BOOLEAN):
            expected = _expected(text.template.expected, leaf.path[len(text.template.path) :], typed)
            found += _handed_over(typed, text, leaf, leaf.tree, type, expected)
    for finding in dict.fromkeys(found):
        yield _diagnostic(typed, text, leaf, finding)


def _facts(typed: Typed, text: Text) -> tuple[tuple[syntax.Expression, bool], ...]:
    if text.block is not None:
        return typed.output_facts(text.block)
    if text.place is None:
        return ()
    return typed.facts(text.place) if text.template.own_when else typed.reached(text.place)


def _expected(type: Type, way: Path, typed: Typed) -> Type:
    """The type of what stands at a way into a value of a type."""
    for step in way:
        bare = without_null(resolved(type, typed.graph.types))
        if isinstance(bare, Object) and isinstance(step, str) and (field := bare.field(step)) is not None:
            type = nullable(field.type) if field.optional else field.type
        elif isinstance(bare, ListOf) and isinstance(step, int):
            type = bare.of
        else:
            return ANY
    return resolved(type, typed.graph.types)


def _text_around(typed: Typed, text: Text, leaf: Leaf) -> Iterator[Finding]:
    """A template with text around what it shows, where no text is expected."""
    if text.template.form != "value":
        return
    expected = _expected(text.template.expected, leaf.path[len(text.template.path) :], typed)
    if apart(STRING, expected, typed.graph.types):
        code = "argument-type" if "with" in text.template.path else "wrong-type"
        message = (
            f"the value of {pointed(leaf.path)} does not fit: it is text, and not {described(without_null(expected))}"
        )
        note = "text around {{ }}, a space too, makes the whole a text"
        yield Finding(code, message, 0, len(leaf.text), note)


def _handed_over(
    typed: Typed, text: Text, leaf: Leaf, tree: syntax.Expression, type: Type, expected: Type
) -> Iterator[Finding]:
    """A value that keeps its type, where a type is expected."""
    if opaque(expected):
        return
    name = pointed(leaf.path) if leaf.path else "what it is given to"
    if may_be_null(type) and not may_be_null(expected):
        why = typed.names(text.scope).why_null(tree.name) if isinstance(tree, syntax.Name) else None
        yield findings.may_be_null(tree, f"{name} takes no null", why)
    if reason := misfit(type, expected, typed.graph.types):
        start, length = findings.extent(tree)
        code = "argument-type" if "with" in text.template.path else "wrong-type"
        message = f"the value of {name} does not fit: {reason}"
        text_wanted = (
            text.template.form == "value" and expected == STRING and not isinstance(without_null(type), Object | ListOf)
        )
        help = "add | string" if text_wanted else None
        yield Finding(code, message, start, length, help=help, about=findings.root(tree))


def _diagnostic(typed: Typed, text: Text, leaf: Leaf, finding: Finding) -> Diagnostic:
    source = typed.graph.source
    return source.error(
        finding.code,
        finding.message,
        leaf.path,
        part=(finding.at, finding.length),
        note=finding.note,
        help=finding.help,
        related=tuple(_about(typed, text, finding)),
    )


def _about(typed: Typed, text: Text, finding: Finding) -> Iterator[tuple[Span, str]]:
    """Where the name that a finding is about comes from."""
    binding = text.scope.find(finding.about) if finding.about is not None else None
    if binding is None or binding.place is None:
        return
    node, source = binding.place.node, typed.graph.source
    if finding.code != "maybe-null":
        yield source.key_span(node.path), f"{quoted(node.name)} is defined here"
    elif binding.place.skippable:
        yield source.span((*node.path, "when")), f"{quoted(node.name)} is skipped unless this holds"
    elif node.on_error is not None:
        yield source.span(node.on_error.path), f"{quoted(node.name)} is null where it fails"
