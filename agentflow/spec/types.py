"""Types as they are written, read into the values of `agentflow.types`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import unquote

from agentflow.diagnostics import Path, choices_help, quoted
from agentflow.spec.fit import misfit
from agentflow.spec.names import bad_field_name, bad_type_name
from agentflow.spec.reader import Reader, Reading, spaced
from agentflow.types import (
    ANY,
    Enumeration,
    Field,
    Json,
    JsonSchema,
    ListOf,
    Named,
    Nullable,
    Object,
    Primitive,
    PythonType,
    Type,
)

PRIMITIVES: dict[str, Primitive] = {
    "string": Primitive("string"),
    "integer": Primitive("integer"),
    "number": Primitive("number"),
    "boolean": Primitive("boolean"),
    "any": Primitive("any"),
    "null": Primitive("null"),
}
FIELD_KEYS = ("type", "optional", "description", "default", "minimum", "maximum", "pattern", "max_length")
CONSTRAINTS = ("default", "minimum", "maximum", "pattern", "max_length")
FOREIGN = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "object": "any", "dict": "any"}
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+-]*\Z")


def read_type(reading: Reading, path: Path, data: Json) -> Type:
    """The type at a path; `any`, and reported, if it is none."""
    if isinstance(data, str):
        return _words(reading, path, data)
    if isinstance(data, list):
        if len(data) == 1:
            return ListOf(read_type(reading, (*path, 0), data[0]))
        reading.error("bad-type", "a list's type is written with one type in it: [string]", path)
        return ANY
    if data is None:
        return PRIMITIVES["null"]
    if not isinstance(data, dict):
        reading.error("bad-type", f"this is not a type: {quoted(data)}", path)
        return ANY
    return _mapping(reading, path, data)


def read_type_at(reader: Reader, key: str) -> Type | None:
    """The type that a key of a mapping gives; None where it is not given."""
    data = reader.take(key)
    return read_type(reader.reading, reader.at(key), data) if reader.has(key) else None


def read_types(reader: Reader, key: str) -> dict[str, Type]:
    """The graph's own types by name."""
    found: dict[str, Type] = {}
    for name, data in reader.entries(key).items():
        if problem := bad_type_name(name):
            reader.error("bad-name", problem, reader.at(key, name), key=True, help=spaced(name))
        found[name] = read_type(reader.reading, reader.at(key, name), data)
    for name in found:
        if cycle := _cycle(name, found):
            shown = " -> ".join(cycle)
            message = f"the type {quoted(name)} contains itself, so that no value could ever fit it: {shown}"
            help = "make a field on the way optional, or a list"
            reader.error("endless-type", message, reader.at(key, name), key=True, help=help)
    return found


def read_object(reading: Reading, path: Path, data: Json) -> Type:
    """A type that must be an object: `input`."""
    type = read_type(reading, path, data)
    known, types = type, dict(reading.types)
    while isinstance(known, Named):  # taken out, so that a circle ends
        known = types.pop(known.name, ANY)
    if isinstance(known, Object | JsonSchema | PythonType) or known == ANY and not isinstance(data, str):
        return type
    if isinstance(data, str) and known == ANY and data != "any":
        return type
    help = "a field that is called type is written {fields: {type: ...}}" if isinstance(data, dict) else None
    reading.error(
        "bad-type", f"{quoted(path[-1])} must be an object: a mapping of fields, or a type's name", path, help=help
    )
    return Object(())


def _words(reading: Reading, path: Path, text: str) -> Type:
    words = [word.strip() for word in text.split("|")]
    if len(words) == 1:
        return _name(reading, path, words[0])
    rest = [word for word in words if word != "null"]
    nullable = len(rest) < len(words)
    if len(rest) == 1 and nullable and _WORD.match(rest[0]):
        return Nullable(_name(reading, path, rest[0]))
    named = [word for word in rest if word in PRIMITIVES or word in reading.type_names or word in FOREIGN]
    bad = [word for word in rest if not _WORD.match(word)]
    if bad:
        help = "an optional list is written {type: [string], optional: true}" if "[" in text else None
        reading.error("bad-type", f"{quoted(bad[0])} is not a word of an enumeration", path, help=help)
        return ANY
    if named:
        message = f"{quoted(named[0])} is a type, and unions of types are not supported"
        reading.error("bad-type", message, path, help="an enumeration is made of words that name no type")
        return ANY
    if len(set(rest)) < len(rest):
        again = next(word for index, word in enumerate(rest) if word in rest[:index])
        reading.error("bad-type", f"the enumeration has {quoted(again)} twice", path)
    enumeration = Enumeration(tuple(dict.fromkeys(rest)))
    return Nullable(enumeration) if nullable else enumeration


def _name(reading: Reading, path: Path, word: str) -> Type:
    if word in PRIMITIVES:
        return PRIMITIVES[word]
    if word in reading.type_names:
        return Named(word)
    if word == "file":
        reading.error("bad-type", '"file" is reserved: a later version will have files', path)
        return ANY
    help = f"write {FOREIGN[word]}" if word in FOREIGN else None
    help = help or choices_help(word, [*PRIMITIVES, *reading.type_names])
    reading.error("unknown-type", f"there is no type {quoted(word)}", path, help=help)
    return ANY


def _mapping(reading: Reading, path: Path, data: dict[str, Json]) -> Type:
    if set(data) == {"fields"} and isinstance(data["fields"], dict):
        return _object(reading, (*path, "fields"), data["fields"])
    if "schema" in data:
        return _single(reading, path, data, "schema")
    if "python" in data:
        return _single(reading, path, data, "python")
    if "type" not in data:
        return _object(reading, path, data)
    field = read_field(reading, path, "", data)
    given = [key for key in CONSTRAINTS if key in data]
    if given:
        message = f"{quoted(given[0])} belongs to a field, and this is a type by itself"
        reading.error("misplaced-key", message, (*path, given[0]), key=True)
    return field.type


def _single(reading: Reading, path: Path, data: dict[str, Json], key: str) -> Type:
    """`{schema: {...}}` or `{python: "module:Name"}`, with nothing beside it."""
    value = data[key]
    help = f"a field that is called {key} is written {{fields: {{{key}: ...}}}}"
    if len(data) > 1:
        extra = next(other for other in data if other != key)
        reading.error(
            "unknown-key", f"beside {quoted(key)} there is no key {quoted(extra)}", (*path, extra), key=True, help=help
        )
    if key == "schema":
        if isinstance(value, dict):
            _check_schema(reading, (*path, key), value)
            return JsonSchema(json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")))
        reading.wrong((*path, key), "a JSON Schema", value, help)
        return ANY
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", value, re.ASCII):
        return PythonType(value)
    reading.error("bad-reference", "a class of Python is written module:Name", (*path, key), help=help)
    return ANY


def _check_schema(reading: Reading, path: Path, schema: dict[str, Json]) -> None:
    """A JSON Schema is one, and refers to itself only: nothing is fetched when a value is held to it."""
    from jsonschema import Draft202012Validator  # takes a tenth of a second: only where there is such a type

    checker = Draft202012Validator.FORMAT_CHECKER
    validator = Draft202012Validator(Draft202012Validator.META_SCHEMA, format_checker=checker)
    # The outermost problem of a place says least: "is not valid under any of the given schemas".
    wrong = max(validator.iter_errors(schema), key=lambda error: len(error.absolute_path), default=None)
    if wrong is not None:
        place = (*path, *wrong.absolute_path)
        message = wrong.message if len(wrong.message) < 200 else "a part of it cannot stand here"
        reading.error("bad-schema", f"this is no JSON Schema: {message}", place)
        return
    names = dict(_keyed(path, schema, ("$id", "$anchor", "$dynamicAnchor"))).values()
    for place, reference in _keyed(path, schema, ("$ref", "$dynamicRef")):
        if not _is_there(schema, reference) and reference.removeprefix("#") not in names:
            message = f"there is nothing at {quoted(reference)} in this schema"
            help = "a schema refers to parts of itself: #/$defs/Name"
            reading.error("bad-schema", message, place, help=help)


def _keyed(path: Path, schema: Json, keys: Sequence[str]) -> Iterator[tuple[Path, str]]:
    """The texts under these keys, anywhere in a schema."""
    items: Iterable[tuple[str | int, Json]] = ()
    if isinstance(schema, dict):
        items = schema.items()
    elif isinstance(schema, list):
        items = enumerate(schema)
    for key, value in items:
        if key in keys and isinstance(value, str):
            yield (*path, key), value
        elif key not in ("const", "enum", "default", "examples"):
            yield from _keyed((*path, key), value, keys)


def _is_there(schema: Json, reference: str) -> bool:
    if reference == "#":
        return True
    if not reference.startswith("#/"):
        return False
    for step in unquote(reference[2:]).split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(schema, dict) and name in schema:
            schema = schema[name]
        elif isinstance(schema, list) and name.isdecimal() and int(name) < len(schema):
            schema = schema[int(name)]
        else:
            return False
    return isinstance(schema, dict | bool)


def _object(reading: Reading, path: Path, data: dict[str, Json]) -> Object:
    return Object(tuple(read_field(reading, (*path, name), str(name), field) for name, field in data.items()))


def read_field(reading: Reading, path: Path, name: str, data: Json) -> Field:
    """One field: a type, or a field spec, which has `type` among its keys."""
    if name and (problem := bad_field_name(name)):
        reading.error("bad-name", problem, path, key=True, help=spaced(name))
    if not (isinstance(data, dict) and "type" in data):
        type = read_type(reading, path, data)
        return Field(name, type, optional=isinstance(type, Nullable))
    reader = Reader(reading, path, data, f"the field {quoted(name)}" if name else "a type's field spec")
    type = read_type(reading, reader.at("type"), reader.take("type"))
    optional = reader.boolean("optional") or isinstance(type, Nullable)
    description = reader.string("description")
    field = _constraints(reader, name, type, optional, description)
    reader.finish(known=FIELD_KEYS)
    return field


def _constraints(reader: Reader, name: str, type: Type, optional: bool, description: str | None) -> Field:
    bare = type.of if isinstance(type, Nullable) else type
    numeric = bare in (PRIMITIVES["integer"], PRIMITIVES["number"])
    minimum, maximum = reader.number("minimum"), reader.number("maximum")
    pattern, max_length = reader.string("pattern"), reader.integer("max_length", 0)
    unfit = [key for key in ("minimum", "maximum") if reader.has(key) and not numeric]
    unfit += [key for key in ("pattern",) if reader.has(key) and bare != PRIMITIVES["string"]]
    unfit += [
        key
        for key in ("max_length",)
        if reader.has(key) and bare != PRIMITIVES["string"] and not isinstance(bare, ListOf)
    ]
    for key in unfit:
        reader.error("misplaced-key", f"{quoted(key)} has no meaning for this type", reader.at(key), key=True)
    if minimum is not None and maximum is not None and minimum > maximum:
        reader.error("out-of-range", f"the minimum {minimum} is above the maximum {maximum}", reader.at("minimum"))
    if pattern is not None:
        try:
            re.compile(pattern)
        except re.error as problem:
            reader.error("bad-pattern", f"this is not a regular expression: {problem}", reader.at("pattern"))
            pattern = None
    default, has_default = reader.take("default"), reader.has("default")
    if has_default:
        optional = True
        if reason := misfit(default, type):
            reader.error("wrong-type", f"the default does not fit the type: {reason}", reader.at("default"))
    if optional and not has_default and not isinstance(type, Nullable) and type != ANY:
        type = Nullable(type)
    return Field(name, type, optional, description, default, has_default, minimum, maximum, pattern, max_length)


def _cycle(name: str, types: dict[str, Type]) -> list[str] | None:
    """The way from a type back to itself through what it always holds."""
    stack: list[tuple[str, list[str]]] = [(name, [name])]
    seen: set[str] = set()
    while stack:
        current, way = stack.pop()
        for inner in _always(types.get(current, ANY)):
            if inner == name:
                return [*way, name]
            if inner not in seen:
                seen.add(inner)
                stack.append((inner, [*way, inner]))
    return None


def _always(type: Type) -> list[str]:
    if isinstance(type, Named):
        return [type.name]
    if isinstance(type, Nullable):
        return [type.of.name] if isinstance(type.of, Named) else []
    if isinstance(type, Object):
        return [name for field in type.fields if not field.optional for name in _always(field.type)]
    return []
