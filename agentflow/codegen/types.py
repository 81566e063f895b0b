"""The language's types as Python: annotations, and a class for each object."""

from __future__ import annotations

import keyword
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import assert_never

from agentflow import types as t
from agentflow.codegen.names import Names, class_name, identifier
from agentflow.codegen.writer import Call, Writer, broken, literal

_PRIMITIVES = {
    "string": "str",
    "integer": "int",
    "number": "af.Number",
    "boolean": "bool",
    "any": "Any",
    "null": "None",
}
# Attributes of pydantic's BaseModel that a field would hide: such a field gets another Python name and an alias.
_HIDDEN = {
    "construct", "copy", "dict", "from_orm", "json", "parse_file", "parse_obj", "parse_raw", "schema", "schema_json",
    "update_forward_refs", "validate",
}  # fmt: skip


@dataclass
class Types:
    """Turns types into annotations, and keeps the classes that it needs in the order in which they are needed."""

    names: Names
    imports: set[str] = field(default_factory=set)  # of `typing`
    modules: set[str] = field(default_factory=set)  # the user's
    named: dict[str, str] = field(default_factory=dict)  # the language's name to Python's
    classes: list[list[str]] = field(default_factory=list)

    def declare(self, definitions: Sequence[tuple[str, t.Type]]) -> None:
        """The graph's `types`: objects as classes, the rest as aliases after what they are made of."""
        for name, _ in definitions:
            self.named[name] = self.names.take(name)
        self._pending = {name: type_ for name, type_ in definitions if not isinstance(type_, t.Object)}
        for name, type_ in definitions:
            if isinstance(type_, t.Object):
                self._class(self.named[name], type_)
            else:
                self._alias(name)

    def _alias(self, name: str) -> None:
        type_ = self._pending.pop(name, None)
        if type_ is not None:
            annotation = self.annotation(type_, name)
            self.classes.append([f"{self.named[name]} = {annotation}"])

    def annotation(self, type_: t.Type, *context: str) -> str:
        """A Python annotation. `context` are the words that name an object that has no name of its own."""
        match type_:
            case t.Primitive(name):
                if name == "any":
                    self.imports.add("Any")
                return _PRIMITIVES[name]
            case t.ListOf(of):
                return f"list[{self.annotation(of, *context, 'item')}]"
            case t.Nullable(of):
                return f"{self.annotation(of, *context)} | None"
            case t.Enumeration(values):
                self.imports.add("Literal")
                return f"Literal[{', '.join(literal(value) for value in values)}]"
            case t.Named(name):
                self._alias(name) if name in getattr(self, "_pending", {}) else None
                return self.named[name]
            case t.Object():
                name = self.names.take(class_name(*context))
                self._class(name, type_)
                return name
            case t.Union(of):
                return " | ".join(self.annotation(one, *context, str(at)) for at, one in enumerate(of, 1))
            case t.JsonSchema(text):
                self.imports |= {"Annotated", "Any"}
                return f"Annotated[Any, af.JsonSchema({literal(text)})]"
            case t.PythonType(reference):
                module, _, attribute = reference.partition(":")
                self.modules.add(module)
                return f"{module}.{attribute}"
            case _:
                assert_never(type_)

    def _class(self, name: str, type_: t.Object) -> None:
        at = len(self.classes)
        taken: set[str] = set()
        writer = Writer().indent()
        for one in type_.fields:
            self._field(writer, name, one, taken)
        body = writer.lines or ["    pass"]
        self.classes.insert(max(at, len(self.classes)), [f"class {name}(af.Type):", *body])

    def _field(self, writer: Writer, owner: str, one: t.Field, taken: set[str]) -> None:
        annotation = self.annotation(one.type, owner, one.name)
        may_be_null = one.optional and (not one.has_default or one.default is None)
        if may_be_null and not isinstance(one.type, t.Nullable):
            annotation += " | None"
        optional = one.optional or isinstance(one.type, t.Nullable)
        name = _attribute(one.name, taken)
        more: list[tuple[str, str]] = []
        if one.has_default:
            more.append(("default", literal(one.default)))
        elif optional:
            more.append(("default", "None"))
        if name != one.name:
            more.append(("alias", literal(one.name)))
        for key, value in (
            ("description", one.description),
            ("ge", one.minimum),
            ("le", one.maximum),
            ("pattern", one.pattern),
            ("max_length", one.max_length),
        ):
            if value is not None:
                more.append((key, literal(value)))
        if not more:
            writer.line(f"{name}: {annotation}")
        elif [key for key, _ in more] == ["default"] and not isinstance(one.default, dict | list):
            writer.line(f"{name}: {annotation} = {more[0][1]}")
        else:
            writer.lines += broken(f"{name}: {annotation} = ", Call("af.Field", more), "", 4)


def _attribute(name: str, taken: set[str]) -> str:
    """The field's Python name, which may not be the language's."""
    usable = name.isascii() and name.isidentifier() and not keyword.iskeyword(name)
    if not usable or name in _HIDDEN or name.startswith(("_", "model_")):
        base = identifier(name) + "_"
    else:
        base = name
    while base in taken:
        base += "_"
    taken.add(base)
    return base
