"""A story of each code: a wrong graph, what is said of it, and the graph mended.

They are cases of the tests, written into `stories.json` by them, so that `agentflow explain` has them where there are
no tests. `docs/checks.md` tells the same of all codes.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files

from agentflow.codes import CODES

FILE = "stories.json"
_HEAD = """# Checks

What `agentflow check` finds, by code: a graph that has the mistake, what is said of it, why, and the graph mended.
`agentflow explain CODE` tells the same. The graphs are cases of the tests, from which this page is made.
"""


@dataclass(frozen=True)
class Story:
    """Texts that end with a line end."""

    wrong: str
    said: str
    mended: str


def stories() -> dict[str, Story]:
    """By code; a code whose mistake no single graph shows has none."""
    read = json.loads(files("agentflow").joinpath(FILE).read_text(encoding="utf-8"))
    return {code: Story(**told) for code, told in read.items()}


def told(code: str, story: Story | None) -> str:
    """The story of a code for a terminal."""
    explanation = CODES[code]
    parts = [f"{code}: {explanation.summary}\n", f"{explanation.text.strip()}\n"]
    if story is not None:
        parts += [f"Wrong:\n\n{_indented(story.wrong)}", f"What is said:\n\n{_indented(story.said)}"]
        parts.append(f"Mended:\n\n{_indented(story.mended)}")
    return "\n".join(parts)


def _indented(text: str) -> str:
    return textwrap.indent(text, "    ")


def page(known: Mapping[str, Story]) -> str:
    """`docs/checks.md`."""
    lists = "".join(f"- [`{code}`](#{code}): {CODES[code].summary}\n" for code in sorted(CODES))
    return "\n".join([_HEAD, lists, *(_section(code, known.get(code)) for code in sorted(CODES))])


def _section(code: str, story: Story | None) -> str:
    return "\n".join([f"## {code}\n", f"{CODES[code].summary}\n", *_parts(code, story)])


def _parts(code: str, story: Story | None) -> Iterator[str]:
    if story is not None:
        yield _fenced("yaml", story.wrong)
        yield _fenced("text", story.said)
    yield from _marked(CODES[code].text.strip("\n"))
    if story is not None:
        yield "Mended:\n"
        yield _fenced("yaml", story.mended)


def _fenced(language: str, text: str) -> str:
    return f"```{language}\n{text}```\n"


def _marked(text: str) -> Iterator[str]:
    """An explanation as Markdown: indented examples are fenced, and what stands in braces is code."""
    for paragraph in text.split("\n\n"):
        if all(line.startswith("    ") for line in paragraph.splitlines()):
            yield _fenced("yaml", textwrap.dedent(paragraph) + "\n")
        else:
            yield paragraph.replace("<", "&lt;").replace("*", "\\*").replace("|", "\\|") + "\n"
