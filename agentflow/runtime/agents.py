"""An agent's turn: a prompt goes in, model calls, tool calls and handoffs happen, an answer that fits comes out.

ADK's LlmAgent asks the model, offers the tools and keeps the conversation. What must survive a crash is asked of
the run, through `Durable`, and by one coroutine only, the caller's: ADK runs the tool calls of an answer in tasks
of its own, so the whole batch is done here, between the answer and those tasks, which then only pick up results.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple, Protocol, cast

from google.adk.agents.invocation_context import InvocationContext
from google.adk.agents.llm_agent import LlmAgent
from google.adk.agents.run_config import RunConfig
from google.adk.events.event import Event
from google.adk.models.llm_request import LlmRequest
from google.adk.sessions.in_memory_session_service import InMemorySessionService
from google.adk.sessions.session import Session
from google.adk.tools.base_tool import BaseTool
from google.genai import types

from agentflow.runtime import adk_tracing, history, models, offers, templates
from agentflow.runtime.answers import Asked, Call, Response
from agentflow.runtime.conversations import Conversation, Entry, said_by_user, told
from agentflow.runtime.errors import NodeError
from agentflow.runtime.graph import Agent, Graph, Model, Retry, Tool
from agentflow.runtime.operations import Listed, Listing
from agentflow.runtime.replies import TRANSFER, Replies
from agentflow.runtime.schema import Mismatch, Shape, shape_of
from agentflow.runtime.signature import keeps_own_journal
from agentflow.runtime.spending import Used
from agentflow.toolnames import offered
from agentflow.types import Json

adk_tracing.silence()
logging.getLogger("google_adk").setLevel(logging.ERROR)  # what it warns of, the model or the run is told

_MISMATCHES = 2  # how often an answer that does not fit goes back to the model
_MENDABLE = {"MALFORMED_FUNCTION_CALL", "MODEL_RETURNED_NO_CONTENT", "MAX_TOKENS", "UNEXPECTED_TOOL_CALL"}


class ToolCall(NamedTuple):
    """A call that a model asked for, its arguments known to fit. `address` is unique in the turn and stable."""

    address: str
    tool: Tool
    args: Mapping[str, Json]


class ToolOutcome(Protocol):
    """What the model is told: the tool's value, or `error`, from which it may recover."""

    @property
    def value(self) -> Json: ...

    @property
    def error(self) -> str | None: ...


class Invocation(Protocol):
    """The invocation that a run belongs to."""

    @property
    def graph(self) -> Graph: ...

    @property
    def now(self) -> float: ...


class Durable(Protocol):
    """What a turn needs of the run. Whatever these raise ends the turn and reaches its caller unchanged.

    Addresses are relative to the run's `path`.
    """

    @property
    def path(self) -> str: ...

    @property
    def scope(self) -> Mapping[str, Json]: ...

    @property
    def replies(self) -> Replies | None: ...

    @property
    def invocation(self) -> Invocation: ...

    async def model_call(self, address: str, model: Model, call: Call, retry: Retry, asked: Asked) -> Response:
        """Makes the call durably, counts it, and tries it again on ModelUnavailable, as `retry` says."""

    async def tool_batch(self, calls: Sequence[ToolCall]) -> Sequence[ToolOutcome]:
        """Runs the calls together, each as one durable step; outcomes in the order of the calls."""

    async def listed(self, tool: Tool, listing: Listing) -> Json:
        """What the server of a tool told of its tools: asked once in this invocation, by one durable step."""

    def count_handoff(self) -> None:
        """Counts a handoff; raises the error of a limit."""

    def working(self, agent: Agent, before: Used) -> AbstractContextManager[None]:
        """While it lasts, what is spent counts against the agent's limits too; `before` is what it has used of them."""


async def turn(
    run: Durable,
    agent: Agent,
    prompt: str,
    *,
    returns: Any = None,
    retry: Retry | None = None,
    conversation: Conversation | None = None,
) -> Json:
    """The answer of `agent`, or of whom it hands over to, as JSON that fits `returns` (None: text).

    A `conversation` is known to it, and everything that is said is added to that as it is said, whatever the end.

    Raises NodeError of kind `output` when the third answer still
    does not fit, of kind `model` when the model refuses, and whatever the run raises.
    """
    shared = Conversation() if conversation is None else conversation
    return await _Conversation(run, agent, prompt, shape_of(returns), retry=retry, shared=shared).answer()


@dataclass
class _Conversation:
    """One turn over one history, which the agents that hand it to each other share."""

    run: Durable
    first: Agent
    prompt: str
    shape: Shape
    address: str = ""  # of an agent that is called as a tool: the call's, and a dot
    retry: Retry | None = None  # replaces the models' own
    shared: Conversation = field(default_factory=Conversation)
    session: Session = field(default_factory=lambda: Session(id="turn", app_name="agentflow", user_id="user"))
    results: dict[str, dict[str, Json]] = field(default_factory=dict)  # by the function call's id
    counted: int = 0  # model and tool calls so far: their places in the journal
    used: dict[str, Used] = field(default_factory=dict)  # by agent, of its limits
    tools: dict[str, Sequence[Tool | Agent]] = field(default_factory=dict)  # by the agent that holds them
    begun: int = 0  # messages before this turn
    past: list[Entry] = field(default_factory=list)  # those of them that are given to models
    asked: dict[str, int] = field(default_factory=dict)  # model calls, by agent
    target: str | None = None  # who has been handed the conversation

    async def answer(self) -> Json:
        self.begun, self.past = len(self.shared), self.shared.entries()
        self._hear(said_by_user(self.prompt, self.run.invocation.now))
        agent, mismatches = self.first, 0
        while True:
            with self.run.working(agent, self.used.setdefault(agent.name, Used())):
                last = await self._speak(agent)
                if self.target is not None:
                    self.run.count_handoff()
            if self.target is not None:
                agent, self.target = self.run.invocation.graph.agents[self.target], None
                continue
            try:
                return self.shape.read(_text(last, agent))
            except Mismatch as mismatch:
                mismatches += 1
                if mismatches > _MISMATCHES:
                    raise _unfit(agent, mismatch) from None
                self._hear(told(offers.correction(mismatch, self.shape)))

    def _hear(self, entry: Entry) -> None:
        self.shared.add(entry)
        self.session.events.append(history.event(entry))

    async def _speak(self, agent: Agent) -> Event | None:
        """Lets one agent work until it answers or hands over."""
        last: Event | None = None
        adk = self._built(agent, await self._tools(agent))
        async with aclosing(adk.run_async(self._context(adk))) as events:
            async for event in events:
                self.session.events.append(event)
                if (entry := history.entry(event, agent.name, self.run.invocation.now)) is not None:
                    self.shared.add(entry)
                last = event
                if event.get_function_calls():
                    await self._do(agent, event.get_function_calls())
        return last

    def _context(self, adk: LlmAgent) -> InvocationContext:
        return InvocationContext(
            session_service=InMemorySessionService(),
            invocation_id="turn",
            agent=adk,
            session=self.session,
            run_config=RunConfig(max_llm_calls=sys.maxsize - 1),  # the run counts, durably
        )

    async def _tools(self, agent: Agent) -> Sequence[Tool | Agent]:
        """The agent's tools; of those that only a server knows, as it told once in this invocation."""
        if agent.name not in self.tools:
            self.tools[agent.name] = [await self._pinned(tool) for tool in agent.tools]
        return self.tools[agent.name]

    async def _pinned(self, tool: Tool | Agent) -> Tool | Agent:
        if isinstance(tool, Agent) or not isinstance(tool.does, Listed):
            return tool
        return replace(tool, does=tool.does.pinned(await self.run.listed(tool, tool.does.listing)))

    def _built(self, agent: Agent, known: Sequence[Tool | Agent]) -> LlmAgent:
        """A fresh ADK agent. It knows no other agents: handing over is a tool of ours, and so is calling one."""

        async def ask(request: LlmRequest) -> Response:
            return await self._ask(agent, request)

        def instruction(_: object) -> str:  # a provider, so that ADK leaves {braces} alone
            return offers.instruction(templates.text(agent.instruction, self._seen()), self.shape)

        tools: list[BaseTool] = [_Offered(declaration, self.results) for declaration in self._offered(agent, known)]
        return LlmAgent(
            name=offers.adk_name(agent.name),
            description=agent.description or "",
            model=models.DurableModel(agent.model.model, ask),
            instruction=instruction,
            tools=cast("list[Any]", tools),
            generate_content_config=models.settings({**agent.model.generate, **agent.generate}),
            disallow_transfer_to_parent=True,
            disallow_transfer_to_peers=True,
        )

    def _seen(self) -> dict[str, Json]:
        """What instructions see."""
        return {name: self.run.scope[name] for name in ("input", "run", "state") if name in self.run.scope}

    def _offered(self, agent: Agent, known: Sequence[Tool | Agent]) -> list[types.FunctionDeclaration]:
        offered = [offers.declaration(tool) for tool in known]
        if agent.handoffs:
            offered.append(offers.handoff([self.run.invocation.graph.agents[name] for name in agent.handoffs]))
        return offered

    # ------------------------------------------------------------ the model

    async def _ask(self, agent: Agent, request: LlmRequest) -> Response:
        if not (agent.tools or agent.handoffs or self.shape.is_text):
            request.config.response_mime_type = "application/json"
            request.config.response_json_schema = self.shape.json_schema
        request.contents = [*history.contents(self.past, self.shared.summary, agent.name), *request.contents]
        self.counted += 1
        number = self.counted
        ids = f"{self.begun}-{number}" if self.begun else str(number)  # its own in the whole conversation
        step = self.asked.get(agent.name, 0)
        self.asked[agent.name] = step + 1

        async def call(attempt: int) -> Response:
            if self.run.replies is None:
                return await models.complete(agent.model, request, ids)
            names, given = self._names(agent), models.answers(request) + self.shared.answers.get(agent.name, 0)
            return await self.run.replies.answer(
                names, prompt=self.prompt, turn=given, attempt=attempt, ids=ids, step=step
            )

        asked = Asked(agent.name, {**agent.model.generate, **agent.generate}, partial(models.contents, request))
        return await self.run.model_call(
            f"{self.address}model#{number}", agent.model, call, self.retry or agent.model.retry, asked
        )

    def _names(self, agent: Agent) -> tuple[str, str, str]:
        """Whose replies count: this very conversation's; the node's for its own agent, while others come first."""
        own = re.sub(r"\[\d+\]|#\d+", "", self.run.path).rpartition(".")[2]
        place = f"{self.run.path}.{self.address}".rstrip(".")
        if agent is self.first:
            return (place, agent.name, own) if self.address else (place, own, agent.name)
        return (f"{place}.{agent.name}", agent.name, own)

    # ------------------------------------------------------------ the tools

    async def _do(self, agent: Agent, calls: Sequence[types.FunctionCall]) -> None:
        """Does the calls of one answer: together when all are single durable steps, else one after the other."""
        known = {offered(tool.name): tool for tool in await self._tools(agent)}
        ready: list[tuple[str, Tool | Agent, dict[str, Json], str]] = []
        for call in calls:
            name, identity, args = call.name or "", call.id or "", cast("dict[str, Json]", call.args or {})
            if name == TRANSFER and agent.handoffs:
                self.results[identity] = self._hand_over(agent, args)
            elif tool := known.get(name):  # ADK itself tells the model of tools that there are not
                try:
                    args = offers.checked(tool, args)
                except Mismatch as mismatch:
                    self.results[identity] = {"error": offers.wrong_arguments(tool, mismatch)}
                    continue
                self.counted += 1
                ready.append((identity, tool, args, f"{self.address}{name}#{self.counted}"))
        steps = [ToolCall(at, tool, args) for _, tool, args, at in ready if isinstance(tool, Tool)]
        if len(steps) == len(ready) and not any(keeps_own_journal(s.tool) for s in steps):
            outcomes = await self.run.tool_batch(steps) if steps else []
            for (identity, *_), outcome in zip(ready, outcomes, strict=True):
                self.results[identity] = _told(outcome)
            return
        for identity, tool, args, at in ready:
            self.results[identity] = await self._do_one(tool, args, at)

    async def _do_one(self, tool: Tool | Agent, args: dict[str, Json], address: str) -> dict[str, Json]:
        if isinstance(tool, Tool):
            return _told((await self.run.tool_batch([ToolCall(address, tool, args)]))[0])
        prompt = offers.as_prompt(tool, args)
        inner = _Conversation(self.run, tool, prompt, shape_of(tool.returns), f"{address}.")
        return _result(await inner.answer())

    def _hand_over(self, agent: Agent, args: Mapping[str, Json]) -> dict[str, Json]:
        name = args.get("agent_name")
        if name not in agent.handoffs:
            known = ", ".join(agent.handoffs)
            return {"error": f"there is no agent {json.dumps(name)} to hand over to: one of {known}"}
        if self.target is not None:
            return {"error": f"already handed over to {self.target}"}
        self.target = cast(str, name)
        return {"result": f"handed over to {name}"}


class _Offered(BaseTool):
    """A tool as the model sees it. Its result is there before ADK asks for it."""

    def __init__(self, declaration: types.FunctionDeclaration, results: Mapping[str, dict[str, Json]]) -> None:
        super().__init__(name=declaration.name or "", description=declaration.description or "")
        self._declaration = declaration
        self._results = results

    def _get_declaration(self) -> types.FunctionDeclaration:
        return self._declaration

    async def run_async(self, *, args: dict[str, Any], tool_context: Any) -> dict[str, Json]:
        result = self._results[tool_context.function_call_id]
        if self.name == TRANSFER and "error" not in result:
            tool_context.actions.skip_summarization = True  # ends this agent's part
        return result


def _told(outcome: ToolOutcome) -> dict[str, Json]:
    if outcome.error is not None:
        return {"error": outcome.error}
    return _result(outcome.value)


def _result(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {"result": value}


def _text(last: Event | None, agent: Agent) -> str:
    """The text of the last event. An answer that holds none is a Mismatch, or an error where it was blocked."""
    parts = last.content.parts if last and last.content and last.content.parts else []
    texts = [part.text for part in parts if part.text is not None and not part.thought]
    if texts:
        return "".join(texts)
    reason = re.sub(r"^\w+\.", "", str(last.error_code)) if last and last.error_code else None
    if reason is not None and reason not in _MENDABLE:
        message = last.error_message if last else None
        raise NodeError("model", f"{agent.name}: the model gave no answer: {reason} {message or ''}".strip())
    raise Mismatch([f"the answer was empty{f' ({reason})' if reason else ''}"])


def _unfit(agent: Agent, mismatch: Mismatch) -> NodeError:
    tries = _MISMATCHES + 1
    return NodeError("output", f"{agent.name}: {tries} answers, and none fits what it returns: {mismatch}")
