"""`agentflow reject ID`: see `approve`."""

from __future__ import annotations

import argparse

from agentflow.cli import approve


def configure(parser: argparse.ArgumentParser) -> None:
    approve.configure(parser, "reject")


main = approve.main
