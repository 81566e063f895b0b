"""What generated modules import, as `from agentflow import runtime as af`."""

from agentflow.runtime.approvals import Escalation, Notify, approvals
from agentflow.runtime.entry import JOURNAL, own_invocations, service, workflow
from agentflow.runtime.flow import Flight, Run
from agentflow.runtime.graph import (
    Agent,
    Graph,
    Limits,
    Model,
    Node,
    Otherwise,
    Retry,
    Tool,
    Undo,
    Use,
    node,
)
from agentflow.types import Json

__all__ = [
    "JOURNAL",
    "Agent",
    "Escalation",
    "Flight",
    "Graph",
    "Json",
    "Limits",
    "Model",
    "Node",
    "Notify",
    "Otherwise",
    "Retry",
    "Run",
    "Tool",
    "Undo",
    "Use",
    "approvals",
    "node",
    "own_invocations",
    "service",
    "workflow",
]
