"""The node kinds that there are: one line each."""

from __future__ import annotations

from typing import Any

from agentflow.nodes.agent import AgentKind
from agentflow.nodes.approval import ApprovalKind
from agentflow.nodes.ask import AskKind
from agentflow.nodes.emit import EmitKind
from agentflow.nodes.event import EventKind
from agentflow.nodes.fail import FailKind
from agentflow.nodes.for_each import ForEachKind
from agentflow.nodes.graph import GraphKind
from agentflow.nodes.group import NodesKind, StepsKind
from agentflow.nodes.kind import Kind
from agentflow.nodes.loop import LoopKind
from agentflow.nodes.parallel import ParallelKind
from agentflow.nodes.service import ServiceKind
from agentflow.nodes.set import SetKind
from agentflow.nodes.switch import SwitchKind
from agentflow.nodes.tool import ToolKind
from agentflow.nodes.unread import UnreadKind
from agentflow.nodes.value import ValueKind
from agentflow.nodes.wait import WaitKind

KINDS: dict[str, Kind[Any]] = {  # Any: each kind has its own body, and only the kind itself looks into it
    kind.verb: kind
    for kind in (
        AgentKind(),
        ToolKind(),
        ApprovalKind(),
        AskKind(),
        ParallelKind(),
        ForEachKind(),
        SwitchKind(),
        LoopKind(),
        NodesKind(),
        StepsKind(),
        ValueKind(),
        WaitKind(),
        EmitKind(),
        EventKind(),
        SetKind(),
        GraphKind(),
        ServiceKind(),
        FailKind(),
        UnreadKind(),
    )
}

VERBS = tuple(verb for verb in KINDS if verb)
