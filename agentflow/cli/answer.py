"""`agentflow answer ID --form JSON`: answers a question that is open; see `approve`."""

from __future__ import annotations

import argparse

from agentflow.cli import approve


def configure(parser: argparse.ArgumentParser) -> None:
    approve.configure(parser, "answer")


main = approve.main
