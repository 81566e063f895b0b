"""When schedules fire: over the days when the clock is changed, each once, and the same however one asks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentflow.timetable import BadCron, Timetable, check_cron, key_of, nearest_zone

BERLIN = "Europe/Berlin"


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def firings(timetable: Timetable, since: str, count: int, zone: str = BERLIN) -> list[str]:
    """The next firings after a moment, as the clock on the wall shows them."""
    moment, found = ms(since), []
    for _ in range(count):
        following = timetable.after(moment)
        assert following is not None and following > moment
        moment = following
        found.append(datetime.fromtimestamp(moment / 1000, ZoneInfo(zone)).isoformat())
    return found


def test_working_days_at_eight_in_summer_and_winter() -> None:
    timetable = Timetable("0 8 * * MON-FRI", BERLIN)
    assert firings(timetable, "2026-10-23T12:00:00+02:00", 2) == [
        "2026-10-26T08:00:00+01:00",
        "2026-10-27T08:00:00+01:00",
    ]
    assert firings(timetable, "2026-03-27T12:00:00+01:00", 1) == ["2026-03-30T08:00:00+02:00"]


def test_an_hour_that_there_is_twice_has_one_firing() -> None:
    timetable = Timetable("30 2 * * *", BERLIN)
    expected = ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]
    assert firings(timetable, "2026-10-24T12:00:00+02:00", 2) == expected
    for within in ("2026-10-25T02:40:00+02:00", "2026-10-25T02:10:00+01:00", "2026-10-25T02:50:00+01:00"):
        assert firings(timetable, within, 1) == expected[1:]


def test_an_hour_that_there_is_not_has_its_firing_right_after() -> None:
    timetable = Timetable("30 2 * * *", BERLIN)
    expected = ["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]
    assert firings(timetable, "2026-03-27T12:00:00+01:00", 3) == expected
    several = firings(Timetable("0,30 2-3 * * *", BERLIN), "2026-03-28T12:00:00+01:00", 3)
    assert several == ["2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00", "2026-03-30T02:00:00+02:00"]


def test_what_fires_in_every_hour_fires_in_every_hour_that_passes() -> None:
    for since in ("2026-10-24T20:00:00+00:00", "2026-03-28T20:00:00+00:00"):
        moment, found = ms(since), []
        for _ in range(12):
            moment = Timetable("15 * * * *", BERLIN).after(moment) or 0
            found.append(moment)
        assert {after - before for before, after in pairwise(found)} == {3_600_000}


def test_every_is_counted_from_1970() -> None:
    assert firings(Timetable(every=3_600_000), "2026-01-01T10:17:03+00:00", 2, "UTC") == [
        "2026-01-01T11:00:00+00:00",
        "2026-01-01T12:00:00+00:00",
    ]
    assert Timetable(every=7000).latest(0, 20_999) == 14_000
    assert Timetable(every=7000).latest(14_000, 20_999) is None


ZONES = st.sampled_from(
    ["UTC", BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca"]
)
CRONS = st.sampled_from(
    [
        "* * * * *",
        "*/7 * * * *",
        "30 2 * * *",
        "0 */5 * * *",
        "15 1-3 * * SUN",
        "0 0 L * *",
        "59 23 31 12 *",
        "0 8 * * 1-5",
    ]
)
MOMENTS = st.integers(ms("2020-01-01T00:00:00+00:00"), ms("2030-01-01T00:00:00+00:00"))


@settings(max_examples=300, deadline=None)
@given(CRONS, ZONES, MOMENTS, st.integers(0, 40))
def test_asked_from_anywhere_the_firings_are_the_same(cron: str, zone: str, since: int, skipped: int) -> None:
    """From anywhere between two firings, the one before is the latest and the one after is the next."""
    timetable = Timetable(cron, zone)
    moments = [since]
    for _ in range(4):
        following = timetable.after(moments[-1])
        assert following is not None and following > moments[-1]
        moments.append(following)
    for before, after in pairwise(moments):
        for between in (before, before + (after - before) * skipped // 41, after - 1):
            assert timetable.after(between) == after
            assert timetable.latest(since, max(between, since)) == (before if before > since else None)
    assert timetable.latest(since, moments[-1]) == moments[-1]


def test_the_latest_of_years_of_minutes_is_found_at_once() -> None:
    timetable, now = Timetable("* * * * *", BERLIN), ms("2026-06-01T12:00:30+00:00")
    assert timetable.latest(0, now) == now - 30_000
    assert Timetable("0 0 29 2 *", "UTC").latest(0, now) == ms("2024-02-29T00:00:00+00:00")
    assert Timetable("0 0 29 2 *", "UTC").latest(ms("2024-02-29T00:00:00+00:00"), now) is None


@pytest.mark.parametrize(
    ("cron", "part"),
    [
        ("0 24 * * *", (2, 2)),
        ("x * * * *", (0, 1)),
        ("0 0  32 * *", (5, 2)),
        ("0 0 * FOO *", (6, 3)),
        ("0 0 * * 8", (8, 1)),
    ],
)
def test_the_field_that_is_wrong_is_pointed_at(cron: str, part: tuple[int, int]) -> None:
    with pytest.raises(BadCron) as bad:
        check_cron(cron)
    assert bad.value.part == part and bad.value.help


@given(st.text(max_size=30) | st.lists(st.sampled_from("*/,-0123456789LW#aMON "), max_size=30).map("".join))
def test_whatever_is_written_is_right_or_wrong(cron: str) -> None:
    try:
        check_cron(cron)
    except BadCron:
        return
    since = datetime(2026, 1, 1, tzinfo=UTC)
    assert Timetable(cron, "UTC").after(int(since.timestamp() * 1000)) is not None


def test_zones_that_were_meant() -> None:
    assert [
        nearest_zone(name) for name in ("berlin", "Europe/Belrin", "new york", "utc", "CEST", "Nowhere/At_All")
    ] == [
        BERLIN,
        BERLIN,
        "America/New_York",
        "UTC",
        None,
        None,
    ]


def test_a_key_is_the_time_in_utc() -> None:
    moment = ms("2026-01-30T08:00:00+01:00")
    assert [key_of(moment), key_of(moment + 7)] == ["2026-01-30T07:00:00Z", "2026-01-30T07:00:00.007Z"]
    assert datetime.fromisoformat(key_of(moment)) - datetime(2026, 1, 30, tzinfo=UTC) == timedelta(hours=7)
