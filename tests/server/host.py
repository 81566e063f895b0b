"""Serves modules to the engine, as the service process does, with nothing around it.

It imports once what is slow to import, then forks a service for each line of JSON on stdin and prints its pid, so that
killing a service and starting it again takes a moment. Each service writes to `steps.jsonl` beside the effects which
durable steps it carries out, so that a step done twice is seen. Hooks, by environment:

AGENTFLOW_TEST_JITTER     seconds, at most, by which a model's offline answer is late (and each tool, see `desk`)
AGENTFLOW_TEST_DIE_AT     the service exits at this entry: each write to the journal counts, and each result of a step
AGENTFLOW_TEST_HOLD_AT    at this entry it stands still for as long as there is a file `held` beside the effects
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import importlib.util
import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any, cast

import google.adk.agents.llm_agent
import restate
import restate.vm
from hypercorn.asyncio import serve
from hypercorn.config import Config

import agentflow.runtime
import agentflow.runtime.agents
import agentflow.runtime.gemini
from agentflow.runtime import replies, steps

LOADED = (google.adk.agents.llm_agent, agentflow.runtime.agents, agentflow.runtime.gemini)  # what takes long


def load(path: Path) -> list[object]:
    spec = importlib.util.spec_from_file_location(f"served_{path.stem}_{abs(hash(str(path)))}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    services: list[object] = module.SERVICES
    return services


def watch_steps(log: Path) -> None:
    """Writes down the beginning and the end of each durable step that is carried out."""
    journaled = steps.journaled

    def watched(
        ctx: restate.Context, name: str, closure: Callable[[], Awaitable[steps.Outcome]], stop: steps.Stop | None = None
    ) -> restate.RestateDurableFuture[steps.Outcome]:
        about = {"invocation": ctx.request().id, "name": name}

        async def carried_out() -> steps.Outcome:
            write(log, **about, event="begin")
            outcome = await closure()
            write(log, **about, event="done", failed="failed" in outcome)
            return outcome

        return journaled(ctx, name, carried_out, stop)

    steps.journaled = watched


def write(log: Path, **line: Any) -> None:
    with log.open("a") as file:
        file.write(json.dumps({**line, "at": time.time()}) + "\n")


def answer_late(jitter: float) -> None:
    answer = replies.Replies.answer

    async def late(self: replies.Replies, names: Sequence[str], **more: Any) -> Any:
        await asyncio.sleep(random.random() * jitter)
        return await answer(self, names, **more)

    replies.Replies.answer = late  # type: ignore[method-assign]


def stand_still(held: Path) -> None:
    """The whole process, until somebody takes the file away."""
    held.touch()
    while held.exists():
        time.sleep(0.01)


def at_entry(entry: int, happen: Callable[[], object]) -> None:
    """Something happens before the `entry`-th write to any journal, counted from 1, gets there."""
    counted = 0
    vm: Any = restate.vm.VMWrapper

    def counting(name: str) -> None:
        original = getattr(vm, name)

        def wrapper(self: Any, *args: Any, **more: Any) -> Any:
            nonlocal counted
            if name.startswith("propose_") or not self.is_replaying():
                counted += 1
                if counted == entry:
                    happen()
            return original(self, *args, **more)

        setattr(vm, name, wrapper)

    for name in dir(vm):
        if name.startswith(("sys_", "propose_run_completion_success")) and name != "sys_input":
            counting(name)


def child(order: dict[str, Any]) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: nothing outlives the tests
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.path.insert(0, order["root"])
    watch_steps(Path(order["log"]).with_name("steps.jsonl"))
    if jitter := float(os.environ.get("AGENTFLOW_TEST_JITTER", "0")):
        answer_late(jitter)
    if entry := int(os.environ.get("AGENTFLOW_TEST_DIE_AT", "0")):
        at_entry(entry, lambda: os._exit(9))
    if entry := int(os.environ.get("AGENTFLOW_TEST_HOLD_AT", "0")):
        at_entry(entry, lambda: stand_still(Path(order["log"]).with_name("held")))
    services = [service for module in order["modules"] for service in load(Path(module))]
    config = Config()
    config.bind = [f"127.0.0.1:{order['port']}"]
    config.keep_alive_max_requests = 2**62
    config.keep_alive_timeout = 3600
    asyncio.run(serve(restate.app(services), config))  # type: ignore[arg-type]


class Warming:
    """A run that answers at once: the first turn of a process takes ADK half a second."""

    path = "warming"
    scope: Mapping[str, Any] = MappingProxyType({"input": {}, "run": {}})
    replies = None
    invocation = SimpleNamespace(graph=SimpleNamespace(agents={}), now=0.0)

    async def model_call(self, *asked: object) -> dict[str, Any]:
        return {"content": {"role": "model", "parts": [{"text": "warm"}]}}

    def working(self, agent: object, before: object) -> AbstractContextManager[None]:
        return nullcontext()


def main() -> None:
    agent: Any = agentflow.runtime.Agent("warming", agentflow.runtime.Model("default", "none"), "Get warm.")
    asyncio.run(agentflow.runtime.agents.turn(cast("Any", Warming()), agent, "Well?"))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead leave nothing behind
    gc.freeze()
    print("ready", flush=True)
    while line := sys.stdin.readline():
        pid = os.fork()
        if pid == 0:
            try:
                child(json.loads(line))
            except BaseException:  # whatever ends it: a fork never comes back into the loop of who made it
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(1)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
