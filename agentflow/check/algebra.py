"""What can be said of types without data: their union, what they have in common, whether one fits another.

Nothing is said of `any`, of whole JSON Schemas and of Python's own classes: they fit everything and have every field.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agentflow.types import (
    ANY,
    INTEGER,
    NULL,
    NUMBER,
    STRING,
    Enumeration,
    Field,
    JsonSchema,
    ListOf,
    Named,
    Nullable,
    Object,
    Primitive,
    PythonType,
    Type,
    Union,
)

NOTHING: Type = Union(())  # of no value at all: the elements of an empty list


def resolved(type: Type, types: Mapping[str, Type]) -> Type:
    """The type itself, where it is a name; null is kept around it."""
    if not isinstance(type, Named | Nullable):
        return type
    seen: set[str] = set()
    while isinstance(type, Named) and type.name not in seen:
        seen.add(type.name)
        type = types.get(type.name, ANY)
    if isinstance(type, Nullable) and isinstance(type.of, Named):
        inner = resolved(type.of, types)
        return inner if isinstance(inner, Nullable) or inner == ANY else Nullable(inner)
    return ANY if isinstance(type, Named) else type


def opaque(type: Type) -> bool:
    """Nothing is known of its values."""
    return type.name == "any" if isinstance(type, Primitive) else isinstance(type, JsonSchema | PythonType)


def may_be_null(type: Type) -> bool:
    """As far as it is known: of `any` it is not."""
    return type.name == "null" if isinstance(type, Primitive) else isinstance(type, Nullable)


def without_null(type: Type) -> Type:
    if isinstance(type, Nullable):
        return type.of
    return NOTHING if isinstance(type, Primitive) and type.name == "null" else type


def nullable(type: Type) -> Type:
    if type in (ANY, NULL) or isinstance(type, Nullable):
        return type
    return NULL if type == NOTHING else Nullable(type)


def union(types: Iterable[Type]) -> Type:
    """One of several types, as narrow as it can be said."""
    flat: list[Type] = []
    null = False
    for type in types:
        null = null or may_be_null(type)
        bare = without_null(type)
        flat += bare.of if isinstance(bare, Union) else (bare,)
    if ANY in flat:
        return ANY
    distinct = _merged(list(dict.fromkeys(flat)))
    bare = distinct[0] if len(distinct) == 1 else Union(tuple(distinct))
    return nullable(bare) if null else bare


def _merged(types: list[Type]) -> list[Type]:
    if STRING in types:
        types = [type for type in types if not isinstance(type, Enumeration)]
    words = [type for type in types if isinstance(type, Enumeration)]
    if len(words) > 1:
        merged = Enumeration(tuple(dict.fromkeys(value for one in words for value in one.values)))
        types = [merged, *(type for type in types if not isinstance(type, Enumeration))]
    if NUMBER in types:
        types = [type for type in types if type != INTEGER]
    lists = [type for type in types if isinstance(type, ListOf)]
    if len(lists) > 1:
        types = [type for type in types if not isinstance(type, ListOf)] + [ListOf(union(one.of for one in lists))]
    return types


def field_of(type: Type, name: str, types: Mapping[str, Type]) -> tuple[Type | None, bool]:
    """The type of a field, and whether every value of the type has it. None: there is no such field."""
    type = without_null(resolved(type, types))
    if opaque(type):
        return ANY, True
    if isinstance(type, Object):
        field = type.field(name)
        return (None, False) if field is None else (resolved(field_type(field), types), True)
    if isinstance(type, Union):
        found = [field_of(one, name, types) for one in type.of]
        known = [one for one, _ in found if one is not None]
        return (union(known) if known else None), len(known) == len(found) and all(sure for _, sure in found)
    return None, False


def field_type(field: Field) -> Type:
    return nullable(field.type) if field.optional and not field.has_default else field.type


def fields_of(type: Type, types: Mapping[str, Type]) -> list[str]:
    type = without_null(resolved(type, types))
    if isinstance(type, Union):
        return list(dict.fromkeys(name for one in type.of for name in fields_of(one, types)))
    return [field.name for field in type.fields] if isinstance(type, Object) else []


def element_of(type: Type, types: Mapping[str, Type]) -> Type | None:
    """The type of what is gone through: a list's elements. None: it is known to have none."""
    type = without_null(resolved(type, types))
    match type:
        case ListOf(of=of):
            return resolved(of, types)
        case Object():
            return STRING
        case Union(of=of):
            found = [element_of(one, types) for one in of]
            return union(one for one in found if one is not None) if any(found) or not of else None
        case Primitive(name="string") | Enumeration():
            return STRING
    return ANY if opaque(type) else None


def is_number(type: Type) -> bool:
    return type in (NUMBER, INTEGER)


def is_text(type: Type) -> bool:
    return type == STRING or isinstance(type, Enumeration)


def apart(left: Type, right: Type, types: Mapping[str, Type]) -> bool:
    """No value is of both types; null is left out of account."""
    if left.__class__ is Primitive and right.__class__ is Primitive:  # most are: sooner than by the general way
        return left != right and _sort(left) != _sort(right) and ANY not in (left, right) and NULL not in (left, right)
    left, right = without_null(resolved(left, types)), without_null(resolved(right, types))
    if left is right:
        return False
    if opaque(left) or opaque(right) or NOTHING in (left, right):
        return False
    if isinstance(left, Union):
        return all(apart(one, right, types) for one in left.of)
    if isinstance(right, Union):
        return all(apart(left, one, types) for one in right.of)
    if isinstance(left, Enumeration) and isinstance(right, Enumeration):
        return not {*left.values} & {*right.values}
    return _sort(left) != _sort(right)


def misfit(actual: Type, expected: Type, types: Mapping[str, Type], where: str = "") -> str | None:
    """Why no value, or not every one, fits what is expected, where that is certain; null is left out of account."""
    actual, expected = without_null(resolved(actual, types)), without_null(resolved(expected, types))
    if actual is expected or opaque(actual) or opaque(expected) or actual == NOTHING:
        return None
    if isinstance(actual, Union):
        return next((why for one in actual.of if (why := misfit(one, expected, types, where))), None)
    if isinstance(expected, Union):
        found = [misfit(actual, one, types, where) for one in expected.of]
        return found[0] if found and all(found) else None
    if isinstance(actual, ListOf) and isinstance(expected, ListOf):
        return misfit(actual.of, expected.of, types, f"{where}[]")
    if isinstance(actual, Object) and isinstance(expected, Object):
        return _object_misfit(actual, expected, types, where)
    if apart(actual, expected, types):
        place = f"{where.lstrip('.')} is " if where else "it is "
        return f"{place}{described(actual)}, and not {described(expected)}"
    return None


def _object_misfit(actual: Object, expected: Object, types: Mapping[str, Type], where: str) -> str | None:
    for field in expected.fields:
        given = actual.field(field.name)
        if given is None:
            if not field.optional:
                return f'it lacks "{f"{where}.{field.name}".lstrip(".")}"'
        elif why := misfit(given.type, field.type, types, f"{where}.{field.name}"):
            return why
    return None


def _sort(type: Type) -> str:
    if isinstance(type, Primitive):
        return "number" if type.name == "integer" else type.name
    return "string" if isinstance(type, Enumeration) else builtin_name(type)


def builtin_name(type: Type) -> str:
    return type.__class__.__name__


def described(type: Type) -> str:
    """A type in the words of a message."""
    match type:
        case Primitive(name=name):
            return {
                "string": "text",
                "integer": "a whole number",
                "number": "a number",
                "boolean": "a boolean",
                "any": "anything",
                "null": "null",
            }[name]
        case Enumeration(values=(one,)):
            return f'"{one}"'
        case Enumeration(values=values):
            return "one of " + ", ".join(values)
        case ListOf():
            return "a list"
        case Object():
            return "an object"
        case Nullable(of=of):
            return f"{described(of)} or null"
        case Union(of=of):
            return " or ".join(dict.fromkeys(map(described, of))) or "nothing"
        case Named(name=name):
            return name
    return "anything"


def truth(type: Type) -> bool | None:
    """Whether all values of a type are true, or none is."""
    if type == NULL:
        return False
    if isinstance(type, Object) and any(not field.optional for field in type.fields):
        return True
    return None
