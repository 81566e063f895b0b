"""The claim graph written by hand against restate-sdk and ADK: what the generated module is measured against.

It is what a careful colleague would write who knows the engine: the same durable steps, calls and waits, the same
facts in the run's state, the same payment key, the refund when the letter fails, the approval in a workflow of its
own. Model calls go through ADK's LlmAgent exactly as in agentflow's runtime (a fresh agent a turn, no Runner), and
the stand-in for the provider is the same object, so that a difference is the generated layer's and nobody else's.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import restate
from google.adk.agents.invocation_context import InvocationContext
from google.adk.agents.llm_agent import LlmAgent
from google.adk.agents.run_config import RunConfig
from google.adk.events.event import Event
from google.adk.models.base_llm import BaseLlm
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.adk.sessions.in_memory_session_service import InMemorySessionService
from google.adk.sessions.session import Session
from google.adk.tools.base_tool import BaseTool
from google.genai import types
from pydantic import BaseModel, PrivateAttr, ValidationError
from restate.exceptions import TerminalError
from restate.serde import JsonSerde

from agentflow import ToolError
from agentflow.runtime.errors import ModelUnavailable
from agentflow.runtime.replies import Replies  # the stand-in for the provider, the same on both sides
from tools import insurance

RETENTION = timedelta(days=7)
PROVIDER = Replies(Path(os.environ.get("AGENTFLOW_REPLIES_CLAIM", "graphs/claim.replies.yaml")))
AS_JSON: restate.RunOptions[Any] = restate.RunOptions(serde=JsonSerde())


class Claim(BaseModel):
    claim_id: str
    holder: str
    amount: int | float
    text: str


class Finding(BaseModel):
    ok: bool
    reason: str
    risk: Literal["low", "medium", "high"]


class Decision(BaseModel):
    decision: Literal["pay", "reject"]
    amount: int | float
    reason: str


@dataclass
class Spent:
    model_calls: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def add(self, other: dict[str, int]) -> None:
        for name, amount in other.items():
            setattr(self, name, getattr(self, name) + amount)


# ---------------------------------------------------------------- durable steps


@dataclass
class Steps:
    """The durable steps of one handler. Each outcome carries the time of its completion, for `status`."""

    ctx: restate.Context
    run: str  # the run's id, with its start: what a key must contain
    now: float
    spent: Spent = field(default_factory=Spent)

    async def step(self, name: str, act: Callable[[], Awaitable[Any]]) -> Any:
        async def timed() -> dict[str, Any]:
            return {"value": await act(), "at": time.time()}

        outcome = await self.ctx.run_typed(name, timed, AS_JSON)
        self.now = max(self.now, outcome["at"])
        return outcome["value"]

    async def model(self, name: str, ask: Callable[[int], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """One model call, tried five times within its step."""
        if self.spent.model_calls >= 200:
            raise TerminalError("the run has made its 200 model calls")
        self.spent.model_calls += 1

        async def tried() -> dict[str, Any]:
            for attempt in range(1, 6):
                try:
                    return await ask(attempt)
                except ModelUnavailable as error:
                    last = error
                    if attempt < 5:
                        await asyncio.sleep(error.retry_after or min(2.0 ** (attempt - 1), 30.0))
            raise TerminalError(f"the model did not answer: {last}")

        answer: dict[str, Any] = await self.step(name, tried)
        used = answer.get("usage_metadata") or {}
        self.spent.input_tokens += used.get("prompt_token_count", 0)
        self.spent.output_tokens += used.get("candidates_token_count", 0)
        return answer

    async def tool(self, name: str, act: Callable[[], Awaitable[Any]], attempts: int = 3) -> Any:
        """One tool call, tried within its step."""
        self.spent.tool_calls += 1

        async def tried() -> Any:
            for attempt in range(1, attempts + 1):
                try:
                    return await act()
                except ToolError as error:
                    raise TerminalError(str(error)) from None
                except Exception as error:
                    last = error
                    await asyncio.sleep(min(0.5 * 2 ** (attempt - 1), 30.0))
            raise TerminalError(f"{name} failed: {last}")

        return await self.step(name, tried)


# ---------------------------------------------------------------- agents


class DurableModel(BaseLlm):
    """Each call of the model is one durable step."""

    _ask: Callable[[LlmRequest], Awaitable[dict[str, Any]]] = PrivateAttr()

    def __init__(self, name: str, ask: Callable[[LlmRequest], Awaitable[dict[str, Any]]]) -> None:
        super().__init__(model=name)
        self._ask = ask

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        answer = await self._ask(llm_request)
        yield LlmResponse.model_validate_json(json.dumps(answer))  # only JSON mode reads what was bytes


class PolicyOf(BaseTool):
    """The lookup as one durable step; the lock because the context bears one waiter."""

    DECLARATION = types.FunctionDeclaration(
        name="policy_of",
        description="Looks up the policy that a claim belongs to.",
        parameters_json_schema={
            "type": "object",
            "properties": {"claim_id": {"type": "string", "description": "The claim's number."}},
            "required": ["claim_id"],
        },
    )

    def __init__(self, steps: Steps) -> None:
        super().__init__(name="policy_of", description="Looks up the policy that a claim belongs to.")
        self._steps = steps
        self._lock = asyncio.Lock()

    def _get_declaration(self) -> types.FunctionDeclaration:
        return self.DECLARATION

    async def run_async(self, *, args: dict[str, Any], tool_context: Any) -> Any:
        claim_id = args.get("claim_id")
        if not isinstance(claim_id, str):
            return {"error": "claim_id must be a string"}

        async def look_up() -> dict[str, Any]:
            try:
                return asdict(await asyncio.to_thread(insurance.policy_of, claim_id))
            except ToolError as error:  # for the model to hear of
                return {"error": str(error)}

        async with self._lock:
            return await self._steps.tool("policy_of", look_up)


async def turn(
    steps: Steps,
    node: str,
    agent: str,
    model: str,
    instruction: str,
    prompt: str,
    returns: type[BaseModel] | None = None,
    tools: tuple[BaseTool, ...] = (),
    temperature: float | None = None,
) -> str:
    """An agent's answer, which fits `returns`; one that does not goes back twice."""
    if returns is not None:
        instruction += f"\n\nGive your final answer as JSON that fits this JSON Schema:\n{_schema_text(returns)}"
    calls = 0

    async def ask(request: LlmRequest) -> dict[str, Any]:
        nonlocal calls
        calls += 1
        ids = str(calls)
        if returns is not None and not tools:
            request.config.response_mime_type = "application/json"
            request.config.response_json_schema = _schema(returns)
        told = sum(content.role == "model" for content in request.contents)
        return await steps.model(
            f"{node} model {ids}",
            lambda attempt: PROVIDER.answer((node, agent), prompt=prompt, turn=told, attempt=attempt, ids=ids),
        )

    adk = LlmAgent(
        name=agent,
        model=DurableModel(model, ask),
        instruction=lambda _: instruction,
        tools=list(tools),
        generate_content_config=types.GenerateContentConfig(temperature=temperature),
        disallow_transfer_to_parent=True,
        disallow_transfer_to_peers=True,
    )
    session = Session(id="turn", app_name="claim", user_id="user")
    text = prompt
    for _ in range(3):
        content = types.Content(role="user", parts=[types.Part(text=text)])
        session.events.append(Event(author="user", content=content))
        context = InvocationContext(
            session_service=InMemorySessionService(),
            invocation_id="turn",
            agent=adk,
            session=session,
            run_config=RunConfig(max_llm_calls=sys.maxsize - 1),
        )
        last: Event | None = None
        async with aclosing(adk.run_async(context)) as events:
            async for event in events:
                session.events.append(event)
                last = event
        parts = last.content.parts if last and last.content and last.content.parts else []
        answer = "".join(part.text for part in parts if part.text and not part.thought)
        if returns is None:
            return answer
        try:
            returns.model_validate_json(answer)
        except ValidationError as error:
            text = f"Your answer does not fit: {error}. Give the whole answer again."
        else:
            return answer
    raise TerminalError(f"{agent}: three answers, and none fits")


@lru_cache
def _schema(returns: type[BaseModel]) -> dict[str, Any]:
    return returns.model_json_schema()


@lru_cache
def _schema_text(returns: type[BaseModel]) -> str:
    return json.dumps(_schema(returns))


# ---------------------------------------------------------------- the reviews, each in an invocation of its own


class Asked(BaseModel):
    run: str
    now: float
    text: str


class Reviewed(BaseModel):
    finding: Finding
    at: float
    spent: dict[str, int]


reviews = restate.Service("claim_by_hand.reviews", ingress_private=True)


@reviews.handler()
async def medical(ctx: restate.Context, asked: Asked) -> Reviewed:
    steps = Steps(ctx, asked.run, asked.now)
    instruction = "You check whether the treatment matches the claim."
    answer = await turn(
        steps,
        "medical_review",
        "medical",
        "gemini-2.5-flash",
        instruction,
        asked.text,
        Finding,
        (PolicyOf(steps),),
    )
    return Reviewed(finding=Finding.model_validate_json(answer), at=steps.now, spent=vars(steps.spent))


@reviews.handler()
async def fraud(ctx: restate.Context, asked: Asked) -> Reviewed:
    steps = Steps(ctx, asked.run, asked.now)
    instruction = "You look for signs of fraud."
    answer = await turn(steps, "fraud_review", "fraud", "gemini-2.5-flash", instruction, asked.text, Finding)
    return Reviewed(finding=Finding.model_validate_json(answer), at=steps.now, spent=vars(steps.spent))


# ---------------------------------------------------------------- the approval

approvals = restate.Workflow("claim_by_hand.approvals")


@approvals.main(workflow_retention=RETENTION)
async def ask(ctx: restate.WorkflowContext, gate: dict[str, Any]) -> dict[str, Any]:
    """Waits a day for the claims desk, four hours more for its leads; then nobody has decided."""
    decision = ctx.promise("decision", type_hint=dict)
    value = decision.value()
    for person, hours in (("claims", 24), ("claims_leads", 4)):
        ctx.set("gate", {**gate, "state": "open", "approver": person})
        done, _ = await restate.wait_completed(value, ctx.sleep(timedelta(hours=hours)))
        if value in done:
            given: dict[str, Any] = await value
            break
    else:
        given = {"outcome": "expired", "by": None}
        await decision.resolve(given)
    ctx.set("gate", {**gate, "state": given["outcome"], "by": given["by"]})
    return given


@approvals.handler()
async def decide(ctx: restate.WorkflowSharedContext, given: dict[str, Any]) -> dict[str, Any]:
    gate: dict[str, Any] | None = await ctx.get("gate")
    if gate is None:
        raise TerminalError("no such approval is open", status_code=404)
    if gate["state"] != "open":
        raise TerminalError(f"already {gate['state']} by {gate['by']}", status_code=410)
    outcome = "approved" if given["decision"] == "approve" else "rejected"
    decision = {"outcome": outcome, "by": given.get("by")}
    promise: restate.context.DurablePromise[dict[str, Any]] = ctx.promise("decision", type_hint=dict)
    await promise.resolve(decision)
    return decision


# ---------------------------------------------------------------- the run

claims = restate.Workflow("claim_by_hand")
ADJUSTER = "You decide claims from the findings of your colleagues."


class Facts:
    """What `status` shows, in the run's state."""

    def __init__(self, ctx: restate.WorkflowContext, run: str, started: float) -> None:
        self.ctx = ctx
        self.about: dict[str, Any] = {"id": run, "graph": "claim_by_hand", "key": ctx.key(), "started": started}
        self.about |= {"revision": "1", "compensation": "none"}
        self.begun: dict[str, float] = {}
        self.spent: dict[str, int] = {}
        ctx.set("run", {**self.about, "state": "running"})

    def started(self, node: str, at: float) -> None:
        self.begun[node] = at
        self.ctx.set(f"node:{node}", {"state": "running", "started": at})

    def ended(self, node: str, state: str, at: float, spent: Spent) -> None:
        begun = {"started": self.begun[node]} if node in self.begun else {}
        self.ctx.set(f"node:{node}", {**begun, "state": state, "ended": at})
        if vars(spent) != self.spent:
            self.spent = dict(vars(spent))
            self.ctx.set("spent", self.spent)

    def end(self, state: str, at: float, spent: Spent, **more: Any) -> None:
        self.ctx.set("spent", vars(spent))
        self.ctx.set("run", {**self.about, **more, "state": state, "ended": at})


@claims.main(workflow_retention=RETENTION)
async def run(ctx: restate.WorkflowContext, claim: Claim) -> dict[str, Any]:
    started: float = await ctx.run_typed("start", _now, AS_JSON)
    steps = Steps(ctx, f"{ctx.request().id}.{int(started * 1000):x}", started)
    facts = Facts(ctx, steps.run, started)
    paid: dict[str, Any] | None = None
    try:
        findings = await _review(steps, facts, claim)
        decision = await _decide(steps, facts, claim, findings)
        paid = await _pay(steps, facts, claim, decision)
        letter = await _write(steps, facts, claim, paid)
    except TerminalError as error:
        if paid is not None:
            await _refund(steps, paid["id"])
        facts.end("failed", steps.now, steps.spent, error=error.message, undone=paid is not None)
        raise
    facts.end("succeeded", steps.now, steps.spent)
    return {"decision": decision.decision, "receipt": paid["id"] if paid else None, "letter": letter}


async def _now() -> float:
    return time.time()


async def _review(steps: Steps, facts: Facts, claim: Claim) -> tuple[Finding, Finding]:
    """Both reviews at the same time."""
    asked = Asked(run=steps.run, now=steps.now, text=claim.text)
    facts.started("medical_review", steps.now)
    first = steps.ctx.service_call(medical, asked)
    facts.started("fraud_review", steps.now)
    second = steps.ctx.service_call(fraud, asked)
    await restate.gather(first, second)
    reviewed = await first, await second
    for name, review in zip(("medical_review", "fraud_review"), reviewed, strict=True):
        steps.now = max(steps.now, review.at)
        steps.spent.add(review.spent)
        facts.ended(name, "succeeded", review.at, steps.spent)
    return reviewed[0].finding, reviewed[1].finding


async def _decide(steps: Steps, facts: Facts, claim: Claim, findings: tuple[Finding, Finding]) -> Decision:
    treatment, deceit = findings
    prompt = (
        f"Claim {claim.claim_id} over {claim.amount}.\n"
        f"Medical: {treatment.reason} ({treatment.risk})\n"
        f"Fraud: {deceit.reason} ({deceit.risk})\n"
    )
    facts.started("decide", steps.now)
    answer = await turn(steps, "decide", "adjuster", "gemini-2.5-pro", ADJUSTER, prompt, Decision, temperature=0)
    facts.ended("decide", "succeeded", steps.now, steps.spent)
    return Decision.model_validate_json(answer)


async def _pay(steps: Steps, facts: Facts, claim: Claim, decision: Decision) -> dict[str, Any] | None:
    """Pays what is to be paid, after a person's word where it is much."""
    approved = decision.decision == "pay"
    if approved and decision.amount > 1000:
        facts.started("sign_off", steps.now)
        message = f"Pay {decision.amount} to {claim.holder}? {decision.reason}"
        key = f"{facts.about['key']}/sign_off"
        given = await steps.ctx.workflow_call(ask, key, {"message": message})
        approved = given["outcome"] == "approved"
        facts.ended("sign_off", "succeeded", steps.now, steps.spent)
    else:
        facts.ended("sign_off", "skipped", steps.now, steps.spent)
    if not approved:
        facts.ended("payment", "skipped", steps.now, steps.spent)
        return None
    facts.started("payment", steps.now)
    key = f"{steps.run}:payment"

    async def pay() -> dict[str, Any]:
        return asdict(await insurance.pay(claim.claim_id, decision.amount, key))

    paid: dict[str, Any] = await steps.tool("payment", pay, attempts=5)
    facts.ended("payment", "succeeded", steps.now, steps.spent)
    return paid


async def _refund(steps: Steps, payment: str) -> None:
    async def refund() -> dict[str, Any]:
        return asdict(await insurance.refund(payment, f"{steps.run}:payment:undo"))

    await steps.tool("undo payment", refund)


async def _write(steps: Steps, facts: Facts, claim: Claim, paid: dict[str, Any] | None) -> str:
    facts.started("letter", steps.now)
    prompt = f"Write to {claim.holder}: {'paid' if paid else 'not paid'}."
    answer = await turn(steps, "letter", "adjuster", "gemini-2.5-pro", ADJUSTER, prompt, temperature=0)
    facts.ended("letter", "succeeded", steps.now, steps.spent)
    return answer


@claims.handler()
async def status(ctx: restate.WorkflowSharedContext) -> dict[str, Any]:
    return {name: await ctx.get(name) for name in await ctx.state_keys()}


SERVICES = [claims, reviews, approvals]
