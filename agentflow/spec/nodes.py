"""Nodes: the verb that says what one is, the keys that every node has, and the blocks they stand in."""

from __future__ import annotations

from agentflow.diagnostics import Path, nearest, quoted
from agentflow.nodes.kind import Kind
from agentflow.nodes.registry import KINDS, VERBS
from agentflow.spec.model import MISSING, BlockSpec, Body, NodeSpec, OnErrorSpec, Unread
from agentflow.spec.names import bad_name
from agentflow.spec.reader import Reader, Reading, spaced
from agentflow.spec.settings import read_retry, read_undo
from agentflow.types import Json

COMMON = ("description", "needs", "when", "timeout", "on_error", "compensate")
NAMED_BY_AUTHOR = ("nodes", "steps", "parallel", "loop", "finally")  # what holds nodes with names of their own


class NodeReader:
    """Reads nodes, and hands itself to the kinds for the nodes inside them."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading

    def node(self, path: Path, name: str, data: Json) -> NodeSpec:
        """The node at a path. One that cannot be read still has its name."""
        what = f"the node {quoted(name)}"
        if path[-2:-1] and path[-2] in NAMED_BY_AUTHOR and (problem := bad_name(name, "a node")):
            self.reading.error("bad-name", problem[0], path, key=True, help=problem[1])
        reader = self.reading.reader(path, data, what)
        verb = self._verb(reader) if reader is not None else None
        if reader is None or verb is None:
            return NodeSpec(name, path, "", Unread())
        kind = KINDS[verb]
        body = kind.parse(reader, self)
        node = self._common(reader, name, kind, body)
        known = (verb, *kind.keys, *COMMON, *(("retry",) if kind.retries else ()))
        elsewhere = {} if kind.retries else {"retry": "retry belongs to agent, tool, graph and service nodes"}
        reader.finish(known=known, elsewhere=elsewhere)
        return node

    def block(
        self, reader: Reader, key: str, until: str | int | bool | None = None, until_path: Path = ()
    ) -> BlockSpec:
        """The nodes under a key of a mapping, and its `output`; of a loop also its condition."""
        entries = reader.entries(key)
        if not entries and isinstance(reader.data.get(key), dict):
            reader.error("empty-block", f"{reader.what} has no nodes", reader.at(key), key=True)
        nodes = {name: self.node(reader.at(key, name), name, data) for name, data in entries.items()}
        output = reader.take("output") if reader.has("output") else MISSING
        return BlockSpec(reader.path, nodes, key == "steps", output, reader.at("output"), until, until_path)

    def _verb(self, reader: Reader) -> str | None:
        """The one verb of a node that can be read."""
        verbs = [key for key in reader.data if key in KINDS]
        if not verbs:
            self._no_verb(reader)
            return None
        if len(verbs) > 1:
            message = f"{reader.what} has {len(verbs)} verbs, and a node has exactly one"
            related = [(reader.at(verbs[0]), "this is one")]
            reader.error(
                "several-verbs", message, reader.at(verbs[1]), key=True, note="this is another", related=related
            )
            return None
        return verbs[0]

    def _no_verb(self, reader: Reader) -> None:
        known = {*COMMON, "retry", "prompt", "with", "output", "cases", "default", "approvers"}
        for key in reader.data:
            if key not in known and (near := nearest(key, VERBS)):
                message = f"{reader.what} has no key {quoted(key)}"
                help = spaced(str(key)) or f"did you mean {quoted(near)}?"
                reader.error("unknown-key", message, reader.at(key), key=True, help=help)
                return
        message = f"{reader.what} has no verb, so that it does nothing"
        reader.error("no-verb", message, reader.path, key=True, help="a node has one of " + ", ".join(VERBS))

    def _common(self, reader: Reader, name: str, kind: Kind[Body], body: Body | None) -> NodeSpec:
        return NodeSpec(
            name=name,
            path=reader.path,
            kind=kind.verb if body is not None else "",
            body=body if body is not None else Unread(),
            needs=reader.names("needs"),
            when=_when(reader),
            timeout=reader.duration("timeout"),
            retry=read_retry(reader) if kind.retries else None,
            on_error=self._on_error(reader),
            compensate=read_undo(reader),
            description=reader.text("description"),
        )

    def _on_error(self, reader: Reader) -> OnErrorSpec | None:
        value, path = reader.take("on_error"), reader.at("on_error")
        if not reader.has("on_error") or value == "fail":
            return None
        if value == "continue":
            return OnErrorSpec("continue", path)
        if isinstance(value, dict) and len(value) == 1 and "use" in value:
            return OnErrorSpec("use", path, value["use"])
        if isinstance(value, dict) and len(value) == 1 and "run" in value:
            return OnErrorSpec("run", path, node=self.node((*path, "run"), "on_error", value["run"]))
        shown = f", and not {quoted(value)}" if isinstance(value, str) else ""
        message = f'"on_error" is fail, continue, {{use: VALUE}} or {{run: node}}{shown}'
        near = nearest(value, ("fail", "continue")) if isinstance(value, str) else None
        self.reading.error("bad-choice", message, path, help=f"did you mean {quoted(near)}?" if near else None)
        return None


def _when(reader: Reader) -> str | bool | None:
    value = reader.take("when")
    if not reader.has("when"):
        return None
    if isinstance(value, bool) or (isinstance(value, str) and value.strip()):
        return value
    reader.reading.wrong(reader.at("when"), "an expression", value)
    return None
