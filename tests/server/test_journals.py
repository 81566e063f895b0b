"""The journals that the runtime writes, entry by entry. Runs in flight replay against them.

When one changes, so does `agentflow.journal.VERSION`, and then `pytest --update-golden` writes them anew.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from harness import PROJECT, Service, graph, until

from agentflow import journal
from agentflow.client import Refused

GOLDEN = Path(__file__).parents[1] / "golden" / "journals"
GRAPHS = [
    PROJECT / "graphs" / "claim.yaml",
    graph(
        "undone",
        """
nodes:
  first: {tool: act, with: {name: first}}
  both:
    parallel:
      left: {steps: {a: {tool: act, with: {name: a}}, b: {tool: act, with: {name: b}}}}
      right: {tool: act, with: {name: right}}
    needs: [first]
  caught: {tool: act, with: {name: caught}, needs: [both], timeout: 1m, on_error: continue}
  bad: {fail: as asked, needs: [caught]}
""",
    ),
]
REPLIES = {  # the order in which the two reviews end is settled, and with it that of the entries
    "claim": """
medical:
  - call: {tool: policy_of, with: {claim_id: "1"}}
  - {say: {ok: true, reason: fits, risk: low}, delay: 400ms}
fraud:
  - say: {ok: true, reason: clean, risk: low}
letter:
  - say: Dear customer.
adjuster:
  - say: {decision: pay, amount: 5000, reason: fine}
""",
}
CLAIM = {"claim_id": "1", "holder": "Ada", "amount": 200, "text": "a broken arm"}

pytestmark = pytest.mark.at("60s")  # the same entries at 0, but their order side by side is not


def written(service: Service, root: str) -> str:
    """The commands of the run and of what it called, each journal under the handler that wrote it."""
    parts: list[str] = []
    ids = [root]
    while ids:
        one = ids.pop(0)
        target = service.engine.admin.query(f"select target from sys_invocation where id = '{one}'")[0]["target"]
        head = re.sub(r"_[0-9a-f]{8}(?=/)", "_<revision>", str(target).replace("/journal/sign_off", "/<gate>"))
        rows = service.engine.admin.query(
            f"select entry_type, name from sys_journal where id = '{one}' and entry_type like 'Command%' order by index"
        )
        entries = [f"  {str(row['entry_type']).removeprefix('Command: ')} {row['name'] or ''}".rstrip() for row in rows]
        parts.append("\n".join([head, *entries, ""]))
        called = service.engine.admin.query(f"select id from sys_invocation where invoked_by_id = '{one}'")
        ids += [str(row["id"]) for row in called]
    return "".join([parts[0], *sorted(parts[1:])])


def hold(name: str, journal_text: str, request: pytest.FixtureRequest) -> None:
    file = GOLDEN / f"{name}.txt"
    text = f"version {journal.VERSION}\n{journal_text}"
    if request.config.getoption("--update-golden"):
        file.write_text(text)
    assert file.read_text() == text, "a run in flight would not replay: raise agentflow.journal.VERSION"


def test_the_journals_of_a_paid_claim(service: Service, request: pytest.FixtureRequest) -> None:
    root = service.send("claim", "journal", {**CLAIM, "amount": 5000})
    service.gate("claim", "journal/sign_off")
    assert service.decide("claim", "journal/sign_off", "approve", by="ada").status == 200
    assert service.result("claim", "journal")["decision"] == "pay"
    hold("claim", written(service, root), request)


def test_the_journals_of_a_run_that_is_undone(service: Service, request: pytest.FixtureRequest) -> None:
    root = service.send("undone", "journal")
    with pytest.raises(Refused, match="as asked"):
        service.result("undone", "journal")
    until(lambda: service.state("undone", "journal") == "failed", 10, "the end")
    hold("undone", written(service, root), request)
