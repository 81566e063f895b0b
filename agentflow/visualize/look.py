"""The colours of the node kinds, the same in every format."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

_OTHER: Final = ("#f4f6f8", "#7b8794")

# kind -> (fill, stroke)
COLORS: Final[defaultdict[str, tuple[str, str]]] = defaultdict(
    lambda: _OTHER,
    {
        "agent": ("#f3effc", "#7a5bc7"),
        "member": ("#f3effc", "#7a5bc7"),
        "tool": ("#eaf3fb", "#2f7fbf"),
        "approval": ("#fff5df", "#d08a00"),
        "graph": ("#e9f0ff", "#3f5fb5"),
        "service": ("#e9f0ff", "#3f5fb5"),
        "ask": ("#fff5df", "#d08a00"),
        "event": ("#fdf3ea", "#b86a24"),
        "switch": ("#f7f9fa", "#5d7183"),
        "decision": ("#ffffff", "#5d7183"),
        "parallel": ("#eef8f5", "#2b9384"),
        "nodes": ("#f7f9fa", "#8795a3"),
        "steps": ("#f7f9fa", "#8795a3"),
        "value": ("#f4f6f8", "#7b8794"),
        "wait": ("#fff5df", "#b98a2f"),
        "fail": ("#fdecec", "#cf4343"),
        "input": ("#ffffff", "#4a5866"),
        "output": ("#ffffff", "#4a5866"),
    },
)

MEANING: Final = {
    "agent": "an agent works until it answers",
    "member": "an agent of a team",
    "tool": "a tool is called once, durably",
    "approval": "a person decides",
    "graph": "another graph runs",
    "service": "a handler elsewhere is called",
    "ask": "a person fills in a form",
    "event": "a message from outside is waited for",
    "switch": "one case is chosen",
    "parallel": "branches run at the same time",
    "nodes": "a group with a scope of its own",
    "steps": "one after the other",
    "value": "a value is computed",
    "wait": "waits for a while, or until a time",
    "fail": "ends what it stands in with an error",
}

LINE: Final = "#64748b"

# look of an edge -> (colour, always dashed, what it means)
EDGES: Final = {
    "order": (LINE, False, "waits for it"),
    "implied": ("#c6ced7", False, "uses it too; other edges already say the order"),
    "case": (LINE, True, ""),
    "frame": ("#94a3b3", False, ""),
    "handoff": ("#7a5bc7", False, "hands the conversation over"),
    "asks": ("#7a5bc7", True, "calls the other agent as a tool"),
    "error": ("#cf4343", True, "if it fails"),
}
