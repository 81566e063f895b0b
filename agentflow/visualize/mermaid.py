"""A diagram as a Mermaid flowchart."""

from __future__ import annotations

from collections.abc import Iterator

from agentflow.visualize.boxes import Box, Diagram, Edge, Inside
from agentflow.visualize.look import COLORS, EDGES
from agentflow.visualize.words import shorten

_SHAPES = {
    "approval": ("{{", "}}"),
    "ask": ("{{", "}}"),
    "event": ("[/", "/]"),
    "decision": ("{", "}"),
    "input": ("([", "])"),
    "output": ("([", "])"),
    "fail": ("[[", "]]"),
    "value": ("(", ")"),
    "member": ("(", ")"),
}


def mermaid(diagram: Diagram) -> str:
    lines = ["---", f"title: {quoted(diagram.name)}", "---", "flowchart TB", *_inside(diagram.inside, 1)]
    colored: dict[str, list[str]] = {}
    for number, edge in enumerate(_edges(diagram.inside)):
        if edge.look not in ("order", "case", "frame"):
            colored.setdefault(EDGES[edge.look][0], []).append(str(number))
    lines += [f"  linkStyle {','.join(numbers)} stroke:{color}" for color, numbers in colored.items()]
    kinds = sorted({box.kind for box in _all(diagram.inside)})
    for kind in kinds:
        fill, stroke = COLORS[kind]
        lines.append(f"  classDef {_class(kind)} fill:{fill},stroke:{stroke},color:#1f2733")
    return "\n".join(lines) + "\n"


def _inside(inside: Inside, depth: int) -> Iterator[str]:
    boxes = {box.id: box for box in inside.boxes}
    entered = {edge.target for edge in inside.edges if edge.look != "implied"}
    for box in inside.boxes:
        yield from _box(box, depth, said=box.id in entered)
    labelled: set[str] = set()
    for edge in inside.edges:
        target = boxes[edge.target]
        label = edge.label
        if edge.look in ("order", "case", "frame") and target.id not in labelled and target.entry:
            labelled.add(target.id)
            label = ", ".join(shorten(each, 40) for each in target.entry)
        yield "  " * depth + _edge(edge, label)


def _box(box: Box, depth: int, said: bool) -> Iterator[str]:
    """`said`: an edge says on what condition it is entered."""
    indent = "  " * depth
    head = f"<b>{text(box.name)}</b>" if box.name else ""
    lines = [text(shorten(str(fact), 60)) for fact in box.facts]
    if not said:
        lines += [f"when {text(shorten(each, 40))}" for each in box.entry if box.kind != "member"]
    if box.inside is not None:
        label = "<br>".join([f"{head} {text(box.kind)}", *lines])
        yield f'{indent}subgraph {box.id}["{label}"]'
        yield from _inside(box.inside, depth + 1)
        yield f"{indent}end"
        yield f"{indent}class {box.id} {_class(box.kind)}"
        return
    if box.kind == "decision":
        head = "?"
    elif box.kind not in ("input", "output", "member"):
        head = f"{head} {text(box.kind)}"
    opening, closing = _SHAPES.get(box.kind, ("[", "]"))
    yield f'{indent}{box.id}{opening}"{"<br>".join([head, *lines])}"{closing}:::{_class(box.kind)}'


def _edge(edge: Edge, label: str) -> str:
    arrow = "-.->" if edge.conditional or EDGES[edge.look][1] else "-->"
    if edge.both_ways:
        arrow = "<" + arrow
    return f'{edge.source} {arrow}|"{text(label)}"| {edge.target}' if label else f"{edge.source} {arrow} {edge.target}"


def _all(inside: Inside) -> Iterator[Box]:
    for box in inside.boxes:
        yield box
        if box.inside is not None:
            yield from _all(box.inside)


def _edges(inside: Inside) -> Iterator[Edge]:
    """In the order in which they are written, by which Mermaid numbers them."""
    for box in inside.boxes:
        if box.inside is not None:
            yield from _edges(box.inside)
    yield from inside.edges


def _class(kind: str) -> str:
    """A class must not be a word of Mermaid's own."""
    return f"k_{kind}" if kind.isidentifier() else "k_other"


def text(words: str) -> str:
    """Text within Mermaid's quotes: what it, Markdown or HTML would read as a sign becomes an entity."""
    return "".join(
        char if char.isalnum() or char in " _.,:=?!'+-/" or ord(char) > 0x7F else f"#{ord(char)};"
        for char in words.replace("\n", " ").replace("\t", " ")
    )


def quoted(words: str) -> str:
    """A text for the YAML at the head: an identifier needs no quotes, anything else is kept to plain letters."""
    return words if words.isidentifier() else '"' + text(words).replace("#", "") + '"'
