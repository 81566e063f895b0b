"""Tries of a durable step, and how they are broken off."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from agentflow import ToolError
from agentflow.runtime import steps
from agentflow.runtime.graph import Retry, Tool

ONCE = Retry(attempts=1)


def model(call: Callable[[int], Awaitable[dict[str, Any]]], stop: steps.Stop) -> Awaitable[steps.Outcome]:
    return steps.model_step(call, ONCE, stop)


def tool(call: Callable[[int], Awaitable[dict[str, Any]]], stop: steps.Stop) -> Awaitable[steps.Outcome]:
    async def function() -> dict[str, Any]:
        return await call(1)

    return steps.tool_step(Tool("tool", function, timeout=None), {}, "key", ONCE, stop)


@pytest.mark.parametrize("step", [model, tool])
def test_a_cut_ends_the_try(step: Callable[..., Awaitable[steps.Outcome]]) -> None:
    ended: list[str] = []

    async def slow(attempt: int) -> dict[str, Any]:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return {}

    async def main() -> steps.Outcome:
        stop = steps.Stop()
        asyncio.get_running_loop().call_later(0.02, stop.break_off)
        outcome = await step(slow, stop)
        await asyncio.sleep(0)
        return outcome

    outcome = asyncio.run(asyncio.wait_for(main(), 2))
    assert "cut off" in outcome["failed"]["message"]
    assert ended == ["cancelled"]


@pytest.mark.parametrize("step", [model, tool])
def test_what_is_cut_before_it_begins_is_not_tried(step: Callable[..., Awaitable[steps.Outcome]]) -> None:
    async def never(attempt: int) -> dict[str, Any]:
        raise AssertionError

    async def main() -> steps.Outcome:
        stop = steps.Stop()
        stop.break_off()
        stop.break_off()
        return await step(never, stop)

    assert "cut off" in asyncio.run(main())["failed"]["message"]


@pytest.mark.parametrize("step", [model, tool])
def test_a_cut_at_the_moment_of_the_answer_disturbs_nothing_after_it(
    step: Callable[..., Awaitable[steps.Outcome]],
) -> None:
    async def main() -> str:
        stop = steps.Stop()

        async def answers(attempt: int) -> dict[str, Any]:
            await asyncio.sleep(0)
            stop.break_off()  # takes effect in the loop's next turn, when the answer is there
            return {"answer": 42}

        outcome = await step(answers, stop)
        assert outcome["value"] == {"answer": 42}
        await asyncio.sleep(0.01)
        return "undisturbed"

    assert asyncio.run(main()) == "undisturbed"


@pytest.mark.parametrize("step", [model, tool])
def test_a_cancel_from_outside_is_no_outcome(step: Callable[..., Awaitable[steps.Outcome]]) -> None:
    """The SDK cancels what runs when the engine goes away; nothing may be journaled then."""

    async def slow(attempt: int) -> dict[str, Any]:
        await asyncio.sleep(10)
        return {}

    async def main() -> None:
        work = asyncio.ensure_future(step(slow, steps.Stop()))
        await asyncio.sleep(0.01)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(asyncio.wait_for(main(), 2))


def test_a_tool_that_ignores_its_cancel_does_not_hold_the_step() -> None:
    async def deaf() -> None:
        for _ in range(20):
            try:
                await asyncio.sleep(0.02)
            except asyncio.CancelledError:
                continue

    async def main() -> steps.Outcome:
        stop = steps.Stop()
        asyncio.get_running_loop().call_later(0.02, stop.break_off)
        began = asyncio.get_running_loop().time()
        outcome = await steps.tool_step(Tool("deaf", deaf), {}, "key", ONCE, stop)
        assert asyncio.get_running_loop().time() - began < 0.2
        return outcome

    assert asyncio.run(main())["failed"]["unknown"]


def test_a_tool_error_is_told() -> None:
    def refuses() -> None:
        raise ToolError("no such claim")

    async def main() -> steps.Outcome:
        return await steps.tool_step(Tool("refuses", refuses), {}, "key", None, steps.Stop())

    failed = asyncio.run(main())["failed"]
    assert (failed["told"], failed["message"]) == (True, "no such claim")


async def _exits() -> Any:
    raise SystemExit(3)


def _exits_in_thread() -> Any:
    raise SystemExit("enough")


def _runs_dry() -> Any:
    return next(iter([]))


async def _cancels() -> Any:
    raise asyncio.CancelledError


@pytest.mark.parametrize("function", [_exits, _exits_in_thread, _runs_dry, _cancels])
def test_a_function_cannot_end_the_process_that_runs_it(function: Callable[[], Any]) -> None:
    async def tried() -> steps.Outcome:
        step = steps.tool_step(Tool("tool", function), {}, "key", ONCE, steps.Stop())
        return await asyncio.wait_for(step, 5)

    assert "RuntimeError" in asyncio.run(tried())["failed"]["message"]


@pytest.mark.parametrize(
    ("result", "why"),
    [(float("nan"), "NaN"), ("a\ud800b", "surrogates"), (b"\xff", "utf-8"), (object(), "unknown type")],
)
def test_a_result_that_is_not_json_says_why(result: object, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        steps.to_json(result)


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert steps.to_json({"a": "😀"}) == {"a": "😀"}


def test_functions_that_wait_in_threads_wait_together() -> None:
    together = threading.Barrier(40)

    def waits() -> str:
        together.wait(60)
        return "waited"

    async def all_of_them() -> list[steps.Outcome]:
        tried = [steps.tool_step(Tool("tool", waits), {}, "key", ONCE, steps.Stop()) for _ in range(40)]
        return list(await asyncio.gather(*tried))

    assert {outcome["value"] for outcome in asyncio.run(all_of_them())} == {"waited"}
