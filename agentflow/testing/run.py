"""From files to outcomes: reads the tests, compiles their graphs, and has the cases conducted on a stand."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agentflow import ir
from agentflow.codegen.invocations import everything
from agentflow.diagnostics import Diagnostic
from agentflow.driver import build, compile
from agentflow.project import find_graph, project_root
from agentflow.serve import binary
from agentflow.serve.revisions import Revision, Store
from agentflow.serve.stand import Stand
from agentflow.testing.cases import SUFFIX, Case, callees, files_of, graph_of, read_cases
from agentflow.testing.conduct import Conductor
from agentflow.testing.outcome import Outcome
from agentflow.types import Json


@dataclass
class Suite:
    """What is to be tested: the cases, in the order of their files, and what is wrong with any of it."""

    cases: list[Case] = field(default_factory=list)
    programs: dict[Path, ir.Program] = field(default_factory=dict)  # of every graph that is served, by file
    problems: list[Diagnostic] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)  # what was asked for and has no tests


def collect(arguments: Sequence[str], keyword: str | None = None) -> Suite:
    """The cases that GRAPH and FILE arguments mean; all of `graphs/` without any. `keyword`: of those, the named."""
    suite = Suite()
    for file in _files(arguments, suite):
        graph = graph_of(file)
        programs = programs_of(graph, suite)
        if not programs:
            continue
        cases, problems, source = read_cases(file, graph, programs)
        suite.problems += problems
        if source is not None:
            suite.texts |= source.files()
        suite.cases += [case for case in cases if keyword is None or keyword in case.title]
    return suite


def _files(arguments: Sequence[str], suite: Suite) -> list[Path]:
    found: list[Path] = []
    for argument in arguments:
        path = Path(argument)
        files = [path] if argument.endswith(SUFFIX) else files_of(find_graph(argument))
        if not files:
            graph = find_graph(argument)
            suite.missing.append(f"there is no {graph.with_name(graph.stem + SUFFIX).as_posix()}")
        found += files
    if not arguments:
        found = sorted(Path("graphs").glob(f"*{SUFFIX}"))
        if not found:
            suite.missing.append(f"there is no graphs/*{SUFFIX} here")
    return list(dict.fromkeys(found))


def programs_of(graph: Path, suite: Suite) -> list[ir.Program]:
    """The program of a graph, and of those that it calls, directly or not; none if one of them is wrong."""
    found: dict[Path, ir.Program] = {}
    rest = [graph]
    while rest:
        path = rest.pop(0)
        if path in found:
            continue
        program = suite.programs.get(path)
        if program is None:
            result = compile(path)
            if result.source is not None:
                suite.texts |= result.source.files()
            if result.program is None:
                suite.problems += [d for d in result.diagnostics if d not in suite.problems]
                return []
            program = suite.programs[path] = result.program
        found[path] = program
        rest += [path.with_name(f"{name}.yaml") for name in called(program)]
    return list(found.values())


def called(program: ir.Program) -> list[str]:
    """The names of the graphs that a graph calls, by a node or a tool."""
    return [callee.name for callee, _ in callees(program) if isinstance(callee, ir.Graph)]


def elsewhere(programs: Collection[ir.Program]) -> dict[str, Json]:
    """The services elsewhere that graphs call: with which handlers, and which of them by a key."""
    services: dict[str, list[str]] = {}
    keyed: set[str] = set()
    for program in programs:
        for callee, key in callees(program):
            if isinstance(callee, ir.Service):
                handlers = services.setdefault(callee.name, [])
                if callee.handler not in handlers:
                    handlers.append(callee.handler)
                if key:
                    keyed.add(callee.name)
    names: dict[str, Json] = {name: [*handlers] for name, handlers in services.items()}
    keys: list[Json] = [*sorted(keyed)]
    nodes = (node for program in programs for node in everything(program))
    late = any(isinstance(node.op, ir.Call) and node.op.sent_late for node in nodes)
    return {"services": names, "keyed": keys} if services or late else {}


def run(suite: Suite, ended: Callable[[Case, Outcome], None], say: Callable[[str], None]) -> None:
    """Runs the cases, side by side; `ended` hears of each. Raises ServeError where they cannot be run."""
    server = binary.find(say)
    for root in dict.fromkeys(project_root(case.graph) for case in suite.cases):
        cases = {f"case-{number}": case for number, case in enumerate(suite.cases, 1)}
        mine = {id: case for id, case in cases.items() if project_root(case.graph) == root}
        for graphs in _apart(list(dict.fromkeys(case.graph for case in mine.values())), suite):
            these = {id: case for id, case in mine.items() if case.graph in graphs}
            with tempfile.TemporaryDirectory(prefix="agentflow-test-", ignore_cleanup_errors=True) as folder:
                asyncio.run(_rehearse(Path(folder), server, graphs, these, ended))


def _apart(graphs: Iterable[Path], suite: Suite) -> list[dict[Path, ir.Program]]:
    """Graphs, with those that they call, in as few lots as can be: in none is one of them a service elsewhere too."""
    lots: list[dict[Path, ir.Program]] = []
    for path in graphs:
        names = {program.name for program in programs_of(path, suite)}
        mine = {at: program for at, program in suite.programs.items() if program.name in names}
        fitting = (index for index, lot in enumerate(lots) if not _clash({**lot, **mine}))
        index = next(fitting, len(lots))
        lots[index:] = [{**lots[index], **mine} if index < len(lots) else mine, *lots[index + 1 :]]
    return lots


def _clash(graphs: Mapping[Path, ir.Program]) -> bool:
    services = elsewhere(graphs.values()).get("services", {})
    assert isinstance(services, dict)
    return any(program.name in services for program in graphs.values())


async def _rehearse(
    folder: Path,
    server: Path,
    graphs: Mapping[Path, ir.Program],
    cases: dict[str, Case],
    ended: Callable[[Case, Outcome], None],
) -> None:
    revisions = [_revision(path, folder) for path in graphs]
    services = elsewhere(graphs.values())
    orders: list[dict[str, Json]] = [
        {
            "id": id,
            "file": str(case.source.path.absolute()),
            "shown": case.source.name,
            "name": case.name,
            "graph": case.program.name,
            "now": case.now,
        }
        for id, case in cases.items()
    ]
    async with Stand(folder, server, revisions, orders, services) as stand:
        await Conductor(stand, list(cases.items())).run(lambda id, outcome: ended(cases[id], outcome))


def _revision(path: Path, folder: Path) -> Revision:
    built = build(path, folder / "build")
    replies = path.with_name(f"{path.stem}.replies.yaml")
    return Store(folder).add(built.module_path, built.manifest_path, project_root(path), replies)
