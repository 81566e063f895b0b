"""Finding and fetching the restate-server, with an npm that is a script here."""

from __future__ import annotations

import base64
import hashlib
import io
import sys
import tarfile
from pathlib import Path

import pytest

from agentflow.serve import binary
from agentflow.serve.errors import ServeError

NPM = """#!/bin/sh
echo "$@" >> {folder}/calls
[ -f {folder}/archive.tgz ] || {{ echo '{{"error": {{"summary": "no way to the registry"}}}}'; exit 1; }}
while [ "$1" != --pack-destination ]; do shift; done
/bin/cp {folder}/archive.tgz "$2"/restatedev.tgz
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with npm and nothing else; its folder."""
    (tmp_path / "bin").mkdir()
    npm = tmp_path / "bin" / "npm"
    npm.write_text(NPM.format(folder=tmp_path))
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("AGENTFLOW_RESTATE_SERVER", raising=False)
    monkeypatch.setenv("AGENTFLOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    return tmp_path


def archive(machine: Path, monkeypatch: pytest.MonkeyPatch, name: str = binary.MEMBER) -> None:
    """A package whose checksum is the pinned one."""
    with tarfile.open(machine / "archive.tgz", "w:gz") as packed:
        info = tarfile.TarInfo(name)
        info.size = 5
        packed.addfile(info, io.BytesIO(b"hello"))
    digest = hashlib.sha512((machine / "archive.tgz").read_bytes()).digest()
    monkeypatch.setitem(binary.CHECKSUM, "linux-x64", base64.b64encode(digest).decode())


def test_fetches_once_and_says_what(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive(machine, monkeypatch)
    said: list[str] = []
    found = binary.find(said.append)
    assert found == machine / "cache" / f"restate-server-{binary.VERSION}"
    assert found.read_bytes() == b"hello"
    package = f"@restatedev/restate-server-linux-x64@{binary.VERSION}"
    assert said == [f"fetching {package} with npm: about 80 MB, licence BSL 1.1, kept in {machine / 'cache'}"]
    assert binary.find(said.append) == found
    assert (machine / "calls").read_text().count("\n") == 1
    assert "--ignore-scripts" in (machine / "calls").read_text()
    assert [path.name for path in (machine / "cache").iterdir()] == [found.name]


def test_refuses_what_has_another_checksum(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive(machine, monkeypatch)
    with (machine / "archive.tgz").open("ab") as file:
        file.write(b"more")
    with pytest.raises(ServeError, match="its checksum differs"):
        binary.find(print)
    assert list((machine / "cache").iterdir()) == []


def test_says_what_to_do_where_npm_fails_or_is_missing(machine: Path) -> None:
    with pytest.raises(ServeError, match="no way to the registry; install restate-server"):
        binary.find(print)
    (machine / "bin" / "npm").unlink()
    with pytest.raises(ServeError, match=r"no npm to fetch it with: install npm, or .* AGENTFLOW_RESTATE_SERVER"):
        binary.find(print)


def test_says_what_to_do_where_there_is_no_build(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(ServeError, match="there is no restate-server for linux riscv64"):
        binary.find(print)


def test_a_named_binary_goes_before_an_installed_one(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed, named = machine / "bin" / "restate-server", machine / "mine"
    for file in (installed, named):
        file.write_text("")
        file.chmod(0o755)
    assert binary.find(print) == installed
    monkeypatch.setenv("AGENTFLOW_RESTATE_SERVER", str(named))
    assert binary.find(print) == named
    monkeypatch.setenv("AGENTFLOW_RESTATE_SERVER", str(machine / "none"))
    with pytest.raises(ServeError, match="which is not a program"):
        binary.find(print)
