"""Every format draws every program, is well formed whatever the graph says, and is the same each time."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest

from agentflow.ir import Program
from agentflow.visualize import FORMATS, Format, Style, render, text
from agentflow.visualize.diagram import diagram
from agentflow.visualize.png import png
from agentflow.visualize.svg import svg
from tests.visualize import drawn

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"
SHAPES = {"svg", "g", "rect", "path", "text", "title"}
NODE = re.compile(r'n\d+(\(\[|\{\{|\[\[|[\[({])"[^"]*"(\]\)|\}\}|\]\]|[\])}]):::k_[a-z]+')
EDGE = re.compile(r'n\d+ <?(-->|-\.->)(\|"[^"]*"\|)? n\d+')
OTHER = re.compile(
    r'flowchart TB|---|title: \w+|subgraph n\d+\["[^"]*"\]|end|class n\d+ k_[a-z]+'
    r"|classDef k_[a-z]+ fill:#\w{6},stroke:#\w{6},color:#\w{6}|linkStyle [\d,]+ stroke:#\w{6}"
)

programs = pytest.mark.parametrize("made", drawn.ALL.values(), ids=drawn.ALL)


@programs
@pytest.mark.parametrize("format", FORMATS)
def test_a_format_draws_a_program_the_same_each_time(made: Callable[[], Program], format: Format) -> None:
    assert render(made(), format) == render(made(), format) != b""


@pytest.mark.parametrize("seed", ["1", "2"])
def test_pictures_do_not_depend_on_the_process(seed: str) -> None:
    code = (
        "import hashlib; from agentflow.visualize import *; from tests.visualize import drawn\n"
        "print([hashlib.sha256(render(p(), f)).hexdigest() for p in drawn.ALL.values() for f in FORMATS])"
    )
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
    told = [
        subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60, check=True)
        for env in (environment, {**environment, "PYTHONHASHSEED": "0"})
    ]
    assert told[0].stdout == told[1].stdout


@programs
def test_svg_is_plain_shapes_only(made: Callable[[], Program]) -> None:
    root = ElementTree.fromstring(render(made(), "svg"))
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == SHAPES
    names = {name for element in root.iter() for name in element.attrib}
    assert not [name for name in names if name.startswith("on") or "href" in name]


@programs
def test_html_needs_no_network_and_no_script(made: Callable[[], Program]) -> None:
    page = render(made(), "html").decode()
    root = ElementTree.fromstring(page.removeprefix("<!DOCTYPE html>\n"))
    tags = {element.tag for element in root.iter()}
    assert not tags & {"script", "link", "img", "iframe", f"{SVG}script", f"{SVG}image", f"{SVG}foreignObject"}
    values = [value for element in root.iter() for name, value in element.attrib.items() if name != "content"]
    assert not [value for value in values if "http" in value or "javascript" in value]
    assert "default-src 'none'" in page


@programs
def test_every_line_of_mermaid_is_one_statement(made: Callable[[], Program]) -> None:
    for line in render(made(), "mermaid").decode().splitlines():
        assert any(form.fullmatch(line.strip()) for form in (NODE, EDGE, OTHER)), line


@programs
def test_dot_strings_are_closed(made: Callable[[], Program]) -> None:
    written = render(made(), "dot").decode()
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', "S", written)
    assert '"' not in bare and "alert" not in bare and "script" not in bare
    assert bare.count("{") == bare.count("}") and bare.count("[") == bare.count("]")


@programs
def test_the_tree_has_nothing_that_a_terminal_obeys(made: Callable[[], Program]) -> None:
    for style in (Style(), Style(unicode=False, width=60)):
        tree = text(made(), style)
        assert all(line.isprintable() for line in tree.splitlines())
        assert "\x1b" not in tree and "\u202e" not in tree


def test_a_picture_says_the_whole_condition_on_hovering() -> None:
    root = ElementTree.fromstring(render(drawn.claim(), "svg"))
    titles = [title.text for title in root.iter(f"{SVG}title")]
    assert 'decide.decision == "pay" and (sign_off is skipped or sign_off.approved)' in titles
    assert any(title and title.startswith("sign_off (approval, line 40)\nafter decide\n") for title in titles)


def test_text_is_drawn_where_there_are_no_fonts() -> None:
    from resvg_py import svg_to_bytes

    drawing = svg(diagram(drawn.claim()))
    blank = svg_to_bytes(svg_string=re.sub("<text.*?</text>", "", drawing), zoom=2.0, skip_system_fonts=True)
    whole = png(diagram(drawn.claim()))
    assert len(whole) > 3 * len(blank)


def test_png_has_twice_the_size_of_the_svg() -> None:
    data = png(diagram(drawn.claim()))
    root = ElementTree.fromstring(svg(diagram(drawn.claim())))
    assert data.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", data[16:24])
    assert abs(width - 2 * float(root.attrib["width"])) <= 2 and abs(height - 2 * float(root.attrib["height"])) <= 2


@pytest.mark.parametrize(
    ("name", "format"), [(n, f) for n in ("claim", "support", "nested") for f in ("text", "mermaid", "dot")]
)
def test_golden(name: str, format: Format) -> None:
    golden = Path(__file__).parent / "golden" / f"{name}.{format}"
    now = render(drawn.ALL[name](), format).decode()
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(now, encoding="utf-8")
    assert now == golden.read_text(encoding="utf-8")
