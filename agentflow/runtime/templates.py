"""What templates and expressions come to, given a scope of JSON.

Only what `agentflow.syntax` accepts can run, and it only ever looks things up in the scope: no attributes, no calls.
A value that is needed and not there is a TemplateError that names it; nothing else is raised, whatever the data.
An optional field that was left out must be null in the scope: null may be compared, what is not there may not.
The scope's key OUTCOMES maps the names of nodes to "skipped" or "failed".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache

from agentflow import syntax
from agentflow.runtime.errors import TemplateError
from agentflow.runtime.evaluation import Scope, as_text, compiled
from agentflow.syntax import Part, SyntaxProblem
from agentflow.types import Json
from agentflow.values import LONGEST, Found, Missing, Unusable, settled, show

Writer = Callable[[Scope], Iterator[str]]


def text(template: str, scope: Mapping[str, Json]) -> str:
    """The text of a template."""
    try:
        return _write(_text(template), scope)
    except TemplateError:
        raise
    except Exception as error:
        raise _error(error) from None


def value(data: Json, scope: Mapping[str, Json]) -> Json:
    """Data whose strings are templates, at any depth; exactly one `{{ expression }}` keeps its type."""
    if isinstance(data, str):
        return _string(data, scope)
    if isinstance(data, list):
        return [value(each, scope) for each in data]
    if isinstance(data, dict):
        return {key: value(each, scope) for key, each in data.items()}
    return data


def expression(text: str, scope: Mapping[str, Json]) -> Json:
    """The value of an expression without braces."""
    try:
        return _json(_expression(text)(scope))
    except Exception as error:
        raise _error(error) from None


def _string(data: str, scope: Mapping[str, Json]) -> Json:
    try:
        single = _single(data)
        return _write(_text(data), scope) if single is None else _json(single(scope))
    except Exception as error:
        raise _error(error) from None


def _json(found: Found) -> Json:
    if isinstance(found, float):
        show(found)  # not a number, infinite: no JSON
    return settled(found)


def _error(error: Exception) -> TemplateError:
    """Every way in which an evaluation may end; the data's own text stays out of what Python says."""
    if isinstance(error, TemplateError):
        return error
    if isinstance(error, Unusable | SyntaxProblem):
        return TemplateError(str(error))
    if isinstance(error, ZeroDivisionError):
        return TemplateError("a division by zero")
    if isinstance(error, OverflowError):
        return TemplateError("a number that is too large")
    if isinstance(error, RecursionError):
        return TemplateError("this is nested too deep")
    return TemplateError(f"the template cannot be evaluated ({type(error).__name__})")


# ---------------------------------------------------------------- compiled, once a template


@lru_cache(maxsize=4096)
def _expression(text: str) -> Callable[[Scope], Found]:
    return compiled(syntax.parse_expression(text))


@lru_cache(maxsize=4096)
def _single(text: str) -> Callable[[Scope], Found] | None:
    single = syntax.parse_text(text).single
    return None if single is None else compiled(single)


@lru_cache(maxsize=4096)
def _text(text: str) -> tuple[Writer, ...]:
    return tuple(map(_writer, syntax.parse_text(text).parts))


def _write(writers: tuple[Writer, ...], scope: Scope) -> str:
    pieces: list[str] = []
    length = 0
    for piece in _pieces(writers, scope):
        length += len(piece)
        if length > LONGEST:
            raise Unusable("the text grows too long")
        pieces.append(piece)
    return "".join(pieces)


def _pieces(writers: tuple[Writer, ...], scope: Scope) -> Iterator[str]:
    for writer in writers:
        yield from writer(scope)


def _writer(part: Part) -> Writer:
    match part:
        case syntax.Data(text):
            return lambda scope: iter((text,))
        case syntax.Show(of):
            return _shown(of)
        case syntax.Branch():
            return _branch(part)
        case syntax.Loop():
            return _loop(part)


def _shown(of: syntax.Expression) -> Writer:
    shown = as_text(of)
    return lambda scope: iter((shown(scope),))


def _branch(part: syntax.Branch) -> Writer:
    tests = [(compiled(test), tuple(map(_writer, body))) for test, body in part.tests]
    other = tuple(map(_writer, part.other))

    def write(scope: Scope) -> Iterator[str]:
        return _pieces(next((body for test, body in tests if test(scope)), other), scope)

    return write


def _loop(part: syntax.Loop) -> Writer:
    over = compiled(part.over)
    test = None if part.test is None else compiled(part.test)
    body, other = tuple(map(_writer, part.body)), tuple(map(_writer, part.other))
    named = syntax.spelled(part.over)

    def bound(scope: Scope, each: Json) -> dict[str, Json]:
        if len(part.targets) == 1:
            return {**scope, part.targets[0]: each}
        if not isinstance(each, list) or len(each) != len(part.targets):
            raise Unusable(f"the elements of {named} are no lists of {len(part.targets)}")
        return {**scope, **dict(zip(part.targets, each, strict=True))}

    def write(scope: Scope) -> Iterator[str]:
        found = over(scope)
        if isinstance(found, dict):
            found = list(found)
        if not isinstance(found, list):
            raise Unusable(str(found) if isinstance(found, Missing) else f"{named} is no list")
        scopes = [bound(scope, each) for each in found]
        if test is not None:
            scopes = [each for each in scopes if test(each)]
        for index, each in enumerate(scopes, 1):
            each["loop"] = {
                "index": index,
                "index0": index - 1,
                "first": index == 1,
                "last": index == len(scopes),
                "length": len(scopes),
            }
            yield from _pieces(body, each)
        if not scopes:
            yield from _pieces(other, scope)

    return write
