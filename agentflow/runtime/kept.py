"""An object's state as one invocation knows it: read when the message arrives, written as steps complete."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agentflow.runtime.errors import NodeError
from agentflow.runtime.schema import Mismatch, shape_of
from agentflow.types import Json

Write = Callable[[str, Json], None]


@dataclass(eq=False)
class Kept:
    """The latest values by name. Templates see what they were when the message arrived; tools see these."""

    type: Any  # of the whole state
    values: dict[str, Json]
    put: Write | None = None  # of the object's own handler; elsewhere what is written is handed up, in `changed`
    changed: dict[str, Json] = field(default_factory=dict)

    @staticmethod
    def read(type: Any, found: Mapping[str, Json], put: Write | None = None) -> Kept:
        """What the engine holds, with defaults for the rest. What a newer revision has no type for is as if unset."""
        values = dict(found)
        while True:
            try:
                checked = shape_of(type).check(dict(values))
            except Mismatch:
                unfit = [name for name, value in values.items() if not _fits(type, name, value)]
                if not unfit:
                    raise
                for name in unfit:
                    del values[name]
                continue
            assert isinstance(checked, dict)
            return Kept(type, checked, put)

    def mapping(self) -> dict[str, Json]:
        """For a tool to change; each try gets its own."""
        return copy.deepcopy(self.values)

    def changes(self, values: Mapping[str, Json]) -> dict[str, Json]:
        """What differs in a mapping that a tool was given. Raises Mismatch where it does not fit the declared types."""
        return changes(self.type, self.values, values)

    def write(self, changes: Mapping[str, Json], node: str | None = None) -> None:
        """Writes values that fit. Raises NodeError for others."""
        try:
            checked = shape_of(self.type).check({**self.values, **changes})
        except Mismatch as mismatch:
            raise NodeError("fail", f"{node}: the state does not fit: {mismatch}", node=node) from None
        assert isinstance(checked, dict)
        for name in changes:
            self.values[name] = self.changed[name] = checked[name]
            if self.put is not None:
                self.put(name, checked[name])


def changes(type: Any, before: Mapping[str, Json], after: Mapping[str, Json]) -> dict[str, Json]:
    """The names whose values differ, with their new ones; a name that is gone has its default again."""
    checked = shape_of(type).check(dict(after))
    assert isinstance(checked, dict)
    return {name: value for name, value in checked.items() if name not in before or before[name] != value}


def _fits(type: Any, name: str, value: Json) -> bool:
    try:
        shape_of(type).check({name: value})
    except Mismatch:
        return False
    return True
