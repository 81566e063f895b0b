"""A diagram in the DOT language of Graphviz."""

from __future__ import annotations

from collections.abc import Iterator

from agentflow.visualize.boxes import Box, Diagram, Edge, Inside
from agentflow.visualize.look import COLORS, EDGES, LINE
from agentflow.visualize.words import shorten


def dot(diagram: Diagram) -> str:
    lines = [
        f"digraph {quoted(diagram.name)} {{",
        "  compound=true;",
        '  graph [fontname="Helvetica", fontsize=11, style=rounded, labeljust=l, nodesep=0.4, ranksep=0.5];',
        '  node [fontname="Helvetica", fontsize=11, shape=box, style="rounded,filled"];',
        '  edge [fontname="Helvetica", fontsize=9, color="#64748b"];',
        *_inside(diagram.inside, 1),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _inside(inside: Inside, depth: int) -> Iterator[str]:
    boxes = {box.id: box for box in inside.boxes}
    for box in inside.boxes:
        yield from _box(box, depth)
    labelled: set[str] = set()
    for edge in inside.edges:
        target = boxes[edge.target]
        label, whole = edge.label, edge.label
        if edge.look in ("order", "case", "frame") and target.id not in labelled and target.entry:
            labelled.add(target.id)
            label, whole = "\n".join(shorten(each, 40) for each in target.entry), "\n".join(target.entry)
        yield "  " * depth + _edge(edge, boxes, label, whole)


def _box(box: Box, depth: int) -> Iterator[str]:
    indent = "  " * depth
    fill, stroke = COLORS[box.kind]
    facts = [shorten(str(fact), 60) for fact in box.facts]
    colors = f'fillcolor="{fill}", color="{stroke}", tooltip={quoted(box.title)}'
    if box.inside is not None:
        yield f"{indent}subgraph cluster_{box.id} {{"
        label = "\n".join([f"{box.name}  {box.kind}", *facts])
        yield f'{indent}  graph [label={quoted(label)}, style="rounded,filled", {colors}];'
        yield from _inside(box.inside, depth + 1)
        yield f"{indent}}}"
        return
    if box.kind == "decision":
        yield f'{indent}{box.id} [label="", shape=diamond, width=0.3, height=0.3, {colors}];'
        return
    head = box.name if box.kind in ("input", "output", "member") else f"{box.name}  {box.kind}"
    yield f"{indent}{box.id} [label={quoted(chr(10).join([head, *facts]))}, {colors}];"


def _edge(edge: Edge, boxes: dict[str, Box], label: str, whole: str) -> str:
    source, target = boxes[edge.source], boxes[edge.target]
    color, dashed, _ = EDGES[edge.look]
    options = [f'color="{color}"'] if color != LINE else []
    if dashed or edge.conditional:
        options.append("style=dashed")
    if label:
        options.append(f"label={quoted(label)}, tooltip={quoted(whole)}, labeltooltip={quoted(whole)}")
    if source.inside is not None:
        options.append(f"ltail=cluster_{source.id}")
    if target.inside is not None:
        options.append(f"lhead=cluster_{target.id}")
    if edge.both_ways:
        options.append("dir=both")
    if edge.back:
        options.append("constraint=false")
    shown = f" [{', '.join(options)}]" if options else ""
    return f"{_last(source)} -> {_first(target)}{shown};"


def _first(box: Box) -> str:
    """An edge to a cluster ends at a node of it; `lhead` then cuts it at the border."""
    return _first(box.inside.boxes[0]) if box.inside is not None and box.inside.boxes else box.id


def _last(box: Box) -> str:
    return _last(box.inside.boxes[-1]) if box.inside is not None and box.inside.boxes else box.id


def quoted(words: str) -> str:
    """A DOT string that is shown as it is: no escapes of Graphviz, no entities of HTML."""
    escaped = words.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;").replace("\n", "\\n")
    return f'"{escaped}"'
