"""From the IR to a Python module: `emit(program)` gives its text and its revision."""

from agentflow.codegen.module import emit

__all__ = ["emit"]
