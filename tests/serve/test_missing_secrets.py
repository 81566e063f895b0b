"""What `serve` says at its start of secrets that are not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentflow.cli.serve import _missing_secrets
from agentflow.driver import build

GRAPH = """agentflow: 1
graph: shop
tools:
  pay: {http: "POST https://example.com/", headers: {Authorization: {env: SHOP_PAY}}}
  refund: {http: "DELETE https://example.com/", headers: {Authorization: {env: SHOP_PAY}}}
  stamp: {command: [date], env: {WORD: {env: SHOP_WORD}}}
  files: {mcp: {url: {env: SHOP_FILES}}, allow: [read]}
nodes: {it: {tool: pay}}
"""


def test_each_variable_that_is_not_set_is_named_with_what_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = tmp_path / "shop.yaml"
    graph.write_text(GRAPH)
    built = {graph: build(graph, tmp_path / "build")}
    for name in ("SHOP_PAY", "SHOP_WORD", "SHOP_FILES"):
        monkeypatch.delenv(name, raising=False)
    assert list(_missing_secrets(built)) == [
        "SHOP_PAY is not set: in shop, calls of pay, refund fail until it is",
        "SHOP_WORD is not set: in shop, calls of stamp fail until it is",
        "SHOP_FILES is not set: in shop, calls of files.read fail until it is",
    ]
    monkeypatch.setenv("SHOP_PAY", "x")
    monkeypatch.setenv("SHOP_WORD", "x")
    monkeypatch.setenv("SHOP_FILES", "x")
    assert not list(_missing_secrets(built))
