"""Options of the whole suite."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write what the compiler makes; then read the diff")
    parser.addoption("--all-points", action="store_true", help="the crash lane: kill at every journal entry")
