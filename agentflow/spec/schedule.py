"""`schedule:` of a graph: when it starts by itself, and with which input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agentflow.diagnostics import Path, nearest, quoted
from agentflow.spec.fit import misfit
from agentflow.spec.model import ScheduleSpec
from agentflow.spec.reader import Reader
from agentflow.types import Json, Type

KEYS = ("cron", "timezone", "every", "input")


def read_schedule(reader: Reader, input: Type) -> ScheduleSpec | None:
    """The schedule; None where there is none, or nothing can be made of it."""
    if not reader.has("schedule"):
        return None
    inner = reader.mapping("schedule", "write {every: 1h} or {cron: 0 8 * * 1-5, timezone: Europe/Berlin}")
    if inner is None:
        return None
    if reader.data.get("kind") == "object":
        message = "a schedule starts runs, and an object has none: it answers messages"
        help = "schedule a graph that sends to it"
        reader.error("misplaced-key", message, reader.at("schedule"), key=True, help=help)
        return None  # what is wrong in it goes with it
    cron, timezone, every = _cron(inner), _timezone(inner), _every(inner)
    _one_of_two(inner)
    given = inner.take("input") if inner.has("input") else {}
    _check_input(inner, given, input)
    inner.finish(known=KEYS)
    return ScheduleSpec(inner.path, cron, timezone, every, given)


def _one_of_two(reader: Reader) -> None:
    if reader.has("cron") and reader.has("every"):
        related = [(reader.at("cron"), "cron is given here")]
        message = 'a schedule has either "cron" or "every"'
        reader.error("misplaced-key", message, reader.at("every"), key=True, related=related)
    elif not reader.has("cron"):
        if reader.has("timezone"):
            message, help = '"timezone" has no meaning without "cron"', "every counts what passes, wherever that is"
            reader.error("misplaced-key", message, reader.at("timezone"), key=True, help=help)
        if not reader.has("every") and not any(nearest(str(key), ("cron", "every")) for key in reader.data):
            help = 'write every: 1h, or cron: "0 8 * * 1-5" and a timezone'
            reader.error("missing-key", "the schedule does not say when", reader.path, key=True, help=help)
    else:
        reader.require("timezone", "write timezone: UTC, or one like Europe/Berlin")


def _cron(reader: Reader) -> str | None:
    text = reader.string("cron", "a cron expression")
    if text is None:
        return None
    from agentflow.timetable import BadCron, check_cron

    try:
        check_cron(text)
    except BadCron as problem:
        message = str(problem) if problem.part else f"{problem}: {quoted(text)}"
        reader.error("bad-schedule", message, reader.at("cron"), part=problem.part, help=problem.help)
        return None
    return " ".join(text.split())


def _timezone(reader: Reader) -> str | None:
    name = reader.string("timezone", "a time zone's name")
    if name is None:
        return None
    from agentflow.timetable import is_zone, nearest_zone

    if is_zone(name):
        return name
    near = nearest_zone(name)
    help = f"did you mean {quoted(near)}?" if near else "zones are named as in Europe/Berlin, America/New_York or UTC"
    reader.error("unknown-timezone", f"there is no time zone {quoted(name)}", reader.at("timezone"), help=help)
    return None


def _every(reader: Reader) -> int | None:
    length = reader.duration("every")
    if length is None:
        return None
    from agentflow.timetable import SECOND

    if length % SECOND:
        message = f"a schedule fires at whole seconds: {quoted(reader.data['every'])}"
        reader.error("bad-schedule", message, reader.at("every"), help="once a second is the most: every: 1s")
        return None
    return length


def _check_input(reader: Reader, given: Json, input: Type) -> None:
    """It is data that fits the graph's input: nothing runs yet that a template could refer to."""
    place = reader.at("input") if reader.has("input") else reader.path
    templates = [(*place, *way) for way in _templates(given)]
    for path in templates:
        message = "the input of a schedule is data, and no template: nothing is in scope here"
        help = "a run sees the time at which it was started as run.key, or run.started"
        reader.error("bad-schedule", message, path, help=help)
    if not templates and (reason := misfit(given, input, reader.reading.types)):
        message = f"the input of the schedule does not fit the graph's: {reason}"
        reader.error("wrong-type", message, place, key=not reader.has("input"))


def _templates(data: Json) -> Iterator[Path]:
    """The ways to all templates in data."""
    if isinstance(data, str) and ("{{" in data or "{%" in data):
        yield ()
    inside: Iterable[tuple[str | int, Json]] = ()
    if isinstance(data, dict | list):
        inside = data.items() if isinstance(data, dict) else enumerate(data)
    for step, value in inside:
        yield from ((step, *way) for way in _templates(value))
