"""The SVG as pixels, twice its size."""

from __future__ import annotations

import math
from typing import Final

from agentflow.visualize import fonts
from agentflow.visualize.boxes import Diagram
from agentflow.visualize.layout import place, texts
from agentflow.visualize.svg import document

ZOOM: Final = 2.0
LARGEST: Final = 60e6  # pixels, beyond which the picture is drawn smaller


def png(diagram: Diagram) -> bytes:
    """With our own faces alone, so that every machine draws the same; the system's fonts only for other scripts."""
    from resvg_py import svg_to_bytes  # only PNG needs it

    placement = place(diagram.inside)
    zoom = min(ZOOM, math.sqrt(LARGEST / ((placement.width + 100) * (placement.height + 200))))
    faces = (fonts.regular(), fonts.medium())
    return svg_to_bytes(
        svg_string=document(diagram, placement),
        zoom=zoom,
        skip_system_fonts=faces[0].covers(diagram.name + diagram.description + "".join(texts(placement))),
        font_files=[str(face.path) for face in faces],
        font_family=fonts.FAMILY,
        sans_serif_family=fonts.FAMILY,
    )
