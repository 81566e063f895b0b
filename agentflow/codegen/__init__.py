"""From the IR to a Python module: `emit(program)` gives its text, `revision(text)` its name among revisions."""

from agentflow.codegen.module import emit, revision

__all__ = ["emit", "revision"]
