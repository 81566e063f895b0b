"""`agentflow approve ID`, `agentflow reject ID`, `agentflow answer ID`: decide or answer what is open."""

from __future__ import annotations

import argparse
import getpass
import json
import os
from urllib.parse import unquote, urlsplit

from agentflow.cli.connection import UsageError, add_ingress, ingress, talks_to_server
from agentflow.types import Json


def configure(parser: argparse.ArgumentParser, decision: str = "approve") -> None:
    parser.description = f"{decision.capitalize()} what waits; `agentflow approvals` lists it."
    parser.set_defaults(decision=decision)
    parser.add_argument("id", metavar="ID", help="<graph>/<key>/<node>, as `agentflow approvals` shows it, or the link")
    parser.add_argument("--by", metavar="NAME", help="who decides (default: your user name)")
    parser.add_argument("--comment", metavar="TEXT")
    parser.add_argument("--form", metavar="JSON", required=decision == "answer", help="the fields that are asked for")
    parser.add_argument("--token", metavar="T", help="the token of the link, where the server wants one")
    add_ingress(parser)


@talks_to_server
def main(args: argparse.Namespace) -> int:
    gate, token = parse_id(args.id)
    try:
        form = json.loads(args.form) if args.form is not None else None
    except ValueError as error:
        raise UsageError(f"--form is not JSON: {error}") from None
    graph, _, key = gate.partition("/")
    decision: Json = {
        "decision": args.decision,
        "by": args.by or _user(),
        "comment": args.comment,
        "form": form,
        "token": args.token or token,
    }
    made = ingress(args).ask(f"{graph}.approvals", key, "decide", decision)
    outcome, by = (made.get("outcome"), made.get("by")) if isinstance(made, dict) else (None, None)
    print(f"{gate} {outcome} by {by}")
    return 0


def parse_id(given: str) -> tuple[str, str | None]:
    """The gate's id, and the token where the id is a link. Raises UsageError."""
    rest, _, fragment = given.partition("#")
    token = fragment.removeprefix("token=") if fragment.startswith("token=") else None
    if "://" in rest:
        base = os.environ.get("AGENTFLOW_LINKS", "").rstrip("/")
        inside = rest.removeprefix(base) if base and rest.startswith(base) else urlsplit(rest).path
        rest = unquote(inside.split("/approve/", 1)[-1]).strip("/")
    if rest.count("/") < 2 or "" in rest.split("/"):
        raise UsageError(f"{given!r} is not the id of an approval, which is GRAPH/KEY/NODE")
    return rest, token


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "somebody"
