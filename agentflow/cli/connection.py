"""What the commands that talk to a running server share: where it is, and how its refusals are printed."""

from __future__ import annotations

import argparse
import functools
import re
import sys
from collections.abc import Callable
from pathlib import Path

from agentflow.admin import Admin
from agentflow.client import DEFAULT_ADMIN, DEFAULT_INGRESS, Ingress, Refused, Unreachable, admin_url, ingress_url

USAGE = 2

Command = Callable[[argparse.Namespace], int]


class UsageError(Exception):
    """The command line cannot be meant so; exit 2."""


def add_ingress(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ingress", metavar="URL", help=f"the server (AGENTFLOW_INGRESS, else {DEFAULT_INGRESS})")


def add_admin(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--admin", metavar="URL", help=f"its admin address (AGENTFLOW_ADMIN, else {DEFAULT_ADMIN})")


def ingress(args: argparse.Namespace) -> Ingress:
    return Ingress(ingress_url(args.ingress))


def admin(args: argparse.Namespace) -> Admin:
    return Admin(admin_url(args.admin))


def graph_name(argument: str) -> str:
    """The name of a GRAPH argument: what the file says where it is one, else the argument itself."""
    path = Path(argument)
    if path.suffix not in (".yaml", ".yml"):
        return argument
    try:
        said = re.search(
            r"^graph:\s*['\"]?([a-z][a-z0-9_]*)", path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE
        )
    except OSError as error:
        raise UsageError(f"cannot read {argument}: {error.strerror}") from None
    return said[1] if said else path.stem


def complain(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)


def talks_to_server(command: Command) -> Command:
    """Errors of the server, and that there is none, as one line and exit 1; of the command line, exit 2."""

    @functools.wraps(command)
    def guarded(args: argparse.Namespace) -> int:
        try:
            return command(args)
        except Unreachable as error:
            complain(f"{error}; is `agentflow serve` running?")
        except Refused as error:
            complain(error.message)
        except UsageError as error:
            complain(str(error))
            return USAGE
        return 1

    return guarded
