"""What keeps processes from outliving each other, and one directory from being served twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from serving import wait_until

from agentflow.serve.child import GUARD
from agentflow.serve.errors import ServeError
from agentflow.serve.lock import Lock, end, started
from agentflow.serve.service import describe

PARENT = """
import os, subprocess, sys
reading, writing = os.pipe()
os.set_inheritable(reading, True)
command = [sys.executable, "-I", "-S", {guard!r}, *{options!r}, str(os.getpid()), str(reading), "sleep", "60"]
child = subprocess.Popen(command, close_fds=True, pass_fds=(reading,))
print(child.pid, flush=True)
child.wait()
print("ended", flush=True)
input()
"""


def parent(options: list[str]) -> tuple[subprocess.Popen[str], int]:
    script = PARENT.format(guard=str(GUARD), options=options)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


@pytest.mark.parametrize("options", [[], ["--watch"]], ids=["by the kernel", "by a watcher"])
def test_a_child_ends_when_its_parent_is_killed(options: list[str]) -> None:
    process, child = parent(options)
    wait_until(lambda: Path(f"/proc/{child}/cmdline").read_bytes() == b"sleep\x0060\x00")  # under the pid that was told
    process.kill()
    process.communicate()
    wait_until(lambda: started(child) is None)


def test_the_watcher_ends_with_what_it_watches() -> None:
    process, child = parent(["--watch"])
    wait_until(lambda: Path(f"/proc/{child}/cmdline").read_bytes() == b"sleep\x0060\x00")
    watchers = subprocess.run(["pgrep", "-P", str(child)], capture_output=True, text=True, check=False).stdout.split()
    assert len(watchers) == 1
    os.kill(child, signal.SIGKILL)
    assert process.stdout is not None and process.stdout.readline() == "ended\n"
    wait_until(lambda: started(int(watchers[0])) is None)
    process.communicate("\n")


def test_a_lock_is_held_by_one_and_names_what_the_last_left(tmp_path: Path) -> None:
    first = Lock(tmp_path)
    assert first.acquire() == {}
    with pytest.raises(ServeError, match=rf"another agentflow serve \(pid {os.getpid()}\) uses {tmp_path}") as caught:
        Lock(tmp_path).acquire()
    assert caught.value.exit_code == 4
    child = subprocess.Popen(["sleep", "60"])
    first.record("engine", child.pid)
    os.close(first._descriptor)  # as when it is killed
    assert Lock(tmp_path).acquire() == {"engine": child.pid}
    end(child.pid)
    assert child.wait() == -signal.SIGTERM


def test_a_lock_file_that_is_not_ours_is_no_trouble(tmp_path: Path) -> None:
    for text in ("", "not json", "[]", '{"engine": 3}', '{"engine": {"pid": "x"}}'):
        (tmp_path / "serve.lock").write_text(text)
        lock = Lock(tmp_path)
        assert lock.acquire() == {}
        lock.release()


def test_an_import_that_fails_is_described_by_the_users_own_line(tmp_path: Path) -> None:
    tool = tmp_path / "sometool.py"
    for text, line in (
        ("import json\n\njson.loads('{')\n", "sometool.py:3: JSONDecodeError: Expecting property name"),
        ("def f(:\n", "sometool.py:1: SyntaxError: "),
        ("import nosuchmodule\n", "sometool.py:1: ModuleNotFoundError: No module named 'nosuchmodule'"),
        ("raise SystemExit\n", "sometool.py:1: SystemExit"),
    ):
        tool.write_text(text)
        try:
            exec(compile(text, str(tool), "exec"), {})  # as the import of a tool does
        except (Exception, SystemExit) as error:  # whatever it raises
            assert describe(error, tmp_path).startswith(line)
