"""Commands as tools: one argument an element, no more of the environment than is given, and nothing left running."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from agentflow import runtime as af
from agentflow.runtime import command_tool, steps
from agentflow.runtime.errors import NodeError, ToolUnavailable
from agentflow.runtime.operations import Operation

SHOW = "import json, sys; print(json.dumps(sys.argv[1:]))"


class Args(af.Type):
    path: str
    words: list[str] | None = None


def call(operation: Operation, **args: Any) -> Any:
    return asyncio.run(operation.call(operation.parameters.check(args), "run:step"))


def python(script: str, *words: str, **more: Any) -> Operation:
    return af.command([sys.executable, "-c", script, *words], **more)


@pytest.mark.parametrize(
    "path", ["a b", "", "$(rm -rf /)", "a'b\"c", "*", "-rf", "a\nb", "; ls", "{{ args.path }}", "ü"]
)
def test_an_element_is_one_argument_whatever_is_in_it(path: str) -> None:
    tool = python(SHOW, "{{ args.path }}", "x={{ args.path }}", "", args=Args, returns=list[str])
    assert call(tool, path=path) == [path, f"x={path}", ""]


def test_a_list_is_one_argument_too() -> None:
    tool = python(SHOW, "{{ args.words | join(' ') }}", "{{ args.words | default([]) }}", args=Args, returns=list[str])
    assert call(tool, path="", words=["a", "b c"]) == ["a b c", '["a", "b c"]']


def test_a_command_sees_no_more_of_the_environment_than_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIDDEN", "x")
    monkeypatch.setenv("GIVEN", "sesame")
    env: dict[str, Any] = {"WORD": af.Env("GIVEN"), "PLAIN": "plain"}
    shown = call(python("import json, os; print(json.dumps(dict(os.environ)))", env=env, returns=dict[str, str]))
    assert set(shown) <= {"PATH", "HOME", "LANG", "WORD", "PLAIN", "LC_CTYPE"}
    assert (shown["WORD"], shown["PLAIN"], shown["PATH"]) == ("<GIVEN>", "plain", os.environ["PATH"])


def test_what_it_prints_is_the_value() -> None:
    assert call(python("print('one'); print('two')")) == "one\ntwo\n"
    assert call(python("print('{\"n\": 5000}')", returns=dict[str, int])) == {"n": 5000}


@pytest.mark.parametrize(
    ("script", "returns", "said"),
    [
        ("print('{')", dict[str, int], "not JSON"),
        ('print(\'{"n": "x"}\')', dict[str, int], "does not fit what is expected"),
        ("import sys; sys.stdout.buffer.write(b'\\xff')", str, "not text in UTF-8"),
        ("import sys\nwhile True: sys.stdout.write('x' * 65536)", str, "printed more than 4194304 bytes"),
    ],
)
def test_what_it_should_not_print_ends_the_node(script: str, returns: Any, said: str) -> None:
    with pytest.raises(NodeError, match=said) as caught:
        call(python(script, returns=returns))
    assert caught.value.unknown


def test_an_exit_code_is_an_error_that_tells_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIVEN", "sesame-open")
    script = (
        "import os, sys; print('x' * 5000, file=sys.stderr); print('no', os.environ['W'], file=sys.stderr); exit(7)"
    )
    with pytest.raises(ToolUnavailable) as caught:
        call(python(script, env={"W": af.Env("GIVEN")}))
    assert f"{sys.executable} ended with exit code 7: " in caught.value.message
    assert caught.value.message.endswith(" / no <GIVEN>")
    assert not caught.value.unknown


def test_a_program_that_there_is_not_may_come() -> None:
    with pytest.raises(ToolUnavailable, match="cannot be started"):
        call(af.command(["/nonexistent/program"]))


def test_nothing_is_read_from_the_service() -> None:
    assert call(python("import sys; print(repr(sys.stdin.read()))")) == "''\n"


def test_what_a_command_leaves_running_is_ended_and_not_waited_for(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    script = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open({str(mark)!r}, "w").write(str(child.pid))
print("done")
"""
    began = time.monotonic()
    assert call(python(script)) == "done\n"
    assert time.monotonic() - began < 30
    assert _gone(int(mark.read_text()))


def _gone(pid: int) -> bool:
    for _ in range(200):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_a_command_is_killed_with_its_children_when_its_time_is_up(tmp_path: Path) -> None:
    mark = tmp_path / "pids"
    script = f"""
import json, os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open({str(mark)!r} + ".new", "w").write(json.dumps([os.getpid(), child.pid]))
os.rename({str(mark)!r} + ".new", {str(mark)!r})
time.sleep(60)
"""
    tool = af.Tool("slow", python(script), timeout="5s", retry=af.Retry(attempts=1))

    async def scenario() -> Any:
        outcome = await steps.tool_step(tool, {}, "k", tool.retry, steps.Stop(may_have_run=False))
        await asyncio.sleep(0.1)
        return outcome["failed"]

    failed = asyncio.run(scenario())
    assert (failed["kind"], failed["code"], failed["unknown"]) == ("timeout", 504, True)
    assert all(map(_gone, json.loads(mark.read_text())))


def test_a_command_that_is_cut_off_is_killed(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    script = f"import os, time; open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    tool = af.Tool("slow", python(script))

    async def scenario() -> Any:
        stop = steps.Stop(may_have_run=False)
        running = asyncio.ensure_future(steps.tool_step(tool, {}, "k", None, stop))
        for _ in range(400):
            if mark.exists() and mark.read_text():
                break
            await asyncio.sleep(0.05)
        stop.ended.set()
        stop.break_off()
        outcome = await running
        await asyncio.sleep(0.1)
        return outcome["failed"]

    assert asyncio.run(scenario())["unknown"]
    assert _gone(int(mark.read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel sees to it there")
def test_a_command_ends_with_the_service(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    inner = f"import os, time; open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    outer = f"""
import asyncio, sys
from agentflow import runtime as af
asyncio.run(af.command([sys.executable, "-c", {inner!r}]).call({{}}, "k"))
"""
    import subprocess

    service = subprocess.Popen([sys.executable, "-c", outer], env={**os.environ, "PYTHONPATH": os.getcwd()})
    for _ in range(600):
        if mark.exists() and mark.read_text():
            break
        time.sleep(0.05)
    service.kill()
    service.wait()
    assert _gone(int(mark.read_text()))


def test_the_size_that_is_kept_is_the_documented_one() -> None:
    assert command_tool.LARGEST == 4 * 1024 * 1024
