"""The everyday part of the template language, read without Jinja: ten times as fast, and no import.

Paths, words, numbers, comparisons, `and or not`, inline `if`, filters and tests with plain arguments. Whatever else
there is, and whatever is wrong, makes it give up: then `agentflow.jinja` reads the text, and says what is wrong.
Both make the same trees; a property test holds them together.
"""

from __future__ import annotations

import re

from agentflow.filters import FILTERS, NAMES_A_TEST, TESTS, arguments_fit
from agentflow.syntax import (
    MARKS,
    Attr,
    Binary,
    Branch,
    Compare,
    Concat,
    Const,
    Data,
    Expression,
    Filtered,
    Inline,
    Item,
    ListLiteral,
    Logic,
    Name,
    Not,
    Part,
    Show,
    Template,
    Tested,
    start_of,
)

MOST_TOKENS = 90  # so that no tree is deeper than Jinja's reader allows
MOST_BRACKETS = 16  # open at once: each costs the reader a dozen frames
DEEPEST_BRANCH = 5
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<name>[A-Za-z][A-Za-z0-9_]*)
    | (?P<text>'[^'\\\r\n]*'|"[^"\\\r\n]*")
    | (?P<float>[0-9]{1,9}\.[0-9]{1,9}(?![\w.]))
    | (?P<int>(?:0|[1-9][0-9]{0,15})(?![\w.]))
    | (?P<end>\}\}|%\})
    | (?P<op>==|!=|<=|>=|//|[<>+\-*/%~()\[\],|.])
    )""",
    re.VERBOSE | re.ASCII,
)
_REFERENCE = re.compile(r"\{\{\s*([A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*)*)\s*\}\}", re.ASCII)
_STATEMENT = re.compile(r"\{%\s*(if|elif|else|endif)\b", re.ASCII)
_STATEMENT_END = re.compile(r"\s*%\}", re.ASCII)
_NOT_SPACE = re.compile(r"\S")
_CONSTANTS = {"true": True, "True": True, "false": False, "False": False, "none": None, "None": None}
_KEYWORDS = frozenset({"and", "or", "not", "in", "is", "if", "else", "elif", "for", "recursive"})
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
_BRACKETS = {"(": 1, "[": 1, ")": -1, "]": -1}
_AFTER_TEST = frozenset({"and", "or", "else"})


class _GiveUp(Exception):
    """This takes the whole parser."""


def expression(text: str) -> Expression | None:
    """An expression without braces."""
    try:
        reader = _Reader(text, 0)
        found = reader.inline()
        return found if reader.kind == "" else None
    except _GiveUp:
        return None


def template(text: str) -> Template | None:
    try:
        parts, word, _ = _parts(text, 0, 0)
    except _GiveUp:
        return None
    return None if word else Template(parts)


def _parts(text: str, position: int, depth: int) -> tuple[tuple[Part, ...], str, int]:
    """What stands before the end, or before an `elif`, `else` or `endif`: that word too, and the place behind it."""
    parts: list[Part] = []
    while (mark := MARKS.search(text, position)) is not None:
        begin = mark.start()
        if begin > position:
            parts.append(Data(text[position:begin]))
        if text[begin + 1] == "{":
            shown, position = _shown(text, begin)
            parts.append(Show(shown))
            continue
        statement = _STATEMENT.match(text, begin)
        if statement is None:
            raise _GiveUp
        if statement[1] != "if":
            return tuple(parts), statement[1], statement.end()
        branch, position = _branch(text, statement.end(), depth + 1)
        parts.append(branch)
    if position < len(text):
        parts.append(Data(text[position:]))
    return tuple(parts), "", len(text)


def _shown(text: str, begin: int) -> tuple[Expression, int]:
    """`{{ expression }}`, and the place behind it."""
    plain = _REFERENCE.match(text, begin)
    if plain is not None and (path := _path(plain[1], plain.start(1))) is not None:
        return path, plain.end()
    reader = _Reader(text, begin + 2, "}}")
    found = reader.inline()
    if not reader.ended:
        raise _GiveUp
    return found, reader.position


def _branch(text: str, position: int, depth: int) -> tuple[Branch, int]:
    """From behind the word `if` to behind its `endif`."""
    if depth > DEEPEST_BRANCH:
        raise _GiveUp
    tests: list[tuple[Expression, tuple[Part, ...]]] = []
    other: tuple[Part, ...] = ()
    word = "if"
    while word in ("if", "elif"):
        reader = _Reader(text, position, "%}")
        test = reader.either()
        if not reader.ended:
            raise _GiveUp
        body, word, position = _parts(text, reader.position, depth)
        tests.append((test, body))
    if word == "else":
        other, word, position = _parts(text, _closed(text, position), depth)
    if word != "endif":
        raise _GiveUp
    return Branch(tuple(tests), other), _closed(text, position)


def _closed(text: str, position: int) -> int:
    end = _STATEMENT_END.match(text, position)
    if end is None:
        raise _GiveUp
    return end.end()


def _path(dotted: str, at: int) -> Expression | None:
    first, *attrs = dotted.split(".")
    if first in _CONSTANTS or first in _KEYWORDS or len(attrs) > MOST_TOKENS // 2:
        return None
    path: Expression = Name(first, at)
    for attr in attrs:
        at += len(first) + 1
        path, first = Attr(path, attr, at), attr
    return path


class _Reader:
    """One expression: `kind` and `word` are the token in hand, `at` is its place, `position` is behind it."""

    def __init__(self, text: str, position: int, closing: str = "") -> None:
        self.source = text
        self.position = position
        self.closing = closing
        self.count = 0
        self.brackets = 0  # that are open
        self.ended = False  # at `closing`
        self.next()

    def next(self) -> None:
        found = _TOKEN.match(self.source, self.position)
        if found is None:
            if _NOT_SPACE.search(self.source, self.position):
                raise _GiveUp
            self.kind = self.word = ""
            return
        self.count += 1
        self.kind = found.lastgroup or ""
        self.word = found[self.kind]
        if self.word in _BRACKETS and self.kind == "op":
            self.brackets += _BRACKETS[self.word]
        if self.count > MOST_TOKENS or self.brackets > MOST_BRACKETS:
            raise _GiveUp
        self.at = found.start(self.kind)
        self.position = found.end()
        if self.kind == "end":
            if self.word != self.closing:
                raise _GiveUp
            self.kind, self.word, self.ended = "", "", True

    def takes(self, word: str) -> bool:
        """Whether the token is this keyword or operator; then it is passed."""
        if self.word == word and self.kind != "text":
            self.next()
            return True
        return False

    def expect(self, word: str) -> None:
        if not self.takes(word):
            raise _GiveUp

    # ------------------------------------------------------------ from the loosest to the tightest

    def inline(self) -> Expression:
        then = self.either()
        while self.takes("if"):
            test = self.either()
            other = self.inline() if self.takes("else") else None
            then = Inline(test, then, other, start_of(then))
        return then

    def either(self) -> Expression:
        left = self.both()
        while self.takes("or"):
            left = Logic("or", left, self.both(), start_of(left))
        return left

    def both(self) -> Expression:
        left = self.negated()
        while self.takes("and"):
            left = Logic("and", left, self.negated(), start_of(left))
        return left

    def negated(self) -> Expression:
        at = self.at if self.kind else 0
        return Not(self.negated(), at) if self.takes("not") else self.compared()

    def compared(self) -> Expression:
        first = self.added()
        rest: list[tuple[str, Expression]] = []
        while True:
            op = self.word
            if (self.kind == "op" and op in _COMPARISONS) or (self.kind == "name" and op == "in"):
                self.next()
            elif self.kind == "name" and op == "not":
                self.next()
                self.expect("in")
                op = "not in"
            else:
                return Compare(first, tuple(rest), start_of(first)) if rest else first
            rest.append((op, self.added()))

    def added(self) -> Expression:
        left = self.joined()
        while self.kind == "op" and self.word in ("+", "-"):
            op = self.word
            self.next()
            left = Binary(op, left, self.joined(), start_of(left))
        return left

    def joined(self) -> Expression:
        parts = [self.multiplied()]
        while self.takes("~"):
            parts.append(self.multiplied())
        return Concat(tuple(parts), start_of(parts[0])) if len(parts) > 1 else parts[0]

    def multiplied(self) -> Expression:
        left = self.filtered()
        while self.kind == "op" and self.word in ("*", "/", "//", "%"):
            op = self.word
            self.next()
            left = Binary(op, left, self.filtered(), start_of(left))
        return left

    def filtered(self) -> Expression:
        found = self.subscripted()
        while True:
            if self.takes("|"):
                found = self.filter(found)
            elif self.kind == "name" and self.word == "is":
                found = self.test(found)
            elif self.word == "(" and self.kind == "op":
                raise _GiveUp  # a call
            else:
                return found

    def filter(self, of: Expression) -> Expression:
        name, at = self.word, self.at
        if self.kind != "name" or name not in FILTERS or name in NAMES_A_TEST:
            raise _GiveUp
        self.next()
        args: tuple[Expression, ...] = ()
        if self.takes("("):
            args = tuple(self.listed(")"))
        if arguments_fit(FILTERS[name], args, ()):
            raise _GiveUp
        return Filtered(of, name, args, (), at)

    def test(self, of: Expression) -> Expression:
        at = self.at
        self.next()
        negated = self.takes("not")
        name = self.word
        if self.kind != "name" or name not in TESTS or arguments_fit(TESTS[name], (), ()):
            raise _GiveUp
        if name in ("skipped", "failed") and not isinstance(of, Name):
            raise _GiveUp
        self.next()
        if self.kind and (self.kind != "op" or self.word in ("(", "[", ".")) and self.word not in _AFTER_TEST:
            raise _GiveUp  # an argument
        if self.kind == "text" or self.word == "|":
            raise _GiveUp
        found = Tested(of, name, (), at)
        return Not(found, at) if negated else found

    def subscripted(self) -> Expression:
        found = self.primary()
        while self.kind == "op":
            if self.word == ".":
                self.next()
                if self.kind != "name":
                    raise _GiveUp
                found = Attr(found, self.word, self.at)
                self.next()
            elif self.word == "[":
                at = self.at
                self.next()
                found = Item(found, self.inline(), at)
                self.expect("]")
            else:
                break
        return found

    def primary(self) -> Expression:
        kind, word, at = self.kind, self.word, self.at if self.kind else 0
        if not kind:
            raise _GiveUp
        self.next()
        match kind:
            case "name" if word in _CONSTANTS:
                return Const(_CONSTANTS[word], at)
            case "name" if word not in _KEYWORDS:
                return Name(word, at)
            case "text" if self.kind != "text":
                return Const(word[1:-1], at)
            case "int":
                return Const(int(word), at)
            case "float":
                return Const(float(word), at)
            case "op" if word == "(":
                inside = self.inline()
                self.expect(")")
                return inside
            case "op" if word == "[":
                return ListLiteral(tuple(self.listed("]")), at)
        raise _GiveUp

    def listed(self, end: str) -> list[Expression]:
        found: list[Expression] = []
        while not self.takes(end):
            if found:
                self.expect(",")
            found.append(self.inline())
        return found
