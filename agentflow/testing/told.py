"""How the outcomes of cases are told: lines, diagnostics, and JUnit's XML."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from agentflow.diagnostics import Diagnostic
from agentflow.testing.cases import Case
from agentflow.testing.expect import Miss, misses
from agentflow.testing.outcome import Outcome

CODE = "test-failed"
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Result:
    case: Case
    outcome: Outcome
    failures: tuple[Diagnostic, ...]

    @property
    def passed(self) -> bool:
        return not self.failures


def judged(case: Case, outcome: Outcome) -> Result:
    return Result(case, outcome, tuple(_failures(case, outcome)))


def _failures(case: Case, outcome: Outcome) -> Iterator[Diagnostic]:
    found = misses(case, outcome)
    for number, miss in enumerate(found):
        help = _why(outcome) if number == 0 else None
        yield _missed(case, miss, help)
    for path, problem in outcome.problems:
        yield case.source.error(CODE, f"{case.title}: {problem}", path)
    expected = case.expect.get("state") in ("waiting", "running")
    if outcome.stuck is not None and not expected and not found:
        yield case.source.error(CODE, f"{case.title}: it did not end: {outcome.stuck}", case.path, key=True)


def _missed(case: Case, miss: Miss, help: str | None) -> Diagnostic:
    message = f"{case.title}: {miss.what} is not as expected"
    note = f"expected {miss.expected}, got {miss.got}"
    return case.source.error(CODE, message, case.at("expect", *miss.place), note=note, help=help)


def _why(outcome: Outcome) -> str | None:
    """What became of the run, where that may explain it."""
    if outcome.stuck is not None:
        return f"the run did not end: {outcome.stuck}"
    if outcome.error is not None:
        at = f"{outcome.error['node']}: " if outcome.error.get("node") else ""
        return f"the run ended {outcome.state} ({outcome.error['code']}): {at}{outcome.error['message']}"
    return None


def _in_full(failure: Diagnostic) -> str:
    first = f"{failure.file}:{failure.span.line}: {failure.message}"
    return "\n".join([first, *(line for line in (failure.note, failure.help) if line)])


def _legal(text: str) -> str:
    """XML has no way to say most control characters."""
    return _ILLEGAL.sub("\ufffd", text)


def junit(results: Sequence[Result], file: Path) -> None:
    """Writes the results as CI servers read them."""
    root = ElementTree.Element("testsuites", name="agentflow")
    for graph in dict.fromkeys(result.case.program.name for result in results):
        mine = [result for result in results if result.case.program.name == graph]
        failed = sum(not result.passed for result in mine)
        took = sum(result.outcome.took for result in mine)
        counts = {"tests": str(len(mine)), "failures": str(failed), "errors": "0", "time": f"{took:.3f}"}
        suite = ElementTree.SubElement(root, "testsuite", {"name": graph, **counts})
        for result in mine:
            case = result.case
            place = {"file": case.source.name, "line": str(case.source.line(case.path))}
            about = {"classname": graph, "name": case.name, "time": f"{result.outcome.took:.3f}", **place}
            element = ElementTree.SubElement(suite, "testcase", about)
            if result.failures:  # one element: of several some readers take the first alone
                message = _legal(result.failures[0].message)
                told = ElementTree.SubElement(element, "failure", message=message, type=CODE)
                told.text = _legal("\n\n".join(_in_full(failure) for failure in result.failures))
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(file, encoding="utf-8", xml_declaration=True)
