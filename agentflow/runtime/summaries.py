"""The summary of a conversation: one durable model step, by the model of the agent that speaks in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentflow.runtime.conversations import Entry, transcript
from agentflow.runtime.errors import NodeError
from agentflow.runtime.graph import Agent
from agentflow.runtime.invocation import Invocation

PATH = "session"  # under which `status`, the journal and offline replies know it

_INSTRUCTION = (
    "You keep the memory of a conversation between a user and assistants. Summarize what is given to you, so that it "
    "can be carried on without the original: facts, names, numbers, decisions, what was promised and what is open. "
    "Leave out greetings. Answer with the summary alone."
)


async def summarize(
    invocation: Invocation, scope: dict[str, Any], before: str | None, entries: Sequence[Entry]
) -> str | None:
    """A text in the place of the entries and of the summary before them; None where the model failed."""
    from agentflow.runtime.agent_steps import AgentSteps
    from agentflow.runtime.agents import turn
    from agentflow.runtime.flow import Run

    graph = invocation.graph
    assert graph.session is not None
    agent = graph.agents[graph.session.agent]
    summarizer = Agent(agent.name, agent.model, _INSTRUCTION)
    earlier = "" if before is None else f"Summary of what was said before:\n{before}\n\n"
    run = Run(invocation, PATH, scope)
    invocation.report.started(PATH, invocation.now)
    try:
        text = await turn(AgentSteps(run), summarizer, f"{earlier}{transcript(entries)}")
    except NodeError as error:
        invocation.report.ended(PATH, "failed", invocation.now, error.as_json())
        return None
    invocation.report.ended(PATH, "succeeded", invocation.now)
    return str(text)
