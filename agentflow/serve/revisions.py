"""The revisions that a data directory keeps: `revisions/<hash>/` holds a module, its manifest and `serve.json`.

A run ends on the revision it began on, so a revision stays as long as the engine has such runs, whatever became of the
graph's file since. Its tools are the user's own and are not kept: a mended one reaches the waiting run.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

RECORD = "serve.json"
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Revision:
    hash: str
    graph: str
    kind: str
    module: str  # the module's path
    root: str  # the project's root: where `tools` is imported from
    replies: str | None  # the offline replies
    services: tuple[str, ...]

    def record(self) -> None:
        data = asdict(self)
        (Path(self.module).parent / RECORD).write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


class Store:
    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir / "revisions"

    def add(self, module: Path, manifest: Path, root: Path, replies: Path | None) -> Revision:
        """Keep a compiled module under its hash; one that is there is written anew, in case it was cut short."""
        described = json.loads(manifest.read_text(encoding="utf-8"))
        folder = self.folder / str(described["revision"])
        folder.mkdir(parents=True, exist_ok=True)
        for source, name in ((module, module.name), (manifest, MANIFEST)):
            partial = folder / f".{name}"
            shutil.copyfile(source, partial)
            partial.replace(folder / name)
        revision = Revision(
            hash=str(described["revision"]),
            graph=str(described["graph"]),
            kind=str(described["kind"]),
            module=str((folder / module.name).absolute()),
            root=str(root.absolute()),
            replies=str(replies.absolute()) if replies else None,
            services=tuple(described["services"]),
        )
        revision.record()
        return revision

    def kept(self) -> dict[str, Revision]:
        """What earlier serves left, by hash; a folder without a readable record is none of ours."""
        found: dict[str, Revision] = {}
        for record in sorted(self.folder.glob(f"*/{RECORD}")):
            try:
                data = json.loads(record.read_text(encoding="utf-8"))
                module = str(record.parent.absolute() / Path(data["module"]).name)  # the data directory may have moved
                revision = Revision(**{**data, "module": module, "services": tuple(data["services"])})
            except (OSError, ValueError, KeyError, TypeError):
                continue
            found[revision.hash] = revision
        return found

    def forget(self, hashes: Iterable[str]) -> None:
        for name in hashes:
            shutil.rmtree(self.folder / name, ignore_errors=True)
