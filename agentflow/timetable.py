"""When a schedule fires: by cron in a time zone, or every so often. Moments are milliseconds since 1970.

Cron goes by the clock on the wall. What names an hour fires once on the days when the clock is changed: at the first
02:30 of two, and at 03:00 where there is no 02:30. What fires in every hour fires in every hour that passes.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

FIELDS = ("minute", "hour", "day of the month", "month", "day of the week")
_LEGAL = (
    "0 to 59",
    "0 to 23",
    "1 to 31, or L for the last day",
    "1 to 12, or JAN to DEC",
    "0 to 7, or SUN to SAT; both 0 and 7 are Sunday",
)
_DAY = 86_400_000
_ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
SECOND = 1000  # ms


class BadCron(ValueError):
    """What is wrong with it, at which part (offset, length) of the text, and what would be right if that is known."""

    def __init__(self, message: str, part: tuple[int, int] | None = None, help: str | None = None) -> None:
        super().__init__(message)
        self.part = part
        self.help = help


@dataclass(frozen=True)
class Timetable:
    """One of the two: `cron` with its `timezone`, or `every` so many milliseconds, counted from 1970-01-01 in UTC."""

    cron: str | None = None
    timezone: str | None = None
    every: int | None = None

    def after(self, moment: int) -> int | None:
        """The next firing after a moment; None where there is none within fifty years."""
        if self.every is not None:
            return (moment // self.every + 1) * self.every
        return next(self._firings(moment), None)

    def latest(self, after: int, until: int) -> int | None:
        """The last firing after one moment and not after another."""
        if self.every is not None:
            last = until // self.every * self.every
            return last if last > after else None
        window = _DAY // 24
        while True:  # the last hour, the last day, ...: all of a long time may be many
            begin = max(after, until - window)
            found: int | None = None
            for firing in self._firings(begin):
                if firing > until:
                    break
                found = firing
            if found is not None or begin == after:
                return found
            window *= 24

    def _firings(self, moment: int) -> Iterator[int]:
        from cronsim import CronSim

        since = datetime.fromtimestamp(moment // 1000, UTC).astimezone(zone(self.timezone or "UTC"))
        for firing in CronSim(self.cron or "", since):
            found = int(firing.timestamp()) * 1000
            if found > moment:  # where the clock is set back, what is to come on it may have been
                yield found
                moment = found


def zone(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


def nearest_zone(name: str) -> str | None:
    """The time zone that was probably meant."""
    from zoneinfo import available_timezones

    known = sorted(available_timezones())
    folded = {one.casefold(): one for one in known}
    cities = {one.rpartition("/")[2].casefold(): one for one in known if "/" in one and not one.startswith("Etc/")}
    wanted = name.strip().replace(" ", "_").casefold()
    if wanted in folded or wanted in cities:
        return folded.get(wanted) or cities[wanted]
    if len(wanted) < 6:
        return None  # an abbreviation, which is near to others that mean something else
    near = difflib.get_close_matches(wanted, [*folded, *cities], n=1, cutoff=0.75)
    return (folded.get(near[0]) or cities[near[0]]) if near else None


def is_zone(name: str) -> bool:
    from zoneinfo import available_timezones

    return name in available_timezones()


def check_cron(text: str) -> None:
    """Raises BadCron where it is no cron expression of five fields, or never fires."""
    from cronsim import CronSim, CronSimError

    fields = list(_fields(text))
    alias = _ALIASES.get(text.strip().lower())
    if alias is not None:
        raise BadCron("a cron expression has five fields", help=f'write "{alias}"')
    if len(fields) != len(FIELDS):
        seconds = "; for seconds, write every: 30s" if len(fields) == len(FIELDS) + 1 else ""
        message = f"a cron expression has five fields, and this has {len(fields)}"
        raise BadCron(message, help=f"{', '.join(FIELDS)}: 0 8 * * 1-5{seconds}")
    since = datetime(2000, 1, 1, tzinfo=UTC)
    for at, (offset, word) in enumerate(fields):
        alone = ["*"] * len(FIELDS)
        alone[at] = word
        try:
            CronSim(" ".join(alone), since)
        except (CronSimError, ValueError):
            message = f"{word[:40]!r} is not the {FIELDS[at]} of a cron expression".replace("'", '"')
            raise BadCron(message, (offset, len(word)), _LEGAL[at]) from None
    try:
        next(CronSim(text, since))
    except (CronSimError, ValueError, StopIteration):
        raise BadCron("there is no such day in those months, so that it never fires") from None


def _fields(text: str) -> Iterator[tuple[int, str]]:
    """The words of a text, and where each begins."""
    at = 0
    for word in text.split():
        at = text.index(word, at)
        yield at, word
        at += len(word)


def key_of(moment: int) -> str:
    """A moment as the key of what fires then: `2026-01-31T08:00:00Z`."""
    precision = "milliseconds" if moment % 1000 else "seconds"
    return datetime.fromtimestamp(moment / 1000, UTC).isoformat(timespec=precision).replace("+00:00", "Z")
