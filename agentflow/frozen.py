"""Small values that are made by the thousand: frozen for the type checker, which is who holds the code to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def frozen(cls: type[T]) -> type[T]:
    """As `dataclass(frozen=True, slots=True)`, in half the time an object: nothing checks at run time."""
    return dataclass(unsafe_hash=True, slots=True)(cls)
