"""One durable step: the closure that the engine runs at least once and whose outcome it journals.

Tries again happen in here, not in the engine: an engine retry ends the whole attempt and restarts
every step in flight beside it. Only the outcome is journaled, as
`{"value": ..., "began": seconds, "at": seconds, "tries": n}` or, in place of the value,
`{"failed": {kind, code, message, told, unknown}}`. It began when this process did, after a crash.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import json
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import restate
from pydantic_core import PydanticSerializationError, to_jsonable_python
from restate.exceptions import RetryableError, TerminalError
from restate.server_context import restate_context_is_replaying

from agentflow import ToolError
from agentflow.durations import milliseconds
from agentflow.runtime import clock, rehearsal
from agentflow.runtime.errors import ModelUnavailable, NodeError, ToolUnavailable
from agentflow.runtime.graph import MODEL_RETRY, Retry, Tool
from agentflow.runtime.kept import Kept
from agentflow.runtime.operations import Asking, Operation
from agentflow.runtime.schema import Mismatch, bind
from agentflow.runtime.secrets import mask
from agentflow.types import Json

if TYPE_CHECKING:
    from agentflow.runtime.stage import Case

Outcome = dict[str, Any]

# Tries inside one attempt when the policy names no number; then the engine backs off, and pauses for a person.
PATIENT = Retry(attempts=3, initial="100ms", max="1s")
LARGEST = 16 * 1024 * 1024  # bytes of a result; the engine takes messages of 32 MiB


class StepUnavailable(RetryableError):
    """Handed to the engine, which tries the step again later. Its text is shown in `status`."""


@dataclass
class Stop:
    """What a handler tells a step that it has started: try no more (`ended`), or break off what is being tried (`cut`).

    `may_have_run`: the step is in the journal already, so an attempt before this one may have tried it.
    """

    ended: asyncio.Event = field(default_factory=asyncio.Event)
    cut: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    may_have_run: bool = field(default_factory=restate_context_is_replaying.get)
    last: float = math.inf  # by this process's clock: when it breaks off by itself

    @contextlib.contextmanager
    def in_time(self) -> Iterator[None]:
        """Breaks off what goes on within once `last` has come."""
        if self.last == math.inf:
            yield
            return

        def late() -> None:
            self.ended.set()
            self.break_off()

        with clock.calling(late, self.last):
            yield

    def break_off(self) -> None:
        if not self.cut.done():
            self.cut.set_result(None)


class _Cut(Exception):
    """The try was cut off: by the time limit of its node, or because nobody wants its result."""


def describe(error: BaseException) -> str:
    """One line for people: what an exception says, and its class where that adds something."""
    text = str(error).strip() or type(error).__name__
    plain = isinstance(error, (ToolError, TerminalError, ToolUnavailable))
    return mask(text if plain else f"{type(error).__name__}: {text}")


def to_json(value: object) -> Json:
    """`value` as JSON; dataclasses, pydantic models, enumerations and dates become what they look like.

    Raises ValueError for what is not JSON, NaN, half a character, or too large.
    """
    try:
        plain = to_jsonable_python(value, inf_nan_mode="constants")
        text = json.dumps(plain, allow_nan=False)
        if "\\ud" in text:
            json.dumps(plain, ensure_ascii=False).encode()
    except (PydanticSerializationError, UnicodeError) as error:
        raise ValueError(f"is not JSON: {error}") from None
    except ValueError:
        raise ValueError("is not JSON: it contains NaN or an infinity") from None
    if len(text) > LARGEST:
        raise ValueError(f"is {len(text)} bytes as JSON; at most {LARGEST} can be kept")
    result: Json = plain
    return result


def encoded(value: Json) -> bytes:
    """What an invocation answers with. Raises NodeError for what is not JSON."""
    try:
        return json.dumps(to_json(value), separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except ValueError as error:
        raise NodeError("output", f"the output {error}") from None


async def now() -> Outcome:
    """A step that only learns the time."""
    return {"at": clock.time()}


def failure(
    kind: str, error: BaseException | str, *, code: int = 500, told: bool = False, unknown: bool = False, tries: int = 1
) -> Outcome:
    text = error if isinstance(error, str) else describe(error)
    failed = {"kind": kind, "code": code, "message": text, "told": told, "unknown": unknown}
    return {"failed": failed, "at": clock.time(), "tries": tries}


def success(value: object, tries: int, last: BaseException | None) -> Outcome:
    """With what went wrong in the try before, if there was one."""
    about = {} if last is None else {"last_error": describe(last)}
    return {"value": value, "at": clock.time(), "tries": tries, **about}


def error_of(outcome: Outcome, node: str) -> NodeError:
    """The failure in an outcome, as the node's."""
    failed = outcome["failed"]
    return NodeError(
        failed["kind"],
        failed["message"],
        code=failed["code"],
        node=node,
        unknown=failed["unknown"],
        told=failed["told"],
    )


EXITS = (SystemExit, KeyboardInterrupt)


def exited(error: BaseException) -> RuntimeError:
    """A function that wants to end the process has failed like any other: the process is everybody's."""
    return RuntimeError(f"it raised {type(error).__name__}{f': {error}' if str(error) else ''}")


# Functions that are not async run here, and mostly wait; asyncio's own threads are about as many as there are cores.
THREADS = ThreadPoolExecutor(100, "tool")


def _in_thread(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    try:
        return function(**arguments)
    except (*EXITS, StopIteration) as error:  # asyncio's futures take none of these
        raise exited(error) from None


async def call(tool: Tool, args: Mapping[str, Json], key: str, state: dict[str, Json] | None = None) -> Json:
    """Calls what the tool does once; a function that is not async in a thread. It may change `state`."""
    try:
        if not isinstance(tool.does, Asking) and (case := rehearsal.current()) is not None:
            result = await _rehearsed(case, tool, args, key, state)
        else:
            result = await _do(tool, args, key, state)
    except Mismatch as mismatch:
        raise NodeError("tool", f"{tool.name}: the arguments do not fit: {mismatch}", code=400) from None
    try:
        return to_json(result)
    except ValueError as error:  # stays so, however often it is tried
        raise NodeError("tool", f"the result of {tool.name} {error}") from None


async def _do(tool: Tool, args: Mapping[str, Json], key: str, state: dict[str, Json] | None) -> object:
    if isinstance(tool.does, Operation):
        return await tool.does.call(tool.does.parameters.check(args), key)
    return await _apply(tool.does, args, key, state)


async def _rehearsed(
    case: Case, tool: Tool, args: Mapping[str, Json], key: str, state: dict[str, Json] | None
) -> object:
    """What stands in for the tool gets arguments that fit, or none."""
    if isinstance(tool.does, Operation):
        tool.does.parameters.check(args)
    else:
        bind(tool.does, args, idempotency_key=key, state=state)
    result = await case.play(tool, args, key, state)
    return await _do(tool, args, key, state) if result is rehearsal.REAL else result


async def _apply(
    function: Callable[..., Any], args: Mapping[str, Json], key: str, state: dict[str, Json] | None
) -> object:
    arguments = bind(function, args, idempotency_key=key, state=state)
    if not inspect.iscoroutinefunction(function):
        thread = partial(contextvars.copy_context().run, _in_thread, function, arguments)
        return await asyncio.get_running_loop().run_in_executor(THREADS, thread)
    try:
        return await function(**arguments)
    except EXITS as error:
        raise exited(error) from None


async def _bounded(make: Callable[[], Awaitable[Any]], timeout: str | None, stop: Stop) -> Any:
    """One try, ended by its own time limit or when it is cut off."""
    if stop.cut.done():
        raise _Cut
    work = asyncio.ensure_future(make())
    try:
        seconds = None if timeout is None else milliseconds(timeout) / 1000
        await asyncio.wait({work, stop.cut}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if work.cancelled():  # by itself: nobody else has had the time
            raise RuntimeError("it was cancelled from within")
        if work.done():
            return work.result()
        if stop.cut.done():
            raise _Cut
        raise TimeoutError(f"no answer in {timeout}")
    finally:
        work.cancel()


async def _cuttable(make: Callable[[], Awaitable[Any]], stop: Stop) -> Any:
    """One try of what ends promptly when it is cancelled, as a model's client does: without a task of its own."""
    if stop.cut.done():
        raise _Cut
    task = asyncio.current_task()
    assert task is not None
    trying = True

    def cut(_: object) -> None:
        if trying:
            task.cancel()

    stop.cut.add_done_callback(cut)
    try:
        return await make()
    except asyncio.CancelledError:
        if stop.cut.done() and task.uncancel() == 0:
            raise _Cut from None
        raise
    finally:
        trying = False
        stop.cut.remove_done_callback(cut)


async def _pause(seconds: float, stop: Stop) -> None:
    """Waits between two tries, but no longer than until somebody says stop."""
    await clock.until(stop.ended.wait(), seconds)


async def tool_step(
    tool: Tool, args: Mapping[str, Json], key: str, retry: Retry | None, stop: Stop, kept: Kept | None = None
) -> Outcome:
    """The durable step of a tool: tries until an outcome is certain, then returns it.

    What a tool that takes the state of an object has changed in it is in the outcome, under `state`.

    Raises StepUnavailable, for the engine to go on, when the policy names no number of attempts.
    """
    policy = retry or PATIENT
    bounded = retry is not None and (retry.attempts is not None or retry.within is not None)
    began = clock.monotonic()
    tries = 0
    unknown = False  # whether one of the tries may have taken effect, though it failed
    last: Exception | None = None
    if stop.ended.is_set():
        return failure("cancelled", f"{tool.name} was not tried", code=499, unknown=stop.may_have_run)
    while True:
        tries += 1
        try:
            state = kept.mapping() if kept is not None and tool.takes_state else None
            outcome = success(await _bounded(partial(call, tool, args, key, state), tool.timeout, stop), tries, last)
            return outcome if state is None or kept is None else {**outcome, **changed(tool, kept, state)}
        except _Cut:
            return failure("timeout", f"{tool.name} was cut off", code=504, unknown=True, tries=tries)
        except ToolError as error:
            return failure("tool", error, told=True, unknown=unknown, tries=tries)
        except TerminalError as error:
            return failure("tool", error, code=error.status_code, unknown=unknown, tries=tries)
        except NodeError as error:
            unknown = unknown or error.unknown
            told, text = error.told, mask(error.message)
            return failure(error.kind, text, code=error.code, told=told, unknown=unknown, tries=tries)
        except Exception as error:  # the tool's own: whatever is not known to be final may pass
            last = error
        kind = "timeout" if isinstance(last, TimeoutError) else "tool"
        unknown = unknown or _unknown(last)
        spent_all = policy.attempts is not None and tries >= policy.attempts
        late = policy.within is not None and (clock.monotonic() - began) * 1000 >= milliseconds(policy.within)
        if stop.ended.is_set() or (bounded and (spent_all or late)):
            note = f"{tool.name} failed after {tries} {'try' if tries == 1 else 'tries'}: {describe(last)}"
            return failure(kind, note, code=_code(last), unknown=unknown, tries=tries)
        if not bounded and spent_all:
            raise StepUnavailable(f"{tool.name}: {describe(last)}") from None
        after = getattr(last, "retry_after", None)
        await _pause(after if isinstance(after, (int, float)) else policy.pause(tries), stop)


def _unknown(error: Exception) -> bool:
    return error.unknown if isinstance(error, ToolUnavailable) else isinstance(error, (TimeoutError, ConnectionError))


def _code(error: Exception) -> int:
    if isinstance(error, ToolUnavailable):
        return error.code
    return 504 if isinstance(error, TimeoutError) else 500


def changed(tool: Tool, kept: Kept, state: dict[str, Json]) -> Outcome:
    """What a tool has changed in the state that it was given, as a part of its outcome."""
    try:
        after = to_json(state)
        assert isinstance(after, dict)
        changes = kept.changes(after)
    except Mismatch as mismatch:
        raise NodeError("tool", f"{tool.name}: the state that it leaves does not fit: {mismatch}") from None
    except ValueError as error:
        raise NodeError("tool", f"{tool.name}: the state that it leaves {error}") from None
    return {"state": changes} if changes else {}


async def model_step(call: Callable[[int], Awaitable[dict[str, Any]]], retry: Retry, stop: Stop) -> Outcome:
    """The durable step of a model call: `call(attempt)`, from 1 to at most `retry.attempts`."""
    attempts = retry.attempts or MODEL_RETRY.attempts or 1
    last: ModelUnavailable | None = None
    for attempt in range(1, attempts + 1):
        try:
            return success(await _cuttable(partial(call, attempt), stop), attempt, last)
        except _Cut:
            return failure("model", "the model call was cut off", code=499)
        except NodeError as error:
            return failure(error.kind, mask(error.message), code=error.code)
        except ModelUnavailable as error:
            last = error
        if stop.ended.is_set():
            break
        if attempt < attempts:
            await _pause(retry.pause(attempt) if last.retry_after is None else last.retry_after, stop)
    assert last is not None
    tries = "1 try" if attempt == 1 else f"{attempt} tries"
    message = f"the model did not answer in {tries}: {mask(last.message)}"
    return failure("model", message, code=last.code, tries=attempt)


def journaled(
    ctx: restate.Context, name: str, closure: Callable[[], Awaitable[Outcome]], stop: Stop | None = None
) -> restate.RestateDurableFuture[Outcome]:
    """Starts a closure as a durable step called `name`; its outcome is kept as JSON."""

    async def run() -> Outcome:
        began = clock.time()
        with stop.in_time() if stop is not None else contextlib.nullcontext():
            outcome = await closure()
        if "tries" in outcome:
            outcome["began"] = min(began, outcome["at"])
        return outcome

    return ctx.run_typed(name, run, restate.RunOptions(serde=_JSON))


_encoded = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class _JsonSerde(restate.serde.Serde[Outcome]):
    def serialize(self, obj: Outcome | None) -> bytes:
        return _encoded(obj).encode()

    def deserialize(self, buf: bytes) -> Outcome | None:
        result: Outcome | None = json.loads(buf) if buf else None
        return result


_JSON = _JsonSerde()
