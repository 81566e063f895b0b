"""The tool kinds that there are: one line each."""

from __future__ import annotations

from typing import Any

from agentflow.tools.function import PythonKind
from agentflow.tools.kind import ToolKind

KINDS: dict[str, ToolKind[Any]] = {  # Any: each kind has its own body, and only the kind itself looks into it
    kind.key: kind for kind in (PythonKind(),)
}

LATER = ("http", "openapi", "mcp", "command", "graph", "service", "approval", "ask", "parallel")
"""Kinds of the language that are not supported yet."""
