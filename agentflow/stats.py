"""What `agentflow check --stats` says of the worst case of a graph: a table for people, fields for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agentflow.costs import MEASURES, Bound, Cost, Measure, Row
from agentflow.types import Json
from agentflow.visualize.words import duration, visible
from agentflow.worst import Verdict, Worst

NAMES: dict[Measure, str] = {"model_calls": "model calls", "tool_calls": "tool calls", "time": "wall time"}
SHOWN = 3  # nodes that alone may go over a limit
Line = tuple[str, ...]


def as_text(worst: Worst) -> str:
    """A row a node, the whole, why what has no bound has none, and each limit beside it."""
    program = worst.program
    lines: list[Line] = [(f"{visible(program.name)}: at worst", *NAMES.values()), *_rows(worst.rows, 1)]
    if worst.after:
        lines += [("  finally", "", "", ""), *_rows(worst.after, 2)]
    lines.append(("a run", *_cells(worst.run + worst.finish)))
    if worst.limited != worst.run + worst.finish:
        lines.append(("a run within its limits", *_cells(worst.limited)))
    said = [*_reasons((*worst.rows, *worst.after)), *(_compared(one) for one in worst.verdicts)]
    if worst.limited.time.most is None:
        said.append(f"nothing bounds how long a run takes: {_who(worst, 'time')}; limits: {{time: ...}} would")
    return _table(lines) + "".join(f"  {line}\n" for line in said)


def _rows(rows: Sequence[Row], depth: int) -> Iterator[Line]:
    for row in rows:
        yield ("  " * depth + row.node.name, *_cells(row.cost))
        yield from _rows(row.inside, depth + 1)


def _cells(cost: Cost) -> tuple[str, ...]:
    return tuple(_cell(one, cost.of(one)) for one in MEASURES)


def _cell(measure: Measure, bound: Bound) -> str:
    return "unbounded" if bound.most is None else amount(measure, bound.most)


def amount(measure: Measure, most: int) -> str:
    return duration(most) if measure == "time" else f"{most:,}"


def _table(lines: Sequence[Line]) -> str:
    widths = [max(len(line[at]) for line in lines) for at in range(len(MEASURES) + 1)]
    text = ""
    for line in lines:
        cells = [line[0].ljust(widths[0]), *(line[at].rjust(widths[at]) for at in range(1, len(line)))]
        text += "   ".join(cells).rstrip() + "\n"
    return text


def _reasons(rows: Sequence[Row]) -> Iterator[str]:
    """Why a node has no bound, where the reason is its own: once for all that it is the reason for."""
    for row in rows:
        above = {row_inside.cost.of(one).why for row_inside in row.inside for one in MEASURES}
        reasons: dict[str, list[str]] = {}
        for measure in MEASURES:
            why = row.cost.of(measure).why
            if why is not None and why not in above:
                reasons.setdefault(why, []).append(NAMES[measure])
        for why, names in reasons.items():
            yield f"{visible(row.node.path)}: {_listed(names)} unbounded, because {visible(why)}"
        yield from _reasons(row.inside)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _who(worst: Worst, measure: Measure) -> str:
    row = worst.dominant[measure]
    return (
        f"{visible(row.node.path)} has no bound"
        if row is not None and row.cost.of(measure).most is None
        else "it waits"
    )


def _compared(one: Verdict) -> str:
    limit = f"limits.{one.limit} of {amount(one.limit, one.most)}"
    limit += " (the default)" if one.by_default else ""
    limit += " in finally" if one.of == "finally" else ""
    if not one.exceeded:
        return f"{limit} is enough: at most {_cell(one.limit, one.bound)}"
    return f"{'note' if one.by_default else 'warning'}: {limit} can be exceeded: {_because(one)}"


def _because(one: Verdict) -> str:
    who, verb = visible(one.node or ""), "take" if one.limit == "time" else "make"
    alone = [f"{visible(path)} alone may {verb} {amount(one.limit, most)}" for path, most in one.over[:SHOWN]]
    if one.alone.most is None:
        return ", and ".join([f"{who} has no bound of its own", *alone])
    if alone:
        return ", ".join(alone)
    total = _cell(one.limit, one.bound)
    return f"all together may {verb} {total}, of which {who} {amount(one.limit, one.alone.most)}"


# ---------------------------------------------------------------- for programs


def as_json(worst: Worst) -> Json:
    """`{graph, file, run, limited, nodes: [...], limits: [...]}`; calls, and milliseconds; null where unbounded."""
    return {
        "graph": worst.program.name,
        "file": worst.program.source,
        "run": _costs(worst.run + worst.finish),
        "limited": _costs(worst.limited),
        "dominant": {one: row.node.path if (row := worst.dominant[one]) is not None else None for one in MEASURES},
        "nodes": [*_nodes(worst.rows, False), *_nodes(worst.after, True)],
        "limits": [_verdict(one) for one in worst.verdicts],
    }


def _nodes(rows: Sequence[Row], after: bool) -> Iterator[Json]:
    for row in rows:
        kind, line = row.node.kind, row.node.line
        yield {"path": row.node.path, "kind": kind, "line": line, "finally": after, **_costs(row.cost)}
        yield from _nodes(row.inside, after)


def _costs(cost: Cost) -> dict[str, Json]:
    bounds: dict[str, Bound] = {one: cost.of(one) for one in MEASURES}
    return {
        **{one: bound.most for one, bound in bounds.items()},
        "why": {one: b.why for one, b in bounds.items() if b.why},
    }


def _verdict(one: Verdict) -> Json:
    return {
        "limit": one.limit,
        "of": one.of,
        "most": one.most,
        "by_default": one.by_default,
        "worst": one.bound.most,
        "exceeded": one.exceeded,
        "node": one.node,
        "alone": one.alone.most,
        "over": [{"node": path, "worst": most} for path, most in one.over],
    }
