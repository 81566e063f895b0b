"""A hundred agents side by side, written by hand: one `service_call` for each, taken as they end, or gathered.

What it does for a run is what the graph does: a fresh ADK agent in each call, its model call one durable step with
bounded tries (see `claim_by_hand`), what each spent handed up, and a fact in the run's state when one has ended.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import restate
from claim_by_hand import Spent, Steps, turn
from pydantic import BaseModel


class Crowd(BaseModel):
    items: list[str]


class Asked(BaseModel):
    run: str
    now: float
    item: str
    at: int


class Answered(BaseModel):
    text: str
    at: float
    spent: dict[str, int]


workers = restate.Service("crowd_by_hand.workers", ingress_private=True)


@workers.handler()
async def worker(ctx: restate.Context, asked: Asked) -> Answered:
    steps = Steps(ctx, asked.run, asked.now)
    text = await turn(steps, "work", "worker", "gemini-2.5-flash", "You work.", f"Work on {asked.item}.")
    return Answered(text=text, at=steps.now, spent=vars(steps.spent))


async def now() -> float:
    return time.time()


crowd = restate.Workflow("crowd_by_hand")
gathered = restate.Workflow("crowd_gathered")


@crowd.main(name="run", workflow_retention=timedelta(days=7))
async def as_they_end(ctx: restate.WorkflowContext, given: Crowd) -> list[str]:
    """Tells of each when it ends, and fails with the first that does."""
    about, calls = await begin(ctx, given)
    places = {call: at for at, call in enumerate(calls)}
    answers: dict[int, Answered] = {}
    async for call in restate.as_completed(*calls):
        at = places[call]
        answers[at] = await call
        landed(ctx, about, at, answers[at])
    return end(ctx, about, [answers[at] for at in range(len(calls))])


@gathered.main(name="run", workflow_retention=timedelta(days=7))
async def together(ctx: restate.WorkflowContext, given: Crowd) -> list[str]:
    """Tells of all when the last has ended."""
    about, calls = await begin(ctx, given)
    await restate.gather(*calls)
    answers = [await call for call in calls]
    for at, answer in enumerate(answers):
        landed(ctx, about, at, answer)
    return end(ctx, about, answers)


async def begin(ctx: restate.WorkflowContext, given: Crowd) -> tuple[dict[str, Any], list[Any]]:
    began = await ctx.run_typed("start", now)
    identity = f"{ctx.request().id}.{int(began * 1000):x}"
    about = {"id": identity, "key": ctx.key(), "started": began}
    ctx.set("run", {**about, "state": "running"})
    calls = []
    for at, item in enumerate(given.items):
        ctx.set(f"node:{at}", {"state": "running", "started": began})
        calls.append(ctx.service_call(worker, Asked(run=identity, now=began, item=item, at=at)))
    return about, calls


def landed(ctx: restate.WorkflowContext, about: dict[str, Any], at: int, answer: Answered) -> None:
    ctx.set(f"node:{at}", {"state": "succeeded", "started": about["started"], "ended": answer.at})


def end(ctx: restate.WorkflowContext, about: dict[str, Any], answers: list[Answered]) -> list[str]:
    spent = Spent()
    for answer in answers:
        spent.add(answer.spent)
    ctx.set("spent", vars(spent))
    ctx.set("run", {**about, "state": "succeeded", "ended": max(answer.at for answer in answers)})
    return [answer.text for answer in answers]


SERVICES = [crowd, gathered, workers]
