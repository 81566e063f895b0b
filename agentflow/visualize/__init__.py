"""Pictures of a program: a tree for the terminal, Mermaid, DOT, SVG, PNG, and a page.

All are made of the same IR as the generated module, so that they cannot disagree with it.
"""

from __future__ import annotations

from typing import Final, Literal, assert_never, get_args

from agentflow.ir import Program
from agentflow.visualize.text import Style, text

Format = Literal["text", "mermaid", "dot", "svg", "png", "html"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
SUFFIXES: Final[dict[str, Format]] = {
    ".txt": "text",
    ".mmd": "mermaid",
    ".mermaid": "mermaid",
    ".dot": "dot",
    ".gv": "dot",
    ".svg": "svg",
    ".png": "png",
    ".html": "html",
    ".htm": "html",
}

__all__ = ["FORMATS", "SUFFIXES", "Format", "Style", "render", "text"]


def render(program: Program, format: Format) -> bytes:
    """The whole document, texts as UTF-8; the same program gives the same bytes."""
    if format == "text":
        return text(program).encode()
    from agentflow.visualize.diagram import diagram

    picture = diagram(program)
    match format:
        case "mermaid":
            from agentflow.visualize.mermaid import mermaid

            return mermaid(picture).encode()
        case "dot":
            from agentflow.visualize.dot import dot

            return dot(picture).encode()
        case "svg":
            from agentflow.visualize.svg import svg

            return svg(picture).encode()
        case "png":
            from agentflow.visualize.png import png

            return png(picture)
        case "html":
            from agentflow.visualize.html import html

            return html(picture, program).encode()
        case _:
            assert_never(format)
