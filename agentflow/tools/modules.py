"""Modules of Python as text: found without importing anything, and what is defined in them."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Imported:
    """`from module import name as alias`, or `import module` where name is None."""

    module: str
    name: str | None


Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | Imported | ast.expr


@dataclass(frozen=True)
class Module:
    name: str
    path: Path
    names: dict[str, Definition]
    stars: tuple[str, ...]  # modules of which everything is imported

    @property
    def package(self) -> str:
        return _package(self.name, self.path)


class Unreadable(Exception):
    """A module that is there, but cannot be read; says why."""


def find(name: str, root: Path) -> Path | None:
    """The file of a module: in the project, else on Python's path."""
    parts = name.split(".")
    for folder in (str(root), *sys.path):
        base = Path(folder or ".", *parts)
        for candidate in (base.with_name(base.name + ".py"), base / "__init__.py"):
            if candidate.is_file():
                return candidate
    return None


def load(name: str, root: Path) -> Module | None:
    """The module, read once for each state of its file; None if there is none. Raises Unreadable."""
    path = find(name, root)
    if path is None:
        return None
    try:
        stat = path.stat()
        return _load(name, path, stat.st_mtime_ns, stat.st_size)
    except SyntaxError as error:
        raise Unreadable(f"{path.name} has a syntax error in line {error.lineno}: {error.msg}") from None
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        raise Unreadable(f"{path.name} cannot be read: {error}") from None


@functools.lru_cache(maxsize=256)
def _load(name: str, path: Path, mtime: int, size: int) -> Module:
    tree = ast.parse(path.read_bytes(), str(path))
    package = _package(name, path)
    names: dict[str, Definition] = {}
    stars: list[str] = []
    for statement in _statements(tree.body):
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names[statement.name] = statement
            case ast.Import():
                for alias in statement.names:
                    top = alias.name.partition(".")[0]
                    names[alias.asname or top] = Imported(alias.name if alias.asname else top, None)
            case ast.ImportFrom():
                module = absolute(statement, package)
                for alias in statement.names:
                    if alias.name == "*":
                        stars.append(module)
                    else:
                        names[alias.asname or alias.name] = Imported(module, alias.name)
            case ast.Assign():
                for target in statement.targets:
                    if isinstance(target, ast.Name):
                        names[target.id] = statement.value
            case ast.AnnAssign(target=ast.Name(id=target_name), value=ast.expr() as value):
                names[target_name] = value
            case _:
                pass
    return Module(name, path, names, tuple(stars))


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Those of a module, and of its `if` and `try`."""
    for statement in body:
        if isinstance(statement, ast.If):
            yield from _statements(statement.orelse)
            yield from _statements(statement.body)
        elif isinstance(statement, ast.Try):
            for handler in statement.handlers:
                yield from _statements(handler.body)
            yield from _statements(statement.body)
        else:
            yield statement


def _package(name: str, path: Path) -> str:
    return name if path.name == "__init__.py" else name.rpartition(".")[0]


def absolute(statement: ast.ImportFrom, package: str) -> str:
    """The module that is imported from, by its whole name."""
    if not statement.level:
        return statement.module or ""
    parts = package.split(".")
    base = parts[: len(parts) - statement.level + 1]
    return ".".join([*base, *([statement.module] if statement.module else [])])
