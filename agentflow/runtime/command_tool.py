"""Tools that are a command: a list of arguments, never a shell.

The command sees PATH, HOME, LANG and what the graph gives it, no more of the service's environment. It is killed with
all that it started when its time is up, when nobody wants its result, and when it prints too much.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from agentflow.runtime import results, templates
from agentflow.runtime.arguments import Arguments
from agentflow.runtime.errors import NodeError, TemplateError, ToolUnavailable
from agentflow.runtime.operations import Operation
from agentflow.runtime.schema import Mismatch
from agentflow.runtime.secrets import Env, mask, mask_json, resolved
from agentflow.types import Json

LARGEST = 4 * 1024 * 1024  # bytes of what a command prints
KEPT = ("PATH", "HOME", "LANG")
_TAIL = 2000  # bytes of its errors that are kept
_LINES = 5  # of them that are shown
_LEFT_OPEN = 1.0  # seconds for what a command has left running, and which still holds its output


@dataclass(frozen=True, eq=False)
class Command(Operation):
    words: tuple[str, ...]  # each a template of one argument
    args: Any = None
    env: Mapping[str, str | Env] = field(default_factory=dict)
    returns: Any = str

    @cached_property
    def parameters(self) -> Arguments:
        return Arguments(self.args, f"Runs {self.words[0]}.")

    async def call(self, args: Mapping[str, Json], key: str) -> Json:
        scope = self.parameters.scope(args, key)
        words = [_word(template, scope) for template in self.words]
        output = await run(words, environment(self.env))
        try:
            return mask_json(results.read(output, self.returns))
        except Mismatch as mismatch:
            about = f"what {self.words[0]} printed does not fit what is expected: {mismatch}"
            raise NodeError("tool", about, unknown=True) from None


def command(
    words: Sequence[str], *, args: Any = None, env: Mapping[str, str | Env] | None = None, returns: Any = str
) -> Operation:
    """A program and its arguments. What it prints is the value, read as JSON unless `returns` is a text."""
    return Command(tuple(words), args, env or {}, returns)


def _word(template: str, scope: Mapping[str, Json]) -> str:
    try:
        text = templates.text(template, scope)
    except TemplateError as error:
        raise NodeError("tool", str(error), code=400) from None
    if "\0" in text:
        raise NodeError("tool", "an argument of a command cannot hold a NUL character", code=400, told=True)
    return text


def environment(given: Mapping[str, str | Env]) -> dict[str, str]:
    """The environment of a process that a graph starts."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return kept | {name: resolved(value, f"env {name}") for name, value in given.items()}


async def run(words: Sequence[str], env: Mapping[str, str]) -> str:
    """Runs a command to its end, and gives what it printed."""
    name = words[0]
    try:
        transport, said = await asyncio.get_running_loop().subprocess_exec(
            _Said,
            *words,
            env=dict(env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # a process group of its own, which is killed whole
            preexec_fn=_LAST_WILL,
        )
    except (OSError, ValueError) as error:
        raise ToolUnavailable(f"{name} cannot be started: {error}", code=500) from None
    try:
        await said.exited
        await asyncio.wait({said.closed}, timeout=_LEFT_OPEN)
        code = transport.get_returncode() or 0
    except _TooMuch:
        raise NodeError("tool", f"{name} printed more than {LARGEST} bytes", unknown=True) from None
    finally:
        _kill(transport.get_pid())
        transport.close()
    if code != 0:
        raise _failed(name, code, bytes(said.errors))
    try:
        return said.output.decode()
    except UnicodeDecodeError:
        raise NodeError("tool", f"what {name} printed is not text in UTF-8", unknown=True) from None


class _TooMuch(Exception):
    pass


class _Said(asyncio.SubprocessProtocol):
    """What a process prints, and the end of its errors."""

    def __init__(self) -> None:
        self.output = bytearray()
        self.errors = bytearray()
        self.exited: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._open = {1, 2}

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            self.errors += data
            del self.errors[:-_TAIL]
        elif len(self.output) + len(data) <= LARGEST:
            self.output += data
        elif not self.exited.done():
            self.exited.set_exception(_TooMuch())

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._open.discard(fd)
        if not self._open and not self.closed.done():
            self.closed.set_result(None)

    def process_exited(self) -> None:  # what it has left running may hold its output open
        if not self.exited.done():
            self.exited.set_result(None)


def _failed(name: str, code: int, errors: bytes) -> ToolUnavailable:
    lines = [line.strip() for line in errors.decode("utf-8", "replace").splitlines() if line.strip()][-_LINES:]
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    said = f": {' / '.join(lines)}" if lines else ""
    return ToolUnavailable(mask(f"{name} {how}{said}"), code=500, unknown=code < 0)


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _last_will() -> Callable[[], None] | None:
    """On Linux a command ends with the service, however that ends: the next try must not find the last one at work."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    death, kill = 1, int(signal.SIGKILL)  # PR_SET_PDEATHSIG

    def arrange() -> None:  # between fork and exec: nothing here may wait for another thread
        prctl(death, kill)

    return arrange


_LAST_WILL = _last_will()
