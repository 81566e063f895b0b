"""The tool kinds that there are: one line each."""

from __future__ import annotations

from typing import Any

from agentflow.tools.asking import ApprovalToolKind, AskToolKind
from agentflow.tools.called_graph import GraphToolKind
from agentflow.tools.command import CommandKind
from agentflow.tools.function import PythonKind
from agentflow.tools.http import HttpKind
from agentflow.tools.kind import SingleToolKind, ToolSetKind
from agentflow.tools.mcp import McpKind
from agentflow.tools.openapi import OpenApiKind
from agentflow.tools.parallel import ParallelToolKind
from agentflow.tools.service import ServiceToolKind

# Any: each kind has its own body, and only the kind itself looks into it.
KINDS: dict[str, SingleToolKind[Any] | ToolSetKind[Any]] = {
    kind.key: kind
    for kind in (
        PythonKind(),
        HttpKind(),
        OpenApiKind(),
        McpKind(),
        CommandKind(),
        GraphToolKind(),
        ServiceToolKind(),
        ApprovalToolKind(),
        AskToolKind(),
        ParallelToolKind(),
    )
}
