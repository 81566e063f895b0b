"""An OpenAPI 3 specification: its operations, what each takes and gives, and where an argument goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from agentflow.diagnostics import quoted
from agentflow.tools.signature import Parameter
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

METHODS = ("get", "post", "put", "patch", "delete")
_PRIMITIVES: dict[str, Type] = {"string": STRING, "integer": INTEGER, "number": NUMBER, "boolean": BOOLEAN}
_IGNORED = frozenset(["accept", "content-type", "authorization"])  # as the standard says: they are headers of the call
_DEPTH = 10


class Unsupported(Exception):
    """Something that an operation needs and that is not understood; says what."""


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    description: str | None
    parameters: tuple[Parameter, ...]
    query: tuple[str, ...]
    header: tuple[str, ...]
    cookie: tuple[str, ...]
    joined: tuple[str, ...]
    body: str | None
    media: Literal["json", "form", "text"]
    returns: Type


class Specification:
    """Raises Unsupported where the document is none of OpenAPI 3."""

    def __init__(self, document: Json) -> None:
        if not isinstance(document, dict) or not str(document.get("openapi", "")).startswith("3."):
            version = document.get("swagger") if isinstance(document, dict) else None
            raise Unsupported(f"it is of Swagger {version}, and not of OpenAPI 3" if version else "it is no OpenAPI 3")
        self.document = document

    @property
    def server(self) -> str | None:
        """The first server's address, where it is a whole one."""
        servers = self.document.get("servers")
        first = servers[0] if isinstance(servers, list) and servers else None
        url = first.get("url") if isinstance(first, dict) else None
        whole = isinstance(url, str) and url.startswith(("http://", "https://")) and "{" not in url
        return url if whole and isinstance(url, str) else None

    def names(self) -> list[str]:
        return [str(found["operationId"]) for *_, found in self._all() if "operationId" in found]

    def _all(self) -> Iterator[tuple[str, str, dict[str, Json], dict[str, Json]]]:
        paths = self._mapping(self.document.get("paths"))
        for path, item in paths.items():
            item = self._mapping(item)
            for method in METHODS:
                if isinstance(operation := item.get(method), dict):
                    yield method, path, item, operation

    def operation(self, name: str, given: frozenset[str]) -> Operation | None:
        """The operation of that id; None if there is none. `given`: headers, in small letters, that are sent anyway."""
        found = [each for each in self._all() if each[3].get("operationId") == name]
        if not found:
            return None
        if len(found) > 1:
            raise Unsupported(f"{len(found)} operations are called {quoted(name)}")
        return self._operation(*found[0], given)

    def _operation(
        self, method: str, path: str, item: dict[str, Json], operation: dict[str, Json], given: frozenset[str]
    ) -> Operation:
        parameters: list[Parameter] = []
        places: dict[str, list[str]] = {"path": [], "query": [], "header": [], "cookie": []}
        joined: list[str] = []
        for (where, name), parameter in self._parameters(item, operation).items():
            if where == "header" and name.lower() in {*_IGNORED, *given}:
                continue
            required = parameter.get("required") is True or where == "path"
            type = self._parameter_type(parameter)
            if not _is_sendable(where, type, parameter):
                if required:
                    raise Unsupported(f"how the parameter {quoted(name)} is to be written is not supported")
                continue
            if any(name in names for names in places.values()):
                raise Unsupported(f"two parameters are called {quoted(name)}")
            places[where].append(name)
            if where == "query" and isinstance(_bare(type), ListOf) and parameter.get("explode") is False:
                joined.append(name)
            parameters.append(_parameter(name, type, required, parameter.get("description")))
        for name in _placeholders(path):
            if name not in places["path"]:
                raise Unsupported(f"its path has {{{name}}}, and it has no such parameter")
        body, media, fields = self._body(operation, {parameter.name for parameter in parameters})
        return Operation(
            method.upper(),
            path,
            _description(operation),
            (*parameters, *fields),
            tuple(places["query"]),
            tuple(places["header"]),
            tuple(places["cookie"]),
            tuple(joined),
            body,
            media,
            self._returns(operation),
        )

    def _parameters(self, item: dict[str, Json], operation: dict[str, Json]) -> dict[tuple[str, str], dict[str, Json]]:
        """By place and name; those of the operation in the place of those of its path."""
        found: dict[tuple[str, str], dict[str, Json]] = {}
        for source in (item, operation):
            listed = source.get("parameters")
            for data in listed if isinstance(listed, list) else ():
                parameter = self._mapping(data)
                where, name = parameter.get("in"), parameter.get("name")
                if isinstance(name, str) and where in ("path", "query", "header", "cookie"):
                    found[str(where), name] = parameter
        return found

    def _parameter_type(self, parameter: dict[str, Json]) -> Type:
        return self.type(parameter["schema"]) if "schema" in parameter else ANY

    def _body(
        self, operation: dict[str, Json], taken: set[str]
    ) -> tuple[str | None, Literal["json", "form", "text"], list[Parameter]]:
        """The argument that is the whole body, how it is written, and the arguments that a body adds."""
        body = self._mapping(operation.get("requestBody"))
        content = self._mapping(body.get("content"))
        if not content:
            return None, "json", []
        media, schema = self._media(content)
        type = self.type(schema)
        object = _bare(type)
        if isinstance(object, Object) and object.fields and not any(f.name in taken for f in object.fields):
            return None, media, [_parameter(f.name, f.type, not f.optional, f.description) for f in object.fields]
        if "body" in taken:
            raise Unsupported('a parameter is called "body", and its body cannot be taken apart')
        required = body.get("required") is True
        return "body", media, [_parameter("body", type, required, body.get("description"))]

    def _media(self, content: dict[str, Json]) -> tuple[Literal["json", "form", "text"], Json]:
        for kind, data in content.items():
            if _is_json(kind):
                return "json", self._mapping(data).get("schema")
        for kind, data in content.items():
            if kind.startswith("application/x-www-form-urlencoded"):
                return "form", self._mapping(data).get("schema")
            if kind.startswith("text/"):
                return "text", {"type": "string"}
        raise Unsupported(f"its body is of {' or '.join(content)}, which is not supported")

    def _returns(self, operation: dict[str, Json]) -> Type:
        """What it answers when it succeeds; any, where that may be of several types, or is not told."""
        found: list[Type] = []
        for status, data in self._mapping(operation.get("responses")).items():
            if status.startswith("2"):
                content = self._mapping(self._mapping(data).get("content"))
                schemas = [self._mapping(of).get("schema") for kind, of in content.items() if _is_json(kind)]
                found.append(self.type(schemas[0]) if schemas and len(content) == len(schemas) else ANY)
        return found[0] if found and all(type == found[0] for type in found) else ANY

    # ------------------------------------------------------------ schemas

    def type(self, schema: Json, busy: tuple[str, ...] = ()) -> Type:
        """A schema as a type of the language; what the language cannot say is any."""
        if not isinstance(schema, dict) or len(busy) > _DEPTH:
            return ANY
        reference = schema.get("$ref")
        if isinstance(reference, str):
            return ANY if reference in busy else self.type(self._at(reference), (*busy, reference))
        type = self._type(schema, (*busy, ""))
        null = schema.get("nullable") is True or (isinstance(schema.get("type"), list) and "null" in _words(schema))
        return Nullable(type) if null and type != ANY and not isinstance(type, Nullable) and type != NULL else type

    def _type(self, schema: dict[str, Json], busy: tuple[str, ...]) -> Type:
        for key in ("oneOf", "anyOf"):
            if isinstance(several := schema.get(key), list):
                return self._one_of(several, busy)
        if isinstance(every := schema.get("allOf"), list):
            return self._all_of(every, schema, busy)
        words = [word for word in _words(schema) if word != "null"]
        kind = words[0] if len(words) == 1 else "object" if not words and "properties" in schema else ""
        values = schema.get("enum")
        if isinstance(values, list) and kind in ("", "string"):
            texts = tuple(dict.fromkeys(value for value in values if isinstance(value, str)))
            return Enumeration(texts) if texts and all(isinstance(v, str) or v is None for v in values) else ANY
        if kind == "array":
            return ListOf(self.type(schema.get("items"), busy))
        if kind == "object" and isinstance(schema.get("properties"), dict):
            return self._object(schema, busy)
        return _PRIMITIVES.get(kind, ANY)

    def _object(self, schema: dict[str, Json], busy: tuple[str, ...]) -> Type:
        required = schema.get("required")
        needed = required if isinstance(required, list) else []
        fields: list[Field] = []
        for name, data in self._mapping(schema.get("properties")).items():
            type, optional = self.type(data, busy), name not in needed
            if optional and type != ANY and not isinstance(type, Nullable):
                type = Nullable(type)
            about = data.get("description") if isinstance(data, dict) else None
            fields.append(Field(name, type, optional, about if isinstance(about, str) else None))
        return Object(tuple(fields)) if fields else ANY

    def _one_of(self, several: list[Json], busy: tuple[str, ...]) -> Type:
        rest = [each for each in several if not (isinstance(each, dict) and each.get("type") == "null")]
        if len(rest) != 1:
            return ANY
        type = self.type(rest[0], busy)
        return Nullable(type) if len(several) > 1 and type != ANY and not isinstance(type, Nullable) else type

    def _all_of(self, every: list[Json], schema: dict[str, Json], busy: tuple[str, ...]) -> Type:
        parts = [self.type(each, busy) for each in every]
        if "properties" in schema:
            parts.append(self._object(schema, busy))
        if len(parts) == 1:
            return parts[0]
        fields: dict[str, Field] = {}
        for part in parts:
            if not isinstance(part, Object):
                return ANY
            fields |= {field.name: field for field in part.fields}
        return Object(tuple(fields.values()))

    def _mapping(self, data: Json) -> dict[str, Json]:
        """A mapping, or the one that a reference stands for; empty where there is none."""
        seen = 0
        while isinstance(data, dict) and isinstance(reference := data.get("$ref"), str) and seen < _DEPTH:
            data, seen = self._at(reference), seen + 1
        return data if isinstance(data, dict) else {}

    def _at(self, reference: str) -> Json:
        if not reference.startswith("#/"):
            raise Unsupported(f"it refers to another document: {quoted(reference)}")
        here: Json = self.document
        for step in reference[2:].split("/"):
            step = step.replace("~1", "/").replace("~0", "~")
            if isinstance(here, dict) and step in here:
                here = here[step]
            elif isinstance(here, list) and step.isdigit() and int(step) < len(here):
                here = here[int(step)]
            else:
                raise Unsupported(f"it refers to {quoted(reference)}, which is not there")
        return here


def _words(schema: Mapping[str, Json]) -> list[str]:
    kind = schema.get("type")
    words = kind if isinstance(kind, list) else [kind]
    return [word for word in words if isinstance(word, str)]


def _bare(type: Type) -> Type:
    return type.of if isinstance(type, Nullable) else type


def _parameter(name: str, type: Type, required: bool, description: Json) -> Parameter:
    if not required and type != ANY and not isinstance(type, Nullable):
        type = Nullable(type)
    return Parameter(name, type, required, description if isinstance(description, str) else None)


def _is_sendable(where: str, type: Type, parameter: Mapping[str, Json]) -> bool:
    bare = _bare(type)
    style = parameter.get("style")
    if "schema" not in parameter or isinstance(bare, Object):
        return False
    if style not in (None, "simple" if where in ("path", "header") else "form"):
        return False
    return not (where == "path" and isinstance(bare, ListOf))


def _is_json(kind: str) -> bool:
    bare = kind.partition(";")[0].strip().lower()
    return bare == "application/json" or (bare.startswith("application/") and bare.endswith("+json"))


def _placeholders(path: str) -> list[str]:
    return [part.partition("}")[0] for part in path.split("{")[1:]]


def _description(operation: Mapping[str, Json]) -> str | None:
    told = [operation.get("summary"), operation.get("description")]
    texts = [" ".join(text.split()) for text in told if isinstance(text, str) and text.strip()]
    text = " ".join(f"{each.rstrip('.')}." for each in dict.fromkeys(texts))
    return (text if len(text) <= 1000 else f"{text[:997]}...") or None
