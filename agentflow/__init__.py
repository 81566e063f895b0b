"""agentflow compiles graphs of agents, written in YAML, to durable programs on Restate and Google ADK.

This module stays light: a user's tool imports `ToolError` from here, and nothing else comes with it.
"""

from __future__ import annotations

__version__ = "0.1.0"
__all__ = ["ToolError", "__version__"]


class ToolError(Exception):
    """What went wrong in a tool, in words: an agent is told and may recover; in a node it ends the node."""
