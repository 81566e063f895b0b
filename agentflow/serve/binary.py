"""Where the restate-server comes from: named by the user, installed, cached, or fetched with the user's own npm client.

Fetching goes through npm so that its mirrors, proxies and credentials apply. What comes is checked against a checksum
pinned here before it is unpacked, and nothing in the package is run by npm.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from agentflow.serve.errors import ServeError

VERSION = "1.7.12"
MEMBER = "package/bin/restate-server"
SIZE = "about 80 MB"
CHECKSUM = {  # sha512, base64: `npm view PACKAGE@VERSION dist.integrity`
    "linux-x64": "URotJ1AIqaSCDkRMl4OrQfTLH+NYuOZb3ZsP7wxxiuAB6pncgPhTUYSvegTF5PTrAShnNyHNpju9kjf2O3QxoA==",
    "linux-arm64": "aV7YxWvPhp88MjQtObGDhDCTwCBa68wwZOAMmJqDreO0auHYuSfOqabEx4I90coZsx3zShNusppbTPKprOa+dw==",
    "darwin-arm64": "pHrZMaaeBJxXTgI19WG/aJvxuUDQ2nhSDEEJVseTZQiTEdJ7hboPlhvYacgXIE2iMnLMmWkN5XIlXqosHK8Byg==",
    "darwin-x64": "ZRS1kk3S4pzIiup2IRRQ3eHoKJSZ43FG4rDe7UbGFWwZ/Yz0xSDa4/3/kiuwaMHXWs/CsKtJe0shx8JCR0DO1g==",
}
BY_HAND = "install restate-server and put it on the PATH, or set AGENTFLOW_RESTATE_SERVER to its path"

Say = Callable[[str], None]


def find(say: Say) -> Path:
    """The binary to run, fetched if there is none yet; `say` is told what is fetched before it is."""
    named = os.environ.get("AGENTFLOW_RESTATE_SERVER")
    if named:
        if not _is_program(Path(named)):
            raise ServeError(f"AGENTFLOW_RESTATE_SERVER names {named}, which is not a program")
        return Path(named).absolute()
    installed = shutil.which("restate-server")
    if installed:
        return Path(installed).absolute()
    cached = cache_dir() / f"restate-server-{VERSION}"
    return cached if _is_program(cached) else _fetch(cached, say)


def cache_dir() -> Path:
    """The user's cache folder for agentflow, by the platform's custom."""
    named = os.environ.get("AGENTFLOW_CACHE")
    if named:
        return Path(named).absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "agentflow"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agentflow"


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _platform() -> str:
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine().lower())
    name = f"{sys.platform}-{machine}"
    if name not in CHECKSUM:
        raise ServeError(f"there is no restate-server for {sys.platform} {platform.machine()}; {BY_HAND}")
    return name


def _fetch(target: Path, say: Say) -> Path:
    kind = _platform()
    npm = shutil.which("npm")
    if npm is None:
        raise ServeError(f"no restate-server here, and no npm to fetch it with: install npm, or {BY_HAND}")
    package = f"@restatedev/restate-server-{kind}@{VERSION}"
    say(f"fetching {package} with npm: {SIZE}, licence BSL 1.1, kept in {target.parent}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix="fetch-") as folder:
            archive = _pack(npm, package, Path(folder))
            _verify(archive, CHECKSUM[kind])
            unpacked = _unpack(archive, Path(folder))
            unpacked.replace(target)  # in one step: a second serve sees all of it or nothing
    except OSError as error:
        raise ServeError(f"cannot keep restate-server in {target.parent}: {error.strerror}; {BY_HAND}") from None
    return target


def _pack(npm: str, package: str, folder: Path) -> Path:
    """Have npm download the package's archive into `folder`."""
    command = [npm, "pack", package, "--ignore-scripts", "--json", "--pack-destination", str(folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    archives = sorted(folder.glob("*.tgz"))
    if done.returncode != 0 or not archives:
        raise ServeError(f"npm could not fetch {package}: {_reason(done)}; {BY_HAND}")
    return archives[0]


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    try:
        return str(json.loads(done.stdout)["error"]["summary"]).splitlines()[0]
    except (ValueError, KeyError, TypeError, IndexError):
        lines = [line.strip() for line in done.stderr.splitlines() if "error" in line.lower()]
        return lines[0] if lines else f"exit code {done.returncode}"


def _verify(archive: Path, expected: str) -> None:
    digest = hashlib.sha512()
    with archive.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    if base64.b64encode(digest.digest()).decode() != expected:
        raise ServeError(f"what npm fetched is not restate-server {VERSION}: its checksum differs; {BY_HAND}")


def _unpack(archive: Path, folder: Path) -> Path:
    """The one file wanted, written by us: names and links in the archive decide nothing."""
    target = folder / "restate-server"
    with tarfile.open(archive, "r:gz") as packed:
        source = packed.extractfile(MEMBER)
        if source is None:
            raise ServeError(f"the package holds no {MEMBER}; {BY_HAND}")
        with source, target.open("wb") as out:
            shutil.copyfileobj(source, out)
    target.chmod(0o755)
    return target
