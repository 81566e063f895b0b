"""`agent`: an agent works on a prompt until it answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agentflow import ir
from agentflow.diagnostics import Diagnostic, choices_help, nearest, quoted
from agentflow.editor import vocabulary as v
from agentflow.editor.vocabulary import Described
from agentflow.nodes.kind import Context, Kind, Lowering, Nodes, Template
from agentflow.spec.model import Body, GraphSpec, NodeSpec
from agentflow.spec.names import bad_name
from agentflow.spec.reader import Reader
from agentflow.spec.types import read_type_at
from agentflow.types import ANY, STRING, Type

SESSION = "session"  # the conversation that an object keeps from message to message


@dataclass(frozen=True)
class AgentBody(Body):
    agent: str
    prompt: str
    returns: Type | None  # overrides the agent's
    conversation: str | None = None


class AgentKind(Kind[AgentBody]):
    verb = "agent"
    keys = ("prompt", "returns", "conversation")
    retries = True
    model = AgentBody
    described = Described(
        "An agent works on a prompt until it answers; the node's value is the answer.",
        {
            "agent": v.name("The agent that does the work, one of agents."),
            "prompt": v.text("What the agent is asked."),
            "returns": v.type("The type of the answer, in the place of the agent's own; without one it is text."),
            "conversation": v.ref("own_name", "Nodes with the same name here share one history, one after the other."),
        },
        required=("prompt",),
    )

    def parse(self, reader: Reader, nodes: Nodes) -> AgentBody | None:
        agent = reader.string("agent", "an agent's name")
        prompt = reader.text("prompt") if reader.require("prompt") else None
        returns = read_type_at(reader, "returns")
        conversation = reader.string("conversation", "the name of a conversation")
        if conversation is not None and (problem := bad_name(conversation, "a conversation", reserved=False)):
            reader.error("bad-name", problem[0], reader.at("conversation"), help=problem[1])
        return AgentBody(agent, prompt or "", returns, conversation) if agent is not None else None

    def templates(self, node: NodeSpec, graph: GraphSpec) -> Iterator[Template]:
        yield Template((*node.path, "prompt"), "text", self.body(node).prompt, expected=STRING)

    def check(self, node: NodeSpec, context: Context) -> Iterator[Diagnostic]:
        graph, name = context.graph, self.body(node).agent
        if name in graph.agents or name in graph.broken:
            return
        help = choices_help(name, graph.agents)
        if name in graph.tools:
            help = f"{quoted(name)} is a tool: write tool: {name}"
        elif near := nearest(name, graph.agents):
            help = f"{help} it is defined at line {graph.source.line(graph.agents[near].path)}"
        note = "not in agents" if graph.agents else "the graph has no agents"
        message = f"there is no agent {quoted(name)}"
        yield graph.source.error("unknown-agent", message, (*node.path, "agent"), note=note, help=help)

    def type_of(self, node: NodeSpec, context: Context) -> Type:
        body = self.body(node)
        agent = context.graph.agents.get(body.agent)
        return body.returns or ((agent.returns or STRING) if agent else ANY)

    def lower(self, node: NodeSpec, context: Lowering) -> ir.Op:
        body = self.body(node)
        returns = body.returns or context.graph.agents[body.agent].returns
        wanted = None if returns == STRING else returns
        return ir.Turn(body.agent, ir.Text(body.prompt), wanted, node.retry, body.conversation)
