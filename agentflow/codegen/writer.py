"""Writes Python as ruff formats it: lines, blocks, and expressions that break when they are too long.

What comes from a graph's file reaches the text only through `literal` and `text_block`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agentflow.cells import cells
from agentflow.types import Json

WIDTH = 88  # fits every common line length; what is broken keeps its trailing comma and so stays broken


def literal(value: Json) -> str:
    """A JSON value as a Python expression on one line."""
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, list):
        return "[" + ", ".join(literal(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_string(key)}: {literal(item)}" for key, item in value.items()) + "}"
    return repr(value)


_DAY = 86_400_000
_UNITS = (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))


def duration(ms: int) -> str:
    """Milliseconds as the language writes them, quoted: `"1h30m"`."""
    text = ""
    if ms >= 2 * _DAY:
        text, ms = f"{ms // _DAY}d", ms % _DAY
    for unit, length in _UNITS:
        count, ms = divmod(ms, length)
        text += f"{count}{unit}" if count else ""
    return literal(text or "0s")


_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _string(text: str) -> str:
    quote = "'" if text.count('"') > text.count("'") else '"'
    return quote + "".join(_character(character, quote) for character in text) + quote


def _character(character: str, quote: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character == quote:
        return "\\" + quote
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def plain(text: str) -> bool:
    """Whether a text can stand in a docstring or a comment as it is."""
    return text.isprintable() and not set(text) & {'"', "\\"} and text == text.strip() != ""


@dataclass(frozen=True)
class Call:
    """`function(arguments)`; an argument is an expression, or a name and one."""

    function: str
    arguments: Sequence[Argument]


@dataclass(frozen=True)
class ListOf:
    items: Sequence[Expression]


@dataclass(frozen=True)
class DictOf:
    items: Sequence[tuple[str, Expression]]


Expression = str | Call | ListOf | DictOf
Argument = Expression | tuple[str, Expression]
Arguments = list[Argument]


def data(value: Json) -> Expression:
    """A JSON value as an expression that can be broken."""
    if isinstance(value, list):
        return ListOf([data(item) for item in value])
    if isinstance(value, dict):
        return DictOf([(_string(key), data(item)) for key, item in value.items()])
    return literal(value)


def literals(values: Sequence[str]) -> Expression:
    return ListOf([literal(value) for value in values])


def flat(expression: Expression) -> str:
    match expression:
        case str():
            return expression
        case Call(function, arguments):
            return f"{function}({', '.join(_argument(argument) for argument in arguments)})"
        case ListOf(items):
            return f"[{', '.join(flat(item) for item in items)}]"
        case DictOf(pairs):
            return "{" + ", ".join(f"{key}: {flat(item)}" for key, item in pairs) + "}"


def _argument(argument: Argument) -> str:
    return f"{argument[0]}={flat(argument[1])}" if isinstance(argument, tuple) else flat(argument)


def broken(prefix: str, expression: Expression, suffix: str, indent: int) -> list[str]:
    """`prefix` + expression + `suffix` as lines, on one line if it fits there."""
    pad = " " * indent
    line = f"{pad}{prefix}{flat(expression)}{suffix}"
    if cells(line) <= WIDTH or isinstance(expression, str):
        return [line]
    match expression:
        case Call(function, arguments):
            opening, closing = f"{function}(", ")"
            parts = [(f"{item[0]}=", item[1]) if isinstance(item, tuple) else ("", item) for item in arguments]
        case ListOf(items):
            opening, closing, parts = "[", "]", [("", item) for item in items]
        case DictOf(pairs):
            opening, closing, parts = "{", "}", [(f"{key}: ", item) for key, item in pairs]
    if not parts:
        return [line]
    inner = [line for before, item in parts for line in broken(before, item, ",", indent + 4)]
    return [f"{pad}{prefix}{opening}", *inner, f"{pad}{closing}{suffix}"]


class Writer:
    """Collects lines; `block` indents."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._indent = 0

    def line(self, text: str = "") -> None:
        self.lines.append(" " * self._indent + text if text else "")

    def statement(self, prefix: str, expression: Expression, suffix: str = "") -> None:
        self.lines += broken(prefix, expression, suffix, self._indent)

    def indent(self) -> Writer:
        self._indent += 4
        return self

    def dedent(self) -> Writer:
        self._indent -= 4
        return self

    def gap(self, lines: int = 2) -> None:
        """Exactly so many blank lines before what follows."""
        while self.lines and not self.lines[-1]:
            self.lines.pop()
        self.lines += [""] * lines

    def constant(self, name: str, text: str) -> None:
        """A text as a module's constant: a block of lines where that shows it as it is."""
        whole = literal(text)
        short = f"{name} = {whole}"
        lines = text.split("\n")
        showable = all(line.isprintable() and line == line.rstrip() for line in lines)
        in_block = showable and '"""' not in text and "\\" not in text and not text.endswith('"')
        if "\n" not in text and (cells(short) <= WIDTH or not in_block):
            self.lines += [short] if _on_one_line(short, whole) else [f"{name} = (", f"    {whole}", ")"]
        elif in_block:
            self.line(f'{name} = """\\')
            ended = text.endswith("\n")
            for line in lines[:-1] if ended else lines[:-1]:
                self.lines.append(line)
            self.lines.append('"""' if ended else f'{lines[-1]}"""')
        else:
            parts = [whole] if cells(whole) + 4 <= WIDTH else [literal(part) for part in _pieces(text)]
            if len(parts) == 1 and _on_one_line(short, whole):
                self.line(short)
            else:
                self.lines += [f"{name} = (", *(f"    {part}" for part in parts), ")"]

    def text(self) -> str:
        return "\n".join(self.lines).rstrip("\n") + "\n"


def _on_one_line(line: str, whole: str) -> bool:
    """Whether an assignment is on one line: it fits, or parentheses around its text would not make it fit either."""
    return cells(line) <= WIDTH or cells(whole) + 4 > WIDTH


def _pieces(text: str) -> Iterable[str]:
    return [piece for piece in text.splitlines(keepends=True) if piece]
