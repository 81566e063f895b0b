"""Models that the machine cannot ask: said when the graph is checked, not when a run finds out."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentflow.cli import main
from agentflow.driver import compile
from agentflow.providers import CLAUDE, GEMINI, LITELLM, litellm_name, provider_of

GRAPH = """agentflow: 1
graph: case
models:
  default: gemini-2.5-flash
  careful: {model: claude-sonnet-4-6}
agents:
  clerk: {instruction: You help.}
  judge: {instruction: You judge., model: careful}
  scribe: {instruction: You write., model: mistral/mistral-small-latest}
nodes:
  answer: {agent: clerk, prompt: Help me.}
  verdict: {agent: judge, prompt: Judge it.}
  letter: {agent: scribe, prompt: Write it.}
"""


def test_a_client_that_is_not_installed_is_named_where_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = tmp_path / "case.yaml"
    graph.write_text(GRAPH)
    assert not compile(graph).diagnostics
    monkeypatch.setattr("agentflow.providers.find_spec", lambda _: None)
    found = compile(graph).diagnostics
    assert [(problem.code, problem.span.line, problem.help) for problem in found] == [
        ("missing-extra", 5, 'pip install "agentflow[claude]"'),
        ("missing-extra", 9, 'pip install "agentflow[litellm]"'),
    ]
    monkeypatch.chdir(tmp_path)
    assert main(["check", "case.yaml"]) == 1
    told = capsys.readouterr()
    assert "which is not installed" in told.out + told.err


@pytest.mark.parametrize(
    ("model", "base_url", "provider"),
    [
        ("gemini-2.5-pro", None, GEMINI),
        ("models/gemini-2.5-pro", None, GEMINI),
        ("gemini-x", "http://x", GEMINI),
        ("claude-sonnet-4-6", None, CLAUDE),
        ("claude-x", "http://x", CLAUDE),
        ("openai/gpt-x", None, LITELLM),
        ("gemini/gemini-2.5-pro", None, LITELLM),
        ("ollama_chat/llama3:8b", "http://x", LITELLM),
        ("qwen3", "http://x", LITELLM),
        ("qwen3", None, None),
        ("two words", "http://x", None),
        ("", "http://x", None),
    ],
)
def test_a_name_says_who_answers(model: str, base_url: str | None, provider: object) -> None:
    assert provider_of(model, base_url) is provider


def test_a_bare_name_is_of_a_server_that_speaks_openais_protocol() -> None:
    assert litellm_name("qwen3") == "openai/qwen3" and litellm_name("mistral/x") == "mistral/x"
