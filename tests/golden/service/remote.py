"""The graph remote.

Made by agentflow 0.1.0 from service/graph.yaml,
sha256 906ec27e7f46aeb4aa9a2632f20c1fa02338521eaeae87925ff10686cd99751d.
Change the graph and compile it again: what is changed here is lost.
"""

from __future__ import annotations

from typing import Literal

from agentflow import runtime as af


class Score(af.Type):
    risk: Literal["low", "high"]
    points: int


class Input(af.Type):
    customer: str
    amount: af.Number


class AccountReturns(af.Type):
    id: str


GRAPH = af.Graph(
    "remote",
    kind="workflow",
    revision="3da1be84",
    source="service/graph.yaml",
    input=Input,
    limits=af.Limits(model_calls=200, tool_calls=500, handoffs=20, fan_out=1000),
)


@af.node("score", line=7, uses=["input"], timeout="1h")
async def score(run: af.Run) -> af.Json:
    callee = await run.known(af.CalledService("Scoring/rate", returns=Score))
    return await run.land(
        run.call_out(
            callee,
            {"customer": "{{ input.customer }}", "amount": "{{ input.amount }}"},
        ),
    )


@af.node("account", line=12)
def account(run: af.Run) -> af.Flight:
    return run.call_out(
        af.CalledService("accounts/open", returns=AccountReturns),
        "{{ input.amount }}",
        key="{{ input.customer }}",
    )


@af.node("ping", line=13, uses=[], on_error="continue")
async def ping(run: af.Run) -> af.Json:
    callee = await run.known(af.CalledService("Health/ping"))
    return await run.call_again(callee, retry=af.Retry(attempts=2))


@af.node(
    "tell",
    line=14,
    when='score.risk == "high"',
    needs=["score", "account"],
    uses=["score", "account"],
)
async def tell(run: af.Run) -> af.Json:
    callee = await run.known(af.CalledService("mail.queue/put"))
    return run.send(callee, [1, "{{ account.id }}"], delay="5m")


async def remote(run: af.Run) -> af.Json:
    """The nodes in the order in which they run."""
    await run.together(score, account, ping, tell)
    return run.value({"points": "{{ score.points }}", "ping": "{{ ping }}"})


SERVICES = [
    af.workflow(GRAPH, remote),
    af.own_invocations(GRAPH, score=score, ping=ping, tell=tell),
]
