"""Annotations of Python as types of the graph language, read from the source alone.

Whatever cannot be followed there is `any`: a tool is never refused because its types are clever.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from agentflow.tools.modules import Imported, Module, Unreadable, load
from agentflow.types import (
    ANY,
    BOOLEAN,
    INTEGER,
    NULL,
    NUMBER,
    STRING,
    Enumeration,
    Field,
    Json,
    ListOf,
    Nullable,
    Object,
    Type,
)

_BUILTIN: dict[str, Type] = {"str": STRING, "int": INTEGER, "float": NUMBER, "bool": BOOLEAN, "None": NULL}
_LISTS = frozenset(
    ["list", "List", "tuple", "Tuple", "set", "Set", "frozenset", "FrozenSet", "Sequence", "Iterable", "Collection"]
)
_WRAPPERS = frozenset(["Annotated", "Required", "NotRequired", "Final", "ReadOnly", "Awaitable"])
_TEXTS = frozenset(["datetime", "date", "time", "UUID", "Decimal"])
_ENUMS = frozenset(["Enum", "StrEnum", "IntEnum", "Flag", "IntFlag"])
CONTEXTS = frozenset(["Context", "ObjectContext", "ObjectSharedContext", "WorkflowContext", "WorkflowSharedContext"])
_DEPTH = 12


@dataclass(frozen=True)
class Annotations:
    """Reads the annotations of one module of a project."""

    module: Module
    root: Path
    given: bool  # a value that Python makes has all its fields; one that is passed in may lack those with a default
    busy: tuple[str, ...] = field(default=())

    def read(self, node: ast.expr | None) -> Type:
        if node is None or len(self.busy) > _DEPTH:
            return ANY
        match node:
            case ast.Constant(value=None):
                return NULL
            case ast.Constant(value=str(text)):
                return self._quoted(text)
            case ast.BinOp(op=ast.BitOr()):
                return self._union(list(_alternatives(node)))
            case ast.Subscript():
                return self._subscript(node)
            case ast.Name() | ast.Attribute():
                return self._name(node)
            case _:
                return ANY

    def dotted(self, node: ast.expr) -> str:
        """The full name that an annotation refers to, imports followed: `restate.Context`."""
        match node:
            case ast.Constant(value=str(text)):
                try:
                    return self.dotted(ast.parse(text, mode="eval").body)
                except (SyntaxError, ValueError, RecursionError):
                    return ""
            case ast.Name():
                found = self.module.names.get(node.id)
                if isinstance(found, Imported):
                    return f"{found.module}.{found.name}" if found.name else found.module
                return node.id
            case ast.Attribute():
                return f"{self.dotted(node.value)}.{node.attr}"
            case ast.Subscript():
                if self.dotted(node.value).rpartition(".")[2] in ("Annotated", "Optional"):
                    inner = node.slice.elts[0] if isinstance(node.slice, ast.Tuple) else node.slice
                    return self.dotted(inner)
                return self.dotted(node.value)
            case _:
                return ""

    def is_context(self, node: ast.expr | None) -> bool:
        name = self.dotted(node) if node is not None else ""
        return name.startswith("restate.") and name.rpartition(".")[2] in CONTEXTS

    def _quoted(self, text: str) -> Type:
        try:
            return self.read(ast.parse(text, mode="eval").body)
        except (SyntaxError, ValueError, RecursionError):
            return ANY

    def _union(self, members: list[ast.expr]) -> Type:
        types = [self.read(member) for member in members]
        rest = list(dict.fromkeys(type for type in types if type != NULL))
        one = rest[0] if len(rest) == 1 else NULL if not rest else ANY
        return Nullable(one) if len(rest) < len(types) and one not in (ANY, NULL) else one

    def _subscript(self, node: ast.Subscript) -> Type:
        name = self.dotted(node.value).rpartition(".")[2]
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if name in _LISTS and inner:
            if name.lower() == "tuple" and not (len(inner) == 2 and _is_ellipsis(inner[1])):
                return ANY
            return ListOf(self.read(inner[0]))
        if name == "Optional":
            return self._union([*inner, ast.Constant(value=None)])
        if name == "Union":
            return self._union(inner)
        if name == "Literal":
            return _literal(inner)
        return self.read(inner[0]) if name in _WRAPPERS and inner else ANY

    def _name(self, node: ast.Name | ast.Attribute) -> Type:
        full = self.dotted(node)
        if isinstance(node, ast.Name) and node.id in _BUILTIN and node.id not in self.module.names:
            return _BUILTIN[node.id]
        last = full.rpartition(".")[2]
        if full in _LISTS and full not in self.module.names:
            return ListOf(ANY)
        if "." in full and last in _TEXTS and full.partition(".")[0] in ("datetime", "uuid", "decimal"):
            return STRING
        if isinstance(node, ast.Name):
            return self._defined(node.id)
        owner, _, attribute = full.rpartition(".")
        return self._in_module(owner, attribute)

    def _defined(self, name: str) -> Type:
        """What a name of this module stands for, as a type."""
        found = self.module.names.get(name)
        key = f"{self.module.name}:{name}"
        if found is None or key in self.busy:
            return ANY
        inner = Annotations(self.module, self.root, self.given, (*self.busy, key))
        if isinstance(found, Imported):
            return inner._in_module(found.module, found.name) if found.name else ANY
        if isinstance(found, ast.ClassDef):
            return inner._class(found)
        return inner.read(found) if isinstance(found, ast.expr) else ANY

    def _in_module(self, module: str, name: str) -> Type:
        if not _of_project(module, self.root):
            return ANY
        try:
            loaded = load(module, self.root)
        except Unreadable:
            return ANY
        return Annotations(loaded, self.root, self.given, self.busy)._defined(name) if loaded else ANY

    def _class(self, node: ast.ClassDef) -> Type:
        bases = {self.dotted(base).rpartition(".")[2] for base in node.bases}
        decorators = {
            self.dotted(d.func if isinstance(d, ast.Call) else d).rpartition(".")[2] for d in node.decorator_list
        }
        if bases & _ENUMS:
            return _enumeration(node)
        inherited = [self.read(base) for base in node.bases if self.dotted(base).rpartition(".")[2] not in _ENUMS]
        parents = [parent for parent in inherited if isinstance(parent, Object)]
        if not (decorators & {"dataclass"} or bases & {"TypedDict", "BaseModel"} or parents):
            return ANY
        typed_dict = "TypedDict" in bases or any(_is_partial(base) for base in node.keywords)
        partial = any(_is_partial(keyword) for keyword in node.keywords)
        fields = {inner.name: inner for parent in parents for inner in parent.fields}
        for statement in node.body:
            if not (isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)):
                continue
            name = statement.target.id
            if self.dotted(statement.annotation).rpartition(".")[2] not in ("ClassVar", "InitVar"):
                fields[name] = self._field(name, statement, typed_dict, partial)
        return Object(tuple(fields.values()))

    def _field(self, name: str, statement: ast.AnnAssign, typed_dict: bool, partial: bool) -> Field:
        type = self.read(statement.annotation)
        described = _field_description(statement)
        wrapper = self._wrapper(statement.annotation)
        if typed_dict or wrapper in ("Required", "NotRequired"):
            if wrapper == "NotRequired" or (partial and wrapper != "Required"):
                absent = type if isinstance(type, Nullable) or type == ANY else Nullable(type)
                return Field(name, absent, True, described)
            return Field(name, type, False, described)
        has_default = statement.value is not None and not _required_call(statement.value)
        if not has_default or self.given:
            return Field(name, type, False, described)
        found, value = _constant(statement.value)
        return Field(name, type, True, described, value if found else None, found)

    def _wrapper(self, node: ast.expr) -> str:
        return self.dotted(node.value).rpartition(".")[2] if isinstance(node, ast.Subscript) else ""


def _alternatives(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        yield from _alternatives(node.left)
        yield from _alternatives(node.right)
    else:
        yield node


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


def _literal(members: list[ast.expr]) -> Type:
    values = [member.value for member in members if isinstance(member, ast.Constant)]
    words = [value for value in values if isinstance(value, str)]
    if len(values) < len(members):
        return ANY
    if words and len(words) == len(values):
        return Enumeration(tuple(words))
    if words and len(words) + 1 == len(values) and None in values:
        return Nullable(Enumeration(tuple(words)))
    if values and all(isinstance(value, bool) for value in values):
        return BOOLEAN
    return INTEGER if values and all(type(value) is int for value in values) else ANY


def _enumeration(node: ast.ClassDef) -> Type:
    values: list[Json] = []
    for statement in node.body:
        if isinstance(statement, ast.Assign):
            found, value = _constant(statement.value)
            if not found:
                return ANY
            values.append(value)
    words = tuple(value for value in values if isinstance(value, str))
    if words and len(words) == len(values):
        return Enumeration(words)
    return INTEGER if values and all(type(value) is int for value in values) else ANY


def _constant(node: ast.expr | None) -> tuple[bool, Json]:
    """Whether an expression is a constant of JSON's, and which."""
    if node is None:
        return False, None
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False, None
    simple = value is None or isinstance(value, str | int | float | bool)
    return (True, value) if simple else (False, None)


def _is_partial(keyword: ast.keyword) -> bool:
    return keyword.arg == "total" and isinstance(keyword.value, ast.Constant) and keyword.value.value is False


def _required_call(node: ast.expr) -> bool:
    """`field()` and `Field(...)` without a default."""
    if not isinstance(node, ast.Call):
        return False
    if any(keyword.arg in ("default", "default_factory") for keyword in node.keywords):
        return False
    return not node.args or _is_ellipsis(node.args[0])


def _field_description(statement: ast.AnnAssign) -> str | None:
    """`Field(description="...")`, as the value or within `Annotated`; or a bare text within `Annotated`."""
    calls = [node for node in (statement.value, *annotated_extras(statement.annotation)) if node is not None]
    return next((text for node in calls if (text := described_by(node))), None)


def annotated_extras(node: ast.expr | None) -> list[ast.expr]:
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple):
        name = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
        return node.slice.elts[1:] if name == "Annotated" else []
    return []


def described_by(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Call):
        for keyword in node.keywords:
            if keyword.arg == "description" and isinstance(keyword.value, ast.Constant):
                return keyword.value.value if isinstance(keyword.value.value, str) else None
    return None


def _of_project(module: str, root: Path) -> bool:
    """Only modules of the project itself are followed: a library's types are its own affair."""
    base = Path(root, *module.split("."))
    return base.with_name(base.name + ".py").is_file() or (base / "__init__.py").is_file()
