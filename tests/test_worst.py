"""The worst case of graphs, to the number: calls, milliseconds, reasons, and limits beside them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentflow.callees import Callee, find
from agentflow.cli import main
from agentflow.costs import Row, pauses
from agentflow.driver import compile
from agentflow.ir import Program, Retry
from agentflow.project import project_root
from agentflow.worst import Worst, worst

ROOT = Path(__file__).parents[1]
SECOND, HOUR = 1000, 3_600_000
HEAD = """agentflow: 1
graph: g
input: {text: string, items: [string], kind: a | b}
models: {default: gemini-2.5-flash, once: {model: gemini-2.5-pro, retry: {attempts: 1}}}
tools:
  plain: {python: "tools.t:act"}
  tried: {python: "tools.t:act", effect: read, timeout: 10s, retry: {attempts: 3, initial: 1s, factor: 2, max: 30s}}
  late: {python: "tools.t:act", effect: read, timeout: 10s, retry: {within: 1m, max: 5s}}
  asked:
    python: "tools.t:act"
    effect: read
    timeout: 1s
    retry: {attempts: 1}
    confirm: {message: x, approvers: [a], timeout: 1h, on_timeout: reject}
"""
AGENTS = {
    "talker": "{instruction: x, model: once}",
    "worker": "{instruction: x, model: once, tools: [tried], limits: {model_calls: 4, tool_calls: 6}}",
    "timed": "{instruction: x, tools: [plain], limits: {time: 5m}}",
    "free": "{instruction: x, tools: [tried]}",
    "first": "{instruction: x, model: once, handoffs: [talker], limits: {model_calls: 2}}",
    "chief": "{instruction: x, model: once, tools: [talker, tried], limits: {model_calls: 3, fan_out: 2}}",
}
MODEL = 600 * SECOND  # one try of a model
TRIED = 33 * SECOND  # three tries of 10s, and pauses of 1s and 2s


def reckoned(folder: Path, nodes: str, **others: str) -> Worst:
    (folder / "tools").mkdir(exist_ok=True)
    (folder / "tools" / "t.py").write_text('def act() -> str:\n    """Acts."""\n    return ""\n')
    for name, text in others.items():
        (folder / f"{name}.yaml").write_text(f"agentflow: 1\ngraph: {name}\n{text}")
    file = folder / "g.yaml"
    named = {name for name in AGENTS if f"agent: {name}" in nodes}
    used = named | ({"talker"} if named & {"first", "chief"} else set())
    agents = "".join(f"  {name}: {AGENTS[name]}\n" for name in AGENTS if name in used)
    file.write_text(HEAD + (f"agents:\n{agents}" if agents else "") + nodes)
    result = compile(file)
    assert result.program is not None and result.source is not None, result.diagnostics
    source = result.source

    def called(name: str) -> Program | None:
        found = find(name, source, project_root(file))
        return compile(found.file).program if isinstance(found, Callee) else None

    return worst(result.program, called)


def numbers(row: Row) -> tuple[int | None, int | None, int | None]:
    return row.cost.model_calls.most, row.cost.tool_calls.most, row.cost.time.most


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ("{agent: talker, prompt: x}", (3, 0, 3 * MODEL)),
        ("{agent: talker, prompt: x, timeout: 1m}", (3, 0, 60 * SECOND)),
        ("{agent: talker, prompt: x, retry: {attempts: 2, initial: 1s}}", (3, 0, 3 * (2 * MODEL + SECOND))),
        ("{agent: worker, prompt: x}", (4, 6, 4 * MODEL + 6 * TRIED)),
        ("{agent: timed, prompt: x}", (None, None, 300 * SECOND)),
        ("{agent: free, prompt: x}", (None, None, None)),
        ("{agent: first, prompt: x}", (5, 0, 5 * MODEL)),
        ("{agent: chief, prompt: x}", (3, 6, 3 * MODEL + 6 * TRIED)),
        ("{tool: plain}", (0, 1, None)),
        ("{tool: plain, retry: {attempts: 2}}", (0, 1, None)),
        ("{tool: plain, timeout: 2s}", (0, 1, 2 * SECOND)),
        ("{tool: tried}", (0, 1, TRIED)),
        ("{tool: tried, retry: {attempts: 1}}", (0, 1, 10 * SECOND)),
        ("{tool: late}", (0, 1, (60 + 5 + 10) * SECOND)),
        ("{tool: asked}", (0, 1, HOUR + SECOND)),
        ("{approval: x, approvers: [a]}", (0, 0, None)),
        (
            "{approval: x, approvers: [a], timeout: 24h, escalate: [{to: [b], timeout: 4h}], on_timeout: reject}",
            (0, 0, 28 * HOUR),
        ),
        ("{ask: x, form: {y: string}, timeout: 2h, on_timeout: fail}", (0, 0, 2 * HOUR)),
        ("{event: e}", (0, 0, None)),
        ("{event: e, timeout: 1h, on_timeout: fail}", (0, 0, HOUR)),
        ("{wait: 90s}", (0, 0, 90 * SECOND)),
        ('{wait: "{{ input.text }}"}', (0, 0, None)),
        ("{value: 1}", (0, 0, 0)),
        ("{loop: {t: {tool: tried}}, until: t == input.text, max: 4, every: 1m}", (0, 4, 4 * TRIED + 180 * SECOND)),
        ("{for_each: [a, b, c], max_parallel: 2, do: {agent: talker, prompt: x}}", (9, 0, 6 * MODEL)),
        ("{for_each: input.items, do: {tool: tried}}", (0, 1000, 100 * TRIED)),
        ("{for_each: input.items, max_parallel: 4, do: {tool: tried}}", (0, 1000, 300 * TRIED)),
        ("{parallel: {p: {tool: tried}, q: {wait: 1m}, r: {tool: tried}}}", (0, 2, 60 * SECOND)),
        ("{switch: input.kind, cases: {a: {tool: tried}, b: {agent: talker, prompt: x}}}", (3, 1, 3 * MODEL)),
        ("{steps: {p: {tool: tried}, q: {wait: 1m}}}", (0, 1, TRIED + 60 * SECOND)),
        ("{nodes: {p: {tool: tried}, q: {wait: 1m}, r: {wait: 1s, needs: [p]}}}", (0, 1, 60 * SECOND)),
        ("{tool: tried, on_error: {run: {wait: 1m}}}", (0, 1, TRIED + 60 * SECOND)),
        ("{graph: other}", (0, 0, 7 * SECOND)),
        ("{graph: other, retry: {attempts: 2, initial: 1s}}", (0, 0, 15 * SECOND)),
        ("{graph: other, mode: send}", (0, 0, 0)),
        ("{graph: endless}", (0, 0, None)),
        ("{graph: g, with: {text: x, items: [], kind: a}}", (0, 0, None)),
        ('{service: "S/h"}', (0, 0, None)),
    ],
)
def test_a_node(node: str, expected: tuple[int | None, ...], tmp_path: Path) -> None:
    other = "limits: {time: 5s}\nnodes: {n: {wait: 1h}}\nfinally: {m: {wait: 2s}}\n"
    endless = "nodes: {n: {event: e}}\n"
    found = reckoned(tmp_path, f"nodes:\n  n: {node}\n", other=other, endless=endless)
    assert numbers(found.rows[0]) == expected


def test_nodes_with_no_path_between_them_take_the_time_of_the_longest(tmp_path: Path) -> None:
    nodes = "nodes: {a: {wait: 5s}, b: {wait: 3s, needs: [a]}, c: {wait: 6s}, d: {tool: tried, needs: [c]}}\n"
    found = reckoned(tmp_path, nodes)
    assert found.run.time.most == 6 * SECOND + TRIED
    assert found.run.tool_calls.most == 1
    assert found.dominant["time"] is not None and found.dominant["time"].node.path == "d"


def test_reasons_name_what_has_no_bound(tmp_path: Path) -> None:
    found = reckoned(
        tmp_path, "nodes: {a: {approval: x, approvers: [y]}, b: {graph: endless}}\n", endless="nodes: {n: {event: e}}\n"
    )
    assert found.rows[0].cost.time.why == "it may be that nobody approves (no timeout)"
    assert found.rows[1].cost.time.why == 'in endless: the message "e" may never come (no timeout)'


def test_limits_are_compared(tmp_path: Path) -> None:
    limits = "limits: {time: 1h, tool_calls: 2}\n"
    gate = "{approval: x, approvers: [a], timeout: 24h, escalate: [{to: [b], timeout: 4h}], on_timeout: reject}"
    found = reckoned(tmp_path, limits + f"nodes: {{pay: {{tool: tried}}, sign_off: {gate}}}\n")
    said = {one.limit: one for one in found.verdicts}
    assert said["time"].exceeded and said["time"].node == "sign_off" and said["time"].alone.most == 28 * HOUR
    assert not said["tool_calls"].exceeded and not said["tool_calls"].by_default
    assert not said["model_calls"].exceeded and said["model_calls"].by_default
    assert found.limited.time.most == HOUR


def test_what_follows_a_run_has_the_limits_anew(tmp_path: Path) -> None:
    found = reckoned(tmp_path, "limits: {time: 1m}\nnodes: {a: {wait: 5m}}\nfinally: {b: {tool: tried}}\n")
    assert found.limited.time.most == 60 * SECOND + TRIED
    assert [(one.of, one.exceeded) for one in found.verdicts if one.limit == "time"] == [
        ("run", True),
        ("finally", False),
    ]


def test_pauses_are_those_of_the_runtime() -> None:
    from agentflow.runtime import graph, keys

    for attempts, initial, factor, longest in (
        (1, 500, 2.0, 30_000),
        (5, 1000, 2.0, 30_000),
        (40, 700, 1.5, 9000),
        (9, 10, 1.0, 50),
    ):
        real = graph.Retry(attempts, f"{initial}ms", factor, f"{longest}ms")
        assert pauses(Retry(attempts, initial, factor, longest), attempts) == pytest.approx(
            sum(real.pause(tries) for tries in range(1, attempts)) * 1000, abs=1
        )
    default = graph.Retry(attempts=9)
    assert pauses(Retry(attempts=9), 9) == sum(default.pause(tries) for tries in range(1, 9)) * 1000
    assert pauses(Retry(attempts=1_000_000), 1_000_000) == 31_500 + (999_999 - 6) * 30_000
    from agentflow import costs as module
    from agentflow.runtime import agents

    assert module.MODEL_TRY == keys.TIMEOUT * 1000 and module.ANSWERS == 1 + agents._MISMATCHES
    assert graph.Retry(module.MODEL_ATTEMPTS, f"{module.MODEL_INITIAL // 1000}s") == graph.MODEL_RETRY
    assert graph.Retry() == graph.Retry(None, f"{module.INITIAL}ms", module.FACTOR, f"{module.LONGEST // 1000}s")


def test_people_see_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gate = "{approval: x, approvers: [a], timeout: 24h, escalate: [{to: [b], timeout: 4h}], on_timeout: reject"
    gate += ", needs: [talk]}"
    nodes = f"limits: {{time: 1h}}\nnodes:\n  talk: {{agent: talker, prompt: x}}\n  sign_off: {gate}\n"
    reckoned(tmp_path, nodes + "  act: {tool: plain, needs: [sign_off]}\n")
    assert main(["check", str(tmp_path / "g.yaml"), "--stats"]) == 0
    assert (
        capsys.readouterr().out.partition("\n\n")[2]
        == """\
g: at worst               model calls   tool calls   wall time
  talk                              3            0         30m
  sign_off                          0            0         28h
  act                               0            1   unbounded
a run                               3            1   unbounded
a run within its limits             3            1          1h
  act: wall time unbounded, because plain has no timeout, and is tried until it succeeds (no retry.attempts)
  limits.model_calls of 200 (the default) is enough: at most 3
  limits.tool_calls of 500 (the default) is enough: at most 1
  warning: limits.time of 1h can be exceeded: act has no bound of its own, and sign_off alone may take 28h
"""
    )


def test_programs_get_fields(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Other programs read them: fields may be added, and none may go."""
    reckoned(
        tmp_path, "limits: {time: 1h}\nnodes: {talk: {agent: talker, prompt: x}, act: {tool: plain, needs: [talk]}}\n"
    )
    assert main(["check", str(tmp_path / "g.yaml"), "--stats", "--format", "json"]) == 0
    both = json.loads(capsys.readouterr().out)
    assert both["diagnostics"] == []
    (found,) = both["stats"]
    why = "plain has no timeout, and is tried until it succeeds (no retry.attempts)"
    assert found == {
        "graph": "g",
        "file": "g.yaml",
        "run": {"model_calls": 3, "tool_calls": 1, "time": None, "why": {"time": why}},
        "limited": {"model_calls": 3, "tool_calls": 1, "time": HOUR, "why": {}},
        "dominant": {"model_calls": "talk", "tool_calls": "act", "time": "act"},
        "nodes": [
            {"path": "talk", "kind": "agent", "line": 18, "finally": False}
            | {"model_calls": 3, "tool_calls": 0, "time": 1_800_000, "why": {}},
            {"path": "act", "kind": "tool", "line": 18, "finally": False}
            | {"model_calls": 0, "tool_calls": 1, "time": None, "why": {"time": why}},
        ],
        "limits": [
            {"limit": "model_calls", "of": "run", "most": 200, "by_default": True}
            | {"worst": 3, "exceeded": False, "node": "talk", "alone": 3, "over": []},
            {"limit": "tool_calls", "of": "run", "most": 500, "by_default": True}
            | {"worst": 1, "exceeded": False, "node": "act", "alone": 1, "over": []},
            {"limit": "time", "of": "run", "most": HOUR, "by_default": False}
            | {"worst": None, "exceeded": True, "node": "act", "alone": None, "over": []},
        ],
    }


def test_a_graph_with_mistakes_has_no_worst_case(capsys: pytest.CaptureFixture[str]) -> None:
    bad = str(ROOT / "tests/errors/unknown-agent-node.yaml")
    assert main(["check", bad, "--stats", "--format", "json"]) == 1
    both = json.loads(capsys.readouterr().out)
    assert len(both["diagnostics"]) == 1 and both["stats"] == []
    assert main(["check", bad, "--stats", "--format", "github"]) == 2


@pytest.mark.parametrize("file", sorted(path.stem for path in ROOT.glob("graphs/*.yaml") if "." not in path.stem))
def test_every_example_has_one(file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["check", file, "--stats"]) == 0
    assert f"{file}: at worst" in capsys.readouterr().out
