"""The declared subset of Jinja: its own parser reads the text, and what is not on the list is refused.

Tokens carry their offset where Jinja has a line number, so that every node knows its place in the text.
Nothing is compiled, folded or called here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NoReturn

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.lexer import Token, TokenStream
from jinja2.parser import Parser

from agentflow import syntax
from agentflow.filters import FILTERS, NAMES_A_TEST, TESTS, arguments_fit
from agentflow.syntax import Expression, Part, SyntaxProblem, start_of

DEEPEST = 100  # nested expressions and blocks
MOST_TOKENS = 20_000
BRACKETS = 32  # each costs the parser a dozen frames
LARGEST = 1 << 1024  # beyond it a number is infinite
OPERATORS = {"eq": "==", "ne": "!=", "lt": "<", "lteq": "<=", "gt": ">", "gteq": ">=", "in": "in", "notin": "not in"}
ARITHMETIC: dict[type[nodes.BinExpr], str] = {
    nodes.Add: "+",
    nodes.Sub: "-",
    nodes.Mul: "*",
    nodes.Div: "/",
    nodes.FloorDiv: "//",
    nodes.Mod: "%",
}
STATEMENTS = frozenset({"if", "elif", "else", "endif", "for", "endfor"})
# Jinja's lexer makes every line end "\n"; a return travels as another white space and comes back.
STAND_INS = "\x1c\x1d\x1e\x1f\x0b\x0c\x85\u2028\u2029"


class _Environment(Environment):
    def _tokenize(
        self, source: str, name: str | None, filename: str | None = None, state: str | None = None
    ) -> TokenStream:
        return TokenStream(self._located(source, state), name, filename)

    def _located(self, source: str, state: str | None) -> Iterator[Token]:
        scan = _Scan(source)
        try:
            yield from self.lexer.wrap(scan.tokens(self.lexer.tokeniter(source, None, None, state)))
        except TemplateSyntaxError as error:
            # The lexer counts lines; what it could not read begins where the last token ended.
            raise SyntaxProblem("template-syntax", _sentence(error.message), scan.position) from None
        except (ValueError, SyntaxError, OverflowError):
            raise SyntaxProblem("template-syntax", "a number that is too long", scan.position) from None


class _Scan:
    """Puts an offset to each token, and stops at the first that leads nowhere good."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.position = 0

    def tokens(self, stream: Iterable[tuple[int, str, str]]) -> Iterator[tuple[int, str, str]]:
        source, position, depth, statement, kind = self.source, 0, 0, False, ""
        for count, (_, kind, text) in enumerate(stream):
            if count > MOST_TOKENS:
                raise _too_complex(position)
            at = source.find(text, position)
            if at < 0:
                at = position
            self.position = position = at + len(text)
            if kind == "raw_begin":
                _refuse("{% raw %}", at, text, "write {{ '{{' }} for braces that are meant as such")
            if statement and kind == "name" and text not in STATEMENTS:
                _refuse("{% " + text + " %}", at, text, "there is {% if %} and {% for %}")
            statement = kind == "block_begin" or (statement and kind == "whitespace")
            if kind == "operator":
                depth += (text in "([{") - (text in ")]}")
                if depth > BRACKETS:
                    raise _too_complex(at)
            yield at, kind, text
        if kind == "comment_begin":
            raise SyntaxProblem("template-syntax", "this comment has no end", position - 2, 2)


ENVIRONMENT = _Environment(optimized=False, keep_trailing_newline=True, autoescape=False)


def template(text: str) -> syntax.Template:
    source, stand_in = _without_returns(text)
    parsed = _parsed(source, None)
    assert isinstance(parsed, nodes.Template)
    return syntax.Template(_Reader(text, stand_in).parts(parsed.body))


def expression(text: str) -> Expression:
    source, stand_in = _without_returns(text)
    if not text.strip():
        raise SyntaxProblem("template-syntax", "an expression is expected here", 0, len(text))
    if text.lstrip().startswith(("{{", "{%")):
        at = text.index("{")
        raise SyntaxProblem("template-syntax", "an expression is written without braces", at, 2)
    return _Reader(text, stand_in).expression(_parsed(source, "variable"))


def _parsed(source: str, state: str | None) -> nodes.Node:
    """The whole tree of Jinja's parser. Its errors become problems at an offset; a chain too deep for it, too."""
    try:
        parser = Parser(ENVIRONMENT, source, state=state)
        if state is None:
            return parser.parse()
        found = parser.parse_expression()
        if not parser.stream.eos:
            parser.fail(f"unexpected {parser.stream.current.value!r}", parser.stream.current.lineno)
        return found
    except TemplateSyntaxError as error:
        at = min(error.lineno, len(source)) if state is None or error.lineno > 1 else error.lineno
        raise SyntaxProblem("template-syntax", _sentence(error.message), at) from None
    except RecursionError:
        raise _too_complex(0) from None


def _without_returns(text: str) -> tuple[str, str | None]:
    if "\r" not in text:
        return text, None
    stand_in = next((c for c in STAND_INS if c not in text), None)
    return (text.replace("\r", stand_in), stand_in) if stand_in else (text.replace("\r", " "), None)


class _Reader:
    """Turns Jinja's nodes into ours, and refuses what is not on the list."""

    def __init__(self, text: str, stand_in: str | None) -> None:
        self.source = text
        self.stand_in = stand_in
        self.depth = 0

    def text(self, value: str) -> str:
        return value.replace(self.stand_in, "\r") if self.stand_in else value

    # ------------------------------------------------------------ templates

    def parts(self, body: list[nodes.Node]) -> tuple[Part, ...]:
        parts: list[Part] = []
        for node in body:
            match node:
                case nodes.Output():
                    parts.extend(self.shown(inside) for inside in node.nodes)
                case nodes.If():
                    self.enter(node.lineno)
                    tests = [node, *node.elif_]
                    parts.append(
                        syntax.Branch(
                            tuple((self.expression(each.test), self.parts(each.body)) for each in tests),
                            self.parts(node.else_),
                        )
                    )
                    self.depth -= 1
                case nodes.For():
                    parts.append(self.loop(node))
                case _:
                    _refuse("this statement", node.lineno, "{%", "there is {% if %} and {% for %}")
        return tuple(parts)

    def shown(self, node: nodes.Node) -> Part:
        if isinstance(node, nodes.TemplateData):
            return syntax.Data(self.text(node.data))
        return syntax.Show(self.expression(node))

    def loop(self, node: nodes.For) -> syntax.Loop:
        self.enter(node.lineno)
        if node.recursive:
            _refuse("a recursive {% for %}", node.lineno, "for")
        names = node.target.items if isinstance(node.target, nodes.Tuple) else [node.target]
        targets: list[str] = []
        for name in names:
            if not isinstance(name, nodes.Name):
                _refuse("this target of a {% for %}", node.lineno, "for")
            self.checked_name(name.name, name.lineno)
            targets.append(name.name)
        loop = syntax.Loop(
            tuple(targets),
            self.expression(node.iter),
            None if node.test is None else self.expression(node.test),
            self.parts(node.body),
            self.parts(node.else_),
            names[0].lineno,
        )
        self.depth -= 1
        return loop

    # ------------------------------------------------------------ expressions

    def enter(self, at: int) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise _too_complex(at)

    def expression(self, node: nodes.Node) -> Expression:
        self.enter(node.lineno)
        found = self.converted(node)
        self.depth -= 1
        return found

    def optional(self, node: nodes.Node | None) -> Expression | None:
        return None if node is None else self.expression(node)

    def converted(self, node: nodes.Node) -> Expression:
        at = node.lineno
        match node:
            case nodes.Const():
                return self.constant(node)
            case nodes.Name():
                self.checked_name(node.name, at)
                return syntax.Name(node.name, at)
            case nodes.Getattr():
                at += 1 + len(self.source[at + 1 :]) - len(self.source[at + 1 :].lstrip())
                self.checked_name(node.attr, at)
                return syntax.Attr(self.expression(node.node), node.attr, at)
            case nodes.Getitem():
                return self.item(node)
            case nodes.List():
                return syntax.ListLiteral(tuple(map(self.expression, node.items)), at)
            case nodes.Neg() | nodes.Pos():
                return syntax.Unary(node.operator, self.expression(node.node), at)
            case nodes.Not():
                return syntax.Not(self.expression(node.node), at)
            case nodes.And() | nodes.Or():
                left, right = self.expression(node.left), self.expression(node.right)
                return syntax.Logic(node.operator, left, right, start_of(left))
            case nodes.Concat():
                parts = tuple(map(self.expression, node.nodes))
                return syntax.Concat(parts, start_of(parts[0]))
            case nodes.Compare():
                rest = tuple((OPERATORS[operand.op], self.expression(operand.expr)) for operand in node.ops)
                first = self.expression(node.expr)
                return syntax.Compare(first, rest, start_of(first))
            case nodes.CondExpr():
                test, then = self.expression(node.test), self.expression(node.expr1)
                return syntax.Inline(test, then, self.optional(node.expr2), start_of(then))
            case nodes.Filter():
                return self.filtered(node)
            case nodes.Test():
                return self.tested(node)
            case nodes.BinExpr() if type(node) in ARITHMETIC:
                left, right = self.expression(node.left), self.expression(node.right)
                return syntax.Binary(ARITHMETIC[type(node)], left, right, start_of(left))
        return self.refused(node)

    def constant(self, node: nodes.Const) -> Expression:
        value = node.value
        if isinstance(value, str):
            value = self.text(value)
            if not value.isprintable() and any("\ud800" <= c <= "\udfff" for c in value):
                raise SyntaxProblem("template-syntax", "half a surrogate pair is no text", node.lineno)
        elif value is not None and not abs(value) < LARGEST:
            raise SyntaxProblem("template-syntax", "a number that is too large", node.lineno)
        return syntax.Const(value, node.lineno)

    def item(self, node: nodes.Getitem) -> Expression:
        of = self.expression(node.node)
        match node.arg:
            case nodes.Slice():
                start, stop, step = map(self.optional, (node.arg.start, node.arg.stop, node.arg.step))
                return syntax.Slice(of, start, stop, step, node.lineno)
            case nodes.Tuple():
                _refuse("several keys in brackets", node.lineno, "[")
        return syntax.Item(of, self.expression(node.arg), node.lineno)

    def filtered(self, node: nodes.Filter) -> Expression:
        if node.node is None:
            _refuse("a filter of nothing", node.lineno, node.name)
        of = self.expression(node.node)
        args, named = self.arguments(node)
        if node.name not in FILTERS:
            raise SyntaxProblem(
                "unknown-filter",
                f'there is no filter "{node.name}"',
                node.lineno,
                len(node.name),
                _nearest(node.name, FILTERS),
            )
        if problem := arguments_fit(FILTERS[node.name], args, named):
            raise SyntaxProblem("filter-arguments", f'"{node.name}" {problem}', node.lineno, len(node.name))
        self.checked_mapper(node, args, named)
        return syntax.Filtered(of, node.name, args, named, node.lineno)

    def checked_mapper(
        self, node: nodes.Filter, args: tuple[Expression, ...], named: tuple[tuple[str, Expression], ...]
    ) -> None:
        """`map('upper')`, `select('odd')`, `selectattr('x', 'eq', 1)`: what is named must exist, and literally so."""
        if node.name not in NAMES_A_TEST:
            return
        at = NAMES_A_TEST[node.name]
        known = FILTERS if node.name == "map" else TESTS
        if len(args) <= at:
            if node.name == "map" and "attribute" not in dict(named):
                raise SyntaxProblem("filter-arguments", '"map" takes a filter or an attribute', node.lineno, 3)
            return
        match args[at]:
            case syntax.Const(value=str() as name) if name in known and name not in ("skipped", "failed"):
                if name in NAMES_A_TEST or (node.name == "map" and name == "required"):
                    _refuse(f'"{name}" inside "{node.name}"', args[at].at, name)
                if problem := arguments_fit(known[name], args[at + 1 :], named):
                    raise SyntaxProblem("filter-arguments", f'"{name}" {problem}', args[at].at, len(name) + 2)
            case syntax.Const(value=str() as name):
                code, what = ("unknown-filter", "filter") if node.name == "map" else ("unknown-test", "test")
                raise SyntaxProblem(
                    code, f'there is no {what} "{name}" here', args[at].at, len(name) + 2, _nearest(name, known)
                )
            case other:
                raise SyntaxProblem(
                    "filter-arguments", f'"{node.name}" takes the name of a test or a filter in quotes', other.at
                )

    def tested(self, node: nodes.Test) -> Expression:
        of = self.expression(node.node)
        args, named = self.arguments(node)
        at = node.lineno
        if node.name not in TESTS:
            raise SyntaxProblem("unknown-test", f'there is no test "{node.name}"', at, 2, _nearest(node.name, TESTS))
        if named:
            _refuse("a named argument of a test", at, "is")
        if node.name in ("skipped", "failed"):
            if args or not isinstance(of, syntax.Name):
                raise SyntaxProblem("template-syntax", f'"is {node.name}" is asked of a node, by its name', at, 2)
        elif problem := arguments_fit(TESTS[node.name], args, ()):
            raise SyntaxProblem("filter-arguments", f'the test "{node.name}" {problem}', at, 2)
        return syntax.Tested(of, node.name, args, at)

    def arguments(
        self, node: nodes.Filter | nodes.Test
    ) -> tuple[tuple[Expression, ...], tuple[tuple[str, Expression], ...]]:
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            _refuse("* and ** for arguments", node.lineno, node.name)
        args = tuple(map(self.expression, node.args))
        return args, tuple((str(keyword.key), self.expression(keyword.value)) for keyword in node.kwargs)

    def checked_name(self, name: str, at: int) -> None:
        if name.startswith("_"):
            _refuse(f'"{name}" (a name beginning with "_")', at, name)

    def refused(self, node: nodes.Node) -> NoReturn:
        at = node.lineno
        match node:
            case nodes.Call():
                name = node.node.name if isinstance(node.node, nodes.Name) else None
                help = (
                    f"write `x | {name}`, a filter" if name and name in FILTERS else "YAML coordinates; a tool computes"
                )
                _refuse("a call", at, "(", help)
            case nodes.Pow():
                _refuse("**", at, "x", "a tool computes")
            case nodes.Dict():
                _refuse("a mapping", at, "{", "write the mapping in YAML, with templates inside")
            case nodes.Tuple():
                _refuse("several values with commas", at, "x", "a list is written [a, b]")
        _refuse("this", at, "x")


def _refuse(what: str, at: int, text: str, help: str | None = None) -> NoReturn:
    raise SyntaxProblem("not-allowed-in-template", f"{what} is not allowed in a template", at, len(text.strip()), help)


def _too_complex(at: int) -> SyntaxProblem:
    return SyntaxProblem("template-too-complex", "this is nested too deep, or too long", at)


def _sentence(message: str | None) -> str:
    text = (message or "this is no template").strip().rstrip(".")
    if (unclosed := re.search(r"block that needs to be closed is '(\w+)'", text)) is not None:
        return f"a {{% {unclosed[1]} %}} is not closed by {{% end{unclosed[1]} %}}"
    if "'end of print statement'" in text:
        return text[:1].lower() + text[1:].replace("'end of print statement'", '"}}"')
    return text[:1].lower() + text[1:200]


def _nearest(name: str, known: object) -> str | None:
    from difflib import get_close_matches

    found = get_close_matches(name[:50], list(known), n=1, cutoff=0.6)  # type: ignore[call-overload]
    return f'did you mean "{found[0]}"?' if found else None
