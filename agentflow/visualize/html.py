"""One page that needs nothing else: the picture, a legend, and the agents and tools in full."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from agentflow.ir import Program
from agentflow.visualize.boxes import Box, Diagram, Inside
from agentflow.visualize.facts import Names, abilities, place_of
from agentflow.visualize.layout import place
from agentflow.visualize.look import COLORS, EDGES, MEANING
from agentflow.visualize.svg import document
from agentflow.visualize.words import one_line, visible

_STYLE: Final = """
  body { margin: 0; font: 14px/1.5 Roboto, "Segoe UI", "Helvetica Neue", Helvetica, Arial, sans-serif; color: #1f2733; background: #f1f4f7; }
  header, main, footer { padding: 0 32px; }
  header { padding-top: 24px; }
  h1 { margin: 0; font-size: 24px; font-weight: 500; }
  h2 { margin: 28px 0 8px; font-size: 16px; font-weight: 500; }
  p { margin: 4px 0; color: #5f6c7a; }
  .picture { margin: 16px 0; overflow: auto; background: #fff; border: 1px solid #d8dee5; border-radius: 8px; text-align: center; }
  .picture svg { display: inline-block; vertical-align: top; }
  .picture .node:hover > rect, .picture .edge:hover path { stroke-width: 2.6; }
  .legend { display: flex; flex-wrap: wrap; gap: 6px 22px; padding: 0; list-style: none; }
  .legend li { display: flex; align-items: center; gap: 8px; }
  .legend svg { flex: none; }
  table { border-collapse: collapse; background: #fff; border: 1px solid #d8dee5; }
  th, td { padding: 5px 14px 5px 10px; border-bottom: 1px solid #e8ecf0; text-align: left; vertical-align: top; }
  th { font-weight: 500; color: #5f6c7a; }
  td:first-child { font-weight: 500; }
  .dangerous { color: #b42318; }
  footer { padding-bottom: 24px; }
"""  # noqa: E501  one rule a line


def html(diagram: Diagram, program: Program) -> str:
    about = " · ".join(part for part in (diagram.kind, diagram.source) if part)
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8"/>',
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>",
            '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
            f"<title>{escape(diagram.name)}</title>",
            f"<style>{_STYLE}</style>",
            "</head>",
            "<body>",
            f"<header><h1>{escape(diagram.name)}</h1>",
            f"<p>{escape(diagram.description)}</p>" if diagram.description else "",
            f"<p>{escape(about)}</p></header>",
            "<main>",
            f'<div class="picture">{document(diagram, place(diagram.inside), heading=False)}</div>',
            *_legend(diagram),
            *_agents(program),
            *_tools(program),
            "</main>",
            "<footer><p>Hover over a node, a condition or an edge for the whole of it.</p></footer>",
            "</body>",
            "</html>",
            "",
        ]
    )


# ---------------------------------------------------------------- legend


def _legend(diagram: Diagram) -> Iterator[str]:
    boxes = list(_boxes(diagram.inside))
    kinds = {box.kind for box in boxes}
    looks = {edge.look for inside in _insides(diagram.inside) for edge in inside.edges}
    yield '<h2>Legend</h2><ul class="legend">'
    for kind, meaning in MEANING.items():
        if kind in kinds:
            fill, stroke = COLORS[kind]
            mark = f'<rect x="1" y="1" width="24" height="14" rx="4" fill="{fill}" stroke="{stroke}"/>'
            yield _entry(mark, meaning)
    if any(box.entry for box in boxes):
        mark = '<rect x="1" y="2" width="24" height="12" rx="6" fill="#fffbea" stroke="#e0bd5a"/>'
        yield _entry(mark, "what must hold, else it is skipped")
    for look, (color, dashed, meaning) in EDGES.items():
        if look in looks and meaning:
            dashes = ' stroke-dasharray="5 4"' if dashed else ""
            mark = f'<path d="M1 8H18" stroke="{color}" stroke-width="1.6"{dashes}/>'
            mark += f'<path d="M25 8L18 4V12Z" fill="{color}"/>'
            yield _entry(mark, meaning)
    yield "</ul>"


def _entry(mark: str, meaning: str) -> str:
    return f'<li><svg width="26" height="16" aria-hidden="true">{mark}</svg>{escape(meaning)}</li>'


def _insides(inside: Inside) -> Iterator[Inside]:
    yield inside
    for box in inside.boxes:
        if box.inside is not None:
            yield from _insides(box.inside)


def _boxes(inside: Inside) -> Iterator[Box]:
    return (box for each in _insides(inside) for box in each.boxes)


# ---------------------------------------------------------------- declarations


def _agents(program: Program) -> Iterator[str]:
    names = Names(program)
    rows = [
        (
            visible(agent.name),
            names.model(agent.model),
            "; ".join(map(str, abilities(agent))),
            one_line(agent.description or agent.instruction.template),
        )
        for agent in program.agents
    ]
    yield from _table("Agents", ("name", "model", "can", "instruction"), rows)


def _tools(program: Program) -> Iterator[str]:
    rows = [
        (
            visible(tool.name),
            tool.effect,
            visible(place_of(tool)),
            visible(tool.undo.tool) if tool.undo is not None else "",
            one_line(tool.description or ""),
        )
        for tool in program.tools
    ]
    yield from _table("Tools", ("name", "effect", "function", "undone by", "description"), rows)


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    used = [at for at in range(len(columns)) if any(row[at] for row in rows)]
    if not rows:
        return
    yield f"<h2>{title}</h2><table><thead><tr>{''.join(f'<th>{columns[at]}</th>' for at in used)}</tr></thead><tbody>"
    for row in rows:
        yield f"<tr>{''.join(_cell(row[at]) for at in used)}</tr>"
    yield "</tbody></table>"


def _cell(text: str) -> str:
    return f'<td class="dangerous">{text}</td>' if text == "dangerous" else f"<td>{escape(text)}</td>"
