"""What generated modules import, as `from agentflow import runtime as af`."""

from pydantic import Field

from agentflow.runtime.approvals import Escalation, Notify
from agentflow.runtime.branches import own_invocations
from agentflow.runtime.budgets import budget
from agentflow.runtime.calls import CalledGraph, CalledService
from agentflow.runtime.command_tool import command
from agentflow.runtime.entry import service, workflow
from agentflow.runtime.flights import Flight
from agentflow.runtime.flow import Run
from agentflow.runtime.gates import approvals
from agentflow.runtime.graph import (
    Agent,
    Confirm,
    Event,
    Graph,
    Limits,
    Model,
    Node,
    Otherwise,
    Price,
    Retry,
    Schedule,
    Session,
    Tool,
    Undo,
    Use,
    finally_,
    node,
)
from agentflow.runtime.http_tool import Api, http
from agentflow.runtime.jsonschema import JsonSchema
from agentflow.runtime.mcp_tool import mcp_server
from agentflow.runtime.messages import inbox
from agentflow.runtime.objects import door, object
from agentflow.runtime.remote_tools import approval_tool, ask_tool, graph_tool, service_tool
from agentflow.runtime.schedules import schedule
from agentflow.runtime.schema import Number, Type
from agentflow.runtime.secrets import Env
from agentflow.runtime.streams import stream
from agentflow.runtime.together import Member, parallel_tool
from agentflow.types import Json

__all__ = [
    "Agent",
    "Api",
    "CalledGraph",
    "CalledService",
    "Confirm",
    "Env",
    "Escalation",
    "Event",
    "Field",
    "Flight",
    "Graph",
    "Json",
    "JsonSchema",
    "Limits",
    "Member",
    "Model",
    "Node",
    "Notify",
    "Number",
    "Otherwise",
    "Price",
    "Retry",
    "Run",
    "Schedule",
    "Session",
    "Tool",
    "Type",
    "Undo",
    "Use",
    "approval_tool",
    "approvals",
    "ask_tool",
    "graph_tool",
    "budget",
    "command",
    "finally_",
    "http",
    "mcp_server",
    "door",
    "inbox",
    "node",
    "object",
    "own_invocations",
    "parallel_tool",
    "schedule",
    "service",
    "service_tool",
    "stream",
    "workflow",
]
