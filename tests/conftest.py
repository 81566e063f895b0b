"""Options of the whole suite."""

from __future__ import annotations

import pytest
from hypothesis import settings


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write what the compiler makes; then read the diff")
    parser.addoption("--all-points", action="store_true", help="the crash lane: kill at every journal entry")
    parser.addoption("--many", action="store_true", help="ten thousand mangled graphs and hostile texts, and the like")


def pytest_configure(config: pytest.Config) -> None:
    settings.register_profile("few", max_examples=300)
    settings.register_profile("many", max_examples=10_000)
    settings.load_profile("many" if config.getoption("--many") else "few")
