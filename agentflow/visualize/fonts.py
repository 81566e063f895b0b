"""How wide a text is in the faces that pictures are drawn with, and where to break it into lines.

The widths come from the font files themselves, so that boxes fit their texts without a font system.
"""

from __future__ import annotations

import re
import struct
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "font"
FAMILY: Final = "Roboto"
_PART: Final = re.compile(r"[^_./:,;=|-]*[_./:,;=|-]+\s*|[^_./:,;=|-]+")  # of a long word: up to where it may be cut


class Face:
    """One font file: the advances of its characters, in units of the font size."""

    def __init__(self, path: Path) -> None:
        self.path = path
        data = path.read_bytes()
        tables = dict(_tables(data))
        units: int = struct.unpack_from(">H", data, tables["head"] + 18)[0]
        metrics: int = struct.unpack_from(">H", data, tables["hhea"] + 34)[0]
        glyphs = dict(_characters(data, tables["cmap"]))
        self.advances = {
            chr(code): struct.unpack_from(">H", data, tables["hmtx"] + 4 * min(glyph, metrics - 1))[0] / units
            for code, glyph in glyphs.items()
        }

    def width(self, text: str, size: float) -> float:
        return size * sum(self.advances.get(char) or _foreign(char) for char in text)

    def covers(self, text: str) -> bool:
        return all(char in self.advances or char.isspace() for char in text)


def _tables(data: bytes) -> Iterator[tuple[str, int]]:
    for index in range(struct.unpack_from(">H", data, 4)[0]):
        tag, _, offset, _ = struct.unpack_from(">4sIII", data, 12 + 16 * index)
        yield tag.decode("ascii"), offset


def _characters(data: bytes, cmap: int) -> Iterator[tuple[int, int]]:
    """Code points and their glyphs, from the table of format 4 that every face of ours has."""
    count: int = struct.unpack_from(">H", data, cmap + 2)[0]
    offsets = [struct.unpack_from(">I", data, cmap + 4 + 8 * index + 4)[0] for index in range(count)]
    table = next(cmap + each for each in offsets if struct.unpack_from(">H", data, cmap + each)[0] == 4)
    doubled: int = struct.unpack_from(">H", data, table + 6)[0]
    ends, starts, deltas, ranges = (table + 14 + shift for shift in (0, doubled + 2, 2 * doubled + 2, 3 * doubled + 2))
    for at in range(0, doubled, 2):
        end, start, delta, shift = (
            struct.unpack_from(">H", data, base + at)[0] for base in (ends, starts, deltas, ranges)
        )
        for code in range(start, min(end, 0xFFFE) + 1):
            glyph = code
            if shift:
                glyph = struct.unpack_from(">H", data, ranges + at + shift + 2 * (code - start))[0]
            yield code, (glyph + delta) & 0xFFFF


def _foreign(char: str) -> float:
    """A guess for what the face does not have: another font will draw it."""
    if unicodedata.combining(char) or char in "\u200c\u200d\ufe0f":
        return 0.0
    return 1.0 if unicodedata.east_asian_width(char) in "WF" else 0.62


@lru_cache(maxsize=1)
def regular() -> Face:
    return Face(FOLDER / "Roboto-Regular.ttf")


@lru_cache(maxsize=1)
def medium() -> Face:
    return Face(FOLDER / "Roboto-Medium.ttf")


def wrap(text: str, face: Face, size: float, width: float, lines: int) -> list[str]:
    """At most so many lines of at most so much width; what does not fit ends in an ellipsis."""
    wrapped: list[str] = []
    line = ""
    for piece in _pieces(text, face, size, width):
        if line and face.width((line + piece).rstrip(), size) > width:
            wrapped.append(line.rstrip())
            line = piece.lstrip()
            if len(wrapped) == lines:
                break
        else:
            line += piece
    else:
        if line.strip() or not wrapped:
            wrapped.append(line.rstrip())
        return wrapped
    wrapped[-1] = _cut(wrapped[-1] + "…", face, size, width)
    return wrapped


def balanced(text: str, face: Face, size: float, width: float, lines: int) -> list[str]:
    """Wrapped in lines of about the same width."""
    wide = wrap(text, face, size, width, lines)
    if len(wide) == 1 or wide[-1].endswith("…"):
        return wide
    narrower = (wrap(text, face, size, width * tenths / 10, lines) for tenths in range(5, 10))
    return next((now for now in narrower if len(now) == len(wide) and not now[-1].endswith("…")), wide)


def _pieces(text: str, face: Face, size: float, width: float) -> Iterator[str]:
    """What may stand at the end of a line: words with the space after them, and parts of words too long for one."""
    for word in re.findall(r"\S+\s*|\s+", text):
        if face.width(word.rstrip(), size) <= width:
            yield word
            continue
        for part in _PART.findall(word):
            yield from _split(part, face, size, width)


def _split(word: str, face: Face, size: float, width: float) -> Iterator[str]:
    part = ""
    for char in word:
        if part and face.width((part + char).rstrip(), size) > width:
            yield part
            part = ""
        part += char
    if part:
        yield part


def _cut(line: str, face: Face, size: float, width: float) -> str:
    while len(line) > 1 and face.width(line, size) > width:
        line = line[:-2].rstrip() + "…"
    return line
