"""What is read of an OpenAPI specification: where arguments go, what they are, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agentflow.tools import documents
from agentflow.tools.specification import Operation, Specification, Unsupported
from agentflow.types import ANY, INTEGER, NUMBER, STRING, Enumeration, Field, ListOf, Nullable, Object, Type


def specification(**operation: Any) -> Specification:
    path = operation.pop("path", "/things")
    schemas = operation.pop("schemas", {})
    paths: Any = {path: {"post": {"operationId": "it", **operation}}}
    return Specification({"openapi": "3.1.0", "paths": paths, "components": {"schemas": schemas}})


def read(**operation: Any) -> Operation:
    found = specification(**operation).operation("it", frozenset(["x-given"]))
    assert found is not None
    return found


def body(schema: Any, kind: str = "application/json", **more: Any) -> dict[str, Any]:
    return {"content": {kind: {"schema": schema}}, **more}


@pytest.mark.parametrize(
    ("schema", "type"),
    [
        ({"type": "string"}, STRING),
        ({"type": "integer", "format": "int64"}, INTEGER),
        ({"type": ["number", "null"]}, Nullable(NUMBER)),
        ({"type": "string", "nullable": True}, Nullable(STRING)),
        ({"type": "null"}, ANY),
        ({"enum": ["a", "b"]}, Enumeration(("a", "b"))),
        ({"type": "string", "enum": ["a", None], "nullable": True}, Nullable(Enumeration(("a",)))),
        ({"type": "integer", "enum": [1, 2]}, INTEGER),
        ({"type": "array", "items": {"type": "string"}}, ListOf(STRING)),
        ({"type": "array"}, ListOf(ANY)),
        ({"type": "object"}, ANY),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, Nullable(STRING)),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, ANY),
        ({"$ref": "#/components/schemas/Loop"}, Object((Field("next", Nullable(ANY), True),))),
        ({"allOf": [{"properties": {"a": {"type": "string"}}, "required": ["a"]}], "properties": {"b": {}}},
         Object((Field("a", STRING), Field("b", ANY, True)))),
        ([], ANY),
        (None, ANY),
    ],
)  # fmt: skip
def test_a_schema_is_a_type_as_far_as_the_language_has_it(schema: Any, type: Type) -> None:
    loop = {"properties": {"next": {"anyOf": [{"$ref": "#/components/schemas/Loop"}, {"type": "null"}]}}}
    found = specification(schemas={"Loop": loop}).type(schema)
    assert found == type or (type == Object((Field("next", Nullable(ANY), True),)) and isinstance(found, Object))


def test_arguments_are_parameters_and_the_fields_of_the_body() -> None:
    found = read(
        path="/things/{id}",
        parameters=[
            {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}},
            {"name": "ids", "in": "query", "explode": False, "schema": {"type": "array", "items": {"type": "integer"}}},
            {"name": "deep", "in": "query", "style": "deepObject", "schema": {"type": "object"}},
            {"name": "Authorization", "in": "header", "schema": {"type": "string"}},
            {"name": "X-Given", "in": "header", "required": True, "schema": {"type": "string"}},
            {"name": "session", "in": "cookie", "schema": {"type": "string"}},
        ],
        requestBody=body({"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "n": {}}}),
        responses={"200": {"content": {"application/json": {"schema": {"type": "string"}}}}},
    )
    assert [(p.name, p.required) for p in found.parameters] == [
        ("id", True), ("ids", False), ("session", False), ("name", True), ("n", False),
    ]  # fmt: skip
    assert (found.query, found.header, found.cookie, found.joined) == (("ids",), (), ("session",), ("ids",))
    assert (found.body, found.media, found.returns) == (None, "json", STRING)


def test_a_body_that_cannot_be_taken_apart_is_one_argument() -> None:
    id = {"name": "id", "in": "query", "schema": {"type": "string"}}
    found = read(parameters=[id], requestBody=body({"properties": {"id": {"type": "string"}}}, required=True))
    assert (found.body, [(p.name, p.required) for p in found.parameters]) == ("body", [("id", False), ("body", True)])
    found = read(requestBody=body({"type": "array", "items": {"type": "integer"}}))
    assert [(p.name, p.type) for p in found.parameters] == [("body", Nullable(ListOf(INTEGER)))]
    assert read(requestBody=body({}, "text/plain")).media == "text"
    form = body({"properties": {"a": {"type": "string"}}}, "application/x-www-form-urlencoded")
    assert read(requestBody=form).media == "form"


def test_an_answer_of_several_types_is_any() -> None:
    one = {"content": {"application/json": {"schema": {"type": "string"}}}}
    other = {"content": {"application/json": {"schema": {"type": "integer"}}}}
    assert read(responses={"200": one, "201": one, "404": other}).returns == STRING
    assert read(responses={"200": one, "201": other}).returns == ANY
    assert read(responses={"200": one, "204": {}}).returns == ANY
    assert read(responses={}).returns == ANY


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        ({"requestBody": body({}, "multipart/form-data")}, "its body is of multipart/form-data"),
        ({"requestBody": {"$ref": "other.yaml#/x"}}, "another document"),
        ({"requestBody": {"$ref": "#/nowhere"}}, "which is not there"),
        ({"parameters": [{"name": "a", "in": "query", "required": True, "style": "deepObject", "schema": {}}]}, '"a"'),
        ({"path": "/{id}"}, "its path has {id}"),
        ({"parameters": [{"name": "a", "in": "query", "schema": {}}, {"name": "a", "in": "cookie", "schema": {}}]},
         "two parameters"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused(operation: dict[str, Any], said: str) -> None:
    with pytest.raises(Unsupported, match=said):
        read(**operation)


@pytest.mark.parametrize("document", [None, [], "x", {}, {"openapi": 3}, {"swagger": "2.0"}, {"openapi": "2.0"}])
def test_what_is_no_specification_is_refused(document: Any) -> None:
    with pytest.raises(Unsupported):
        Specification(document)


@pytest.mark.parametrize("paths", [None, [], {"/a": None}, {"/a": {"get": []}}, {"/a": {"get": {"operationId": 5}}}])
def test_a_mangled_specification_has_no_operation(paths: Any) -> None:
    assert Specification({"openapi": "3.0.0", "paths": paths}).operation("it", frozenset()) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "not YAML"),
        ("{", "not JSON"),
        ("a: 1\n---\nb: 2", "several documents"),
        ("[" * 100 + "]" * 100, "nested too deep"),
        ("? [a]\n: 1", "a key in it is no text"),
        ("a: *b", "nothing to stand for"),
        ("a: &a [*a]", "nothing to stand for"),
        ("\xff", "not UTF-8"),
    ],
)
def test_a_document_that_cannot_be_read_says_why(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "document.yaml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(documents.Unreadable, match=said):
        documents.read(file)


def test_a_document_is_read_as_such_documents_are_written(tmp_path: Path) -> None:
    file = tmp_path / "document.yaml"
    file.write_text("a: &x {200: yes, on: 1.0}\nb: [*x, *x]\nc: 2024-01-01\nd: 'true'\ne: null\n")
    shared: Any = {"200": "yes", "on": 1.0}
    assert documents.read(file) == {"a": shared, "b": [shared, shared], "c": "2024-01-01", "d": "true", "e": None}
    bomb = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    file.write_text("\n".join(bomb))
    assert isinstance(documents.read(file), dict)  # shared, not copied
