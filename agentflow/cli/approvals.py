"""`agentflow approvals`: what waits for a person, on all graphs of the server."""

from __future__ import annotations

import argparse
import json
from typing import Any

from agentflow import tokens
from agentflow.admin import Admin
from agentflow.cli.connection import add_admin, admin, complain, talks_to_server
from agentflow.types import Json

FIELDS = ("id", "kind", "graph", "key", "node", "message", "arguments", "approvers", "deadline")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = "List what is open: approvals, and questions (`agentflow answer`)."
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument(
        "--links", action="store_true", help=f"with each approver's link, whose token decides (needs {tokens.KEY})"
    )
    add_admin(parser)


@talks_to_server
def main(args: argparse.Namespace) -> int:
    if args.links and not tokens.required():
        complain(f"--links needs {tokens.KEY}, with the value that the server has")
        return 2
    gates = open_gates(admin(args), links=args.links)
    if args.format == "json":
        print(json.dumps(gates, indent=2, ensure_ascii=False))
        return 0
    for gate in gates:
        print(_text(gate))
    if not gates:
        print("nothing waits for approval")
    return 0


def open_gates(server: Admin, *, links: bool = False) -> list[dict[str, Json]]:
    """The gates that wait for a decision, by id."""
    rows = server.query(
        "select value_utf8 from state where service_name like '%.approvals' and key = 'gate' order by service_key"
    )
    gates = [json.loads(str(row["value_utf8"])) for row in rows]
    return [
        {"kind": "approval"}
        | {field: gate.get(field) for field in (*FIELDS, "form") if field in gate or field != "kind"}
        | ({"not_notified": gate["not_notified"]} if gate.get("not_notified") else {})
        | ({"links": _links(gate)} if links else {})
        for gate in sorted(gates, key=lambda gate: str(gate.get("id")))
        if gate.get("state") == "open"
    ]


def _links(gate: dict[str, Any]) -> dict[str, Json]:
    return {person: tokens.link(gate["id"], gate["run"], person) for person in gate["approvers"]}


def _text(gate: dict[str, Json]) -> str:
    approvers = gate["approvers"]
    asked = ", ".join(str(name) for name in approvers) if isinstance(approvers, list) else str(approvers)
    what = "  wants an answer" if gate["kind"] == "ask" else ""
    lines = [str(gate["id"]) + what, f"  {gate['message']}", f"  asked: {asked}"]
    if gate["arguments"] is not None:
        lines.append(f"  arguments: {json.dumps(gate['arguments'], ensure_ascii=False)}")
    if gate["deadline"] is not None:
        lines.append(f"  until: {gate['deadline']}")
    problems = gate.get("not_notified")
    if isinstance(problems, list):
        lines += [f"  not notified: {problem}" for problem in problems]
    form = gate["form"]
    fields = form.get("properties") if isinstance(form, dict) else None
    if isinstance(fields, dict):
        lines.append(f"  form: {', '.join(fields)}")
    links = gate.get("links")
    if isinstance(links, dict):
        lines += [f"  {person}: {link}" for person, link in links.items()]
    return "\n".join(lines)
