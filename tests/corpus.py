"""The graphs that other tests start from: examples, golden cases and wrong graphs, in copies of their projects."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from agentflow.scalars import Truth
from agentflow.source import read

ROOT = Path(__file__).parent.parent
ERRORS, GOLDEN = ROOT / "tests" / "errors", ROOT / "tests" / "golden"
Place = tuple[Any, ...]  # keys and indices, from the top


class _Dumper(yaml.SafeDumper):
    """Nothing is an alias, and `true` stays apart from `1` as a key of `cases`."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


class _Quoting(_Dumper):
    """Every text in double quotes, so that it is on one line."""


_Quoting.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))
for _dumper in (_Dumper, _Quoting):
    _dumper.add_representer(Truth, lambda dumper, key: dumper.represent_scalar("tag:yaml.org,2002:bool", str(key)))


@dataclass(frozen=True)
class Seed:
    """A graph file; `project` is the folder of the copies in which its tools, texts and specifications are."""

    project: str
    file: Path

    @property
    def text(self) -> str:
        return self.file.read_bytes().decode("utf-8", "replace")

    @property
    def data(self) -> Any:
        """As the compiler reads it; None where it is not YAML."""
        source, _ = read(self.file)
        return None if source is None else copy.deepcopy(source.data)

    def __repr__(self) -> str:
        return str(self.file.relative_to(ROOT))


RIGHT = [
    *(Seed("examples", file) for file in sorted((ROOT / "graphs").glob("*.yaml")) if "." not in file.stem),
    *(Seed("golden", file) for file in sorted(GOLDEN.glob("*/graph.yaml"))),
]
WRONG = [Seed("errors", file) for file in sorted(ERRORS.glob("*.yaml"))]


def copied(folder: Path) -> Path:
    """Makes the projects: `folder/examples`, `folder/golden`, `folder/errors`, without their graphs."""

    def ignored(directory: str, names: list[str]) -> set[str]:
        cases = {name for name in names if (Path(directory) / name / "graph.yaml").exists()}
        return {"__pycache__", *cases, *(name for name in names if name.endswith((".txt", ".mmd", ".pyc")))}

    for name, origin in (("golden", GOLDEN), ("errors", ERRORS)):
        shutil.copytree(origin, folder / name, ignore=ignored)
    for file in (folder / "errors").glob("*.yaml"):
        file.unlink()
    shutil.copytree(ROOT / "tools", folder / "examples" / "tools", ignore=ignored)
    called = [path for path in GOLDEN.glob("*/*.yaml") if path.name != "graph.yaml"]  # and so looked for beside
    for project, graphs in (("golden", called), ("examples", list((ROOT / "graphs").glob("*.yaml")))):
        (folder / project / "graphs").mkdir(exist_ok=True)
        for path in graphs:
            shutil.copy(path, folder / project / "graphs" / path.name)
    return folder


def parts(data: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Everything in a tree, with its place; the tree itself is not among it."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*place, key), value
        yield from parts(value, (*place, key))


def holder(data: Any, place: Place) -> Any:
    """The mapping or list in which a place is."""
    for key in place[:-1]:
        data = data[key]
    return data


def dumped(data: Any, quoted: bool = False) -> str:
    """As YAML; `quoted`: each text on one line, whatever is in it."""
    dumper = _Quoting if quoted else _Dumper
    return str(yaml.dump(data, Dumper=dumper, allow_unicode=True, sort_keys=False, width=2**20 if quoted else 80))
