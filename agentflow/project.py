"""Where things are: the graph that a name means, the project it belongs to, and what the project allows."""

from __future__ import annotations

import functools
import os
import tomllib
from pathlib import Path


def find_graph(argument: str) -> Path:
    """The file of a GRAPH argument: a name is `graphs/NAME.yaml` under the current folder, a path is a path."""
    path = Path(argument)
    if path.suffix in (".yaml", ".yml") or len(path.parts) != 1 or os.path.exists(path):  # os.path: never raises
        return path
    return Path("graphs") / f"{argument}.yaml"


def project_root(graph: Path) -> Path:
    """The nearest folder above a graph that holds `pyproject.toml` or `tools/`, else the graph's own."""
    folder = graph.absolute().parent
    for candidate in (folder, *folder.parents):
        if (candidate / "pyproject.toml").is_file() or (candidate / "tools").is_dir():
            return candidate
    return folder


def allowed_modules(root: Path) -> tuple[str, ...]:
    """Packages whose functions may be tools: `tools`, and `modules` of `[tool.agentflow]` in `pyproject.toml`."""
    return ("tools", *_settings(root, "modules"))


def allowed_hosts(root: Path) -> tuple[str, ...]:
    """Hosts that tools may ask though they are not of the open internet: `hosts` of `[tool.agentflow]`."""
    return _settings(root, "hosts")


@functools.lru_cache(maxsize=32)
def _settings(root: Path, key: str) -> tuple[str, ...]:
    try:
        settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ()
    section = settings.get("tool", {}).get("agentflow", {})
    values = section.get(key, []) if isinstance(section, dict) else []
    return tuple(value for value in values if isinstance(value, str)) if isinstance(values, list) else ()
