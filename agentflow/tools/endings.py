"""Whether a function of Python may end its call for good, as far as its source and the project's can tell.

What is raised but for `ToolError` and `TerminalError` is tried again: where neither is in reach of the function,
each of its failures is. What cannot be followed counts as in reach.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from agentflow.project import allowed_modules
from agentflow.tools.modules import Definition, Imported, Module, Unreadable, absolute, load

_ENDING = frozenset(["ToolError", "TerminalError"])
_OPAQUE = frozenset(["__import__", "eval", "exec", "getattr", "globals", "import_module"])
_OF_THESE = frozenset(["agentflow", "restate"])  # packages whose names may end a call
_TAKEN = frozenset(  # types whose values a call is not refused for, once the graph is checked
    ["Any", "Literal", "None", "Optional", "Union", "bool", "dict", "float", "int", "list", "object", "str", "typing"]
)


def may_end(module: str, function: str, root: Path) -> bool:
    """Whether a call may end for good: it, or what it uses, may raise what ends one, or it may refuse its arguments."""
    try:
        return _Search(root).reaches(module, function) or _refuses(module, function, root)
    except Unreadable:
        return True


class _Search:
    """Follows names through the modules of a project; each definition is looked at once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.allowed = allowed_modules(root)
        self.seen: set[tuple[str, str | None]] = set()

    def reaches(self, name: str, wanted: str | None) -> bool:
        """Whether something in a module, or (None) anything in it, may end a call."""
        if (name, wanted) in self.seen:
            return False
        self.seen.add((name, wanted))
        if name.partition(".")[0] in _OF_THESE or wanted in _ENDING:
            return True
        if not self._of_the_project(name):
            return False
        module = load(name, self.root)
        if module is None or (module.stars and wanted not in module.names):
            return True
        if wanted is None:
            return any(self._in_definition(module, one) for one in module.names.values())
        found = module.names.get(wanted)
        if found is None:
            return self._of_the_project(f"{name}.{wanted}") and self.reaches(f"{name}.{wanted}", None)
        return self._in_definition(module, found)

    def _in_definition(self, module: Module, of: Definition) -> bool:
        if isinstance(of, Imported):
            return self.reaches(of.module, of.name)
        return any(self._named(module, word) for word in _words(of, module))

    def _of_the_project(self, name: str) -> bool:
        mine = any(name == allowed or name.startswith(f"{allowed}.") for allowed in self.allowed)
        return mine or (self.root / name.partition(".")[0]).exists() or (self.root / f"{name}.py").exists()

    def _named(self, module: Module, word: str | Imported) -> bool:
        if isinstance(word, Imported):
            return self.reaches(word.module, word.name)
        if word in _ENDING or word in _OPAQUE:
            return True
        return word in module.names and self.reaches(module.name, word)


def _refuses(module: str, function: str, root: Path) -> bool:
    """Whether a parameter has a type that says more than the graph's types do: what does not fit it ends the call."""
    found = loaded.names.get(function) if (loaded := load(module, root)) is not None else None
    if loaded is None or not isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef):
        return True
    annotations = [argument.annotation for argument in (*found.args.args, *found.args.kwonlyargs)]
    words = [word for one in annotations if one is not None for word in _words(one, loaded)]
    return any(word not in _TAKEN for word in words)


def _words(of: ast.AST, module: Module) -> Iterator[str | Imported]:
    """The names that a definition uses, and what it imports itself."""
    for node in ast.walk(of):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                yield name
            case ast.Import(names=names):
                yield from (Imported(alias.name, None) for alias in names)
            case ast.ImportFrom(names=names):
                yield from (Imported(absolute(node, module.package), alias.name) for alias in names)
            case _:
                pass
