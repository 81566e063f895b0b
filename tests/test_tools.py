"""Functions as tools: what their source tells of parameters and results, without importing anything."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from agentflow.tools.python import Problem, signature
from agentflow.tools.signature import Signature
from agentflow.types import ANY, BOOLEAN, INTEGER, NULL, NUMBER, STRING, Enumeration, ListOf, Nullable, Object, Type


def read(folder: Path, source: str, name: str = "f", **modules: str) -> Signature:
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "__init__.py").touch()
    for module, text in {"m": source, **modules}.items():
        (tools / f"{module}.py").write_text(textwrap.dedent(text), encoding="utf-8")
    found = signature(f"tools.m:{name}", folder)
    assert isinstance(found, Signature), found
    return found


def type_of(folder: Path, annotation: str, before: str = "", **modules: str) -> Type:
    imports = "import enum, datetime\nfrom typing import *\nfrom dataclasses import dataclass, field\n"
    return read(folder, f"{imports}{before}\ndef f(x: {annotation}): ...\n", **modules).parameters[0].type


@pytest.mark.parametrize(
    ("annotation", "type"),
    [
        ("str", STRING),
        ("int", INTEGER),
        ("float", NUMBER),
        ("bool", BOOLEAN),
        ("None", NULL),
        ("Any", ANY),
        ("dict", ANY),
        ("dict[str, int]", ANY),
        ("list", ListOf(ANY)),
        ("list[str]", ListOf(STRING)),
        ("List[int]", ListOf(INTEGER)),
        ("tuple[str, ...]", ListOf(STRING)),
        ("tuple[str, int]", ANY),
        ("str | None", Nullable(STRING)),
        ("Optional[int]", Nullable(INTEGER)),
        ("Union[str, None]", Nullable(STRING)),
        ("str | int", ANY),
        ("'str'", STRING),
        ("Literal['a', 'b']", Enumeration(("a", "b"))),
        ("Literal['a', None]", Nullable(Enumeration(("a",)))),
        ("Literal[1, 2]", INTEGER),
        ("Annotated[str, 'a name']", STRING),
        ("datetime.date", STRING),
        ("Callable[[int], str]", ANY),
        ("no.such.thing", ANY),
    ],
)
def test_annotations_are_types(annotation: str, type: Type, tmp_path: Path) -> None:
    assert type_of(tmp_path, annotation) == type


CLASSES = """
@dataclass
class Point:
    x: int
    name: str = "p"
    tags: list[str] = field(default_factory=list)
    SIZE: ClassVar[int] = 3

class Movie(TypedDict):
    title: str
    year: NotRequired[int]

class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"

class Level(enum.IntEnum):
    LOW = 1

@dataclass
class Node:
    label: str
    next: "Node | None" = None

class Plain:
    x: int
"""


def fields(type: Type) -> dict[str, tuple[Type, bool]]:
    assert isinstance(type, Object)
    return {field.name: (field.type, field.optional) for field in type.fields}


def test_classes_of_the_module_are_objects(tmp_path: Path) -> None:
    assert fields(type_of(tmp_path, "Point", CLASSES)) == {
        "x": (INTEGER, False),
        "name": (STRING, True),
        "tags": (ListOf(STRING), True),
    }
    assert fields(type_of(tmp_path, "Movie", CLASSES)) == {"title": (STRING, False), "year": (Nullable(INTEGER), True)}
    assert type_of(tmp_path, "Color", CLASSES) == Enumeration(("red", "blue"))
    assert type_of(tmp_path, "Level", CLASSES) == INTEGER
    assert type_of(tmp_path, "Plain", CLASSES) == ANY


def test_a_class_within_itself_is_any_there(tmp_path: Path) -> None:
    assert fields(type_of(tmp_path, "Node", CLASSES))["next"] == (ANY, True)


def test_what_a_function_returns_has_all_its_fields(tmp_path: Path) -> None:
    source = "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int = 1\ndef f() -> P: ...\n"
    assert fields(read(tmp_path, source).returns) == {"x": (INTEGER, False)}


def test_pydantic_models_and_inheritance_are_read(tmp_path: Path) -> None:
    source = """
        from pydantic import BaseModel, Field
        class Base(BaseModel):
            id: str
        class Claim(Base):
            amount: float = Field(description="In euros.")
            note: str | None = None
        def f(claim: Claim): ...
    """
    found = read(tmp_path, source).parameters[0].type
    assert fields(found) == {"id": (STRING, False), "amount": (NUMBER, False), "note": (Nullable(STRING), True)}
    assert isinstance(found, Object) and found.fields[1].description == "In euros."


def test_classes_are_followed_into_other_modules_of_the_project(tmp_path: Path) -> None:
    shapes = "from dataclasses import dataclass\n@dataclass\nclass Point:\n    x: int\n"
    assert fields(type_of(tmp_path, "Point", "from tools.shapes import Point", shapes=shapes)) == {
        "x": (INTEGER, False)
    }
    assert fields(type_of(tmp_path, "s.Point", "from . import shapes as s", shapes=shapes)) == {"x": (INTEGER, False)}
    assert fields(type_of(tmp_path, "Point", "from .shapes import Point", shapes=shapes)) == {"x": (INTEGER, False)}


def test_parameters_that_the_caller_does_not_give(tmp_path: Path) -> None:
    source = """
        import restate
        from restate import Context
        async def f(ctx: Context, city: str, idempotency_key: str) -> str: ...
        def g(ctx: restate.Context): ...
        def h(ctx: "restate.Context"): ...
    """
    found = read(tmp_path, source)
    assert [parameter.name for parameter in found.parameters] == ["city"]
    assert (found.keeps_own_journal, found.takes_key, found.is_async) == (True, True, True)
    assert read(tmp_path, source, "g").keeps_own_journal
    assert read(tmp_path, source, "h").keeps_own_journal


def test_docstrings_describe_the_tool_and_its_parameters(tmp_path: Path) -> None:
    source = '''
        from typing import Annotated
        def f(city: str, days: int = 3, unit: Annotated[str, "C or F"] = "C") -> str:
            """Forecasts the weather.

            Only for places on land.

            Args:
                city: The city's name,
                    in English.
                days (int): How many.

            Returns:
                Words.
            """
    '''
    found = read(tmp_path, source)
    assert found.description == "Forecasts the weather.\n\nOnly for places on land."
    assert [parameter.description for parameter in found.parameters] == [
        "The city's name, in English.",
        "How many.",
        "C or F",
    ]
    assert [parameter.required for parameter in found.parameters] == [True, False, False]
    assert found.schema == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "The city's name, in English."},
            "days": {"type": "integer", "description": "How many."},
            "unit": {"type": "string", "description": "C or F"},
        },
        "required": ["city"],
        "additionalProperties": False,
    }


def test_a_default_of_none_makes_a_parameter_nullable(tmp_path: Path) -> None:
    assert read(tmp_path, "def f(x: str = None): ...").parameters[0].type == Nullable(STRING)


def test_keyword_arguments_leave_the_signature_open(tmp_path: Path) -> None:
    assert read(tmp_path, "def f(x: str, **rest): ...").open


def test_what_the_source_does_not_tell_is_open(tmp_path: Path) -> None:
    assert read(tmp_path, "from functools import partial\nf = partial(print)").open
    assert read(tmp_path, "from tools.other import *", other="def f(): ...").open


def test_functions_are_followed_through_imports(tmp_path: Path) -> None:
    found = read(tmp_path, "from tools.other import g as f", other="def g(x: int): ...")
    assert found.parameters[0].type == INTEGER


def test_functions_under_a_condition_are_found(tmp_path: Path) -> None:
    source = "try:\n    import nothing\nexcept ImportError:\n    def f(x: int): ...\n"
    assert read(tmp_path, source).parameters[0].name == "x"


def test_nothing_is_imported(tmp_path: Path) -> None:
    read(tmp_path, "raise SystemExit('imported')\ndef f(): ...")


def test_modules_outside_tools_are_allowed_by_the_project(tmp_path: Path) -> None:
    (tmp_path / "billing").mkdir()
    (tmp_path / "billing" / "__init__.py").write_text("def pay(): ...")
    refused = signature("billing:pay", tmp_path)
    assert isinstance(refused, Problem) and refused.code == "module-not-allowed"
    other = tmp_path / "other"
    (other / "billing").mkdir(parents=True)
    (other / "billing" / "__init__.py").write_text("def pay(): ...")
    (other / "pyproject.toml").write_text('[tool.agentflow]\nmodules = ["billing"]\n')
    assert isinstance(signature("billing:pay", other), Signature)
