from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailplaned.domain.windows import (
    DAY_US,
    HOUR_US,
    MINUTE_US,
    WEEK_US,
    Kind,
    Per,
    calendar_window,
    to_datetime,
    to_us,
)

ZONES = sorted(available_timezones() - {"localtime", "Factory"})
FIRST_US = to_us(datetime(2000, 1, 1, tzinfo=UTC))
LAST_US = to_us(datetime(2040, 1, 1, tzinfo=UTC))

zones = st.sampled_from(ZONES).map(ZoneInfo)
times = st.integers(FIRST_US, LAST_US)


def us(text: str, zone: str = "UTC", fold: int = 0) -> int:
    local = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)
    return to_us(local.astimezone(UTC))


@pytest.mark.parametrize(
    ("at", "zone", "per", "start", "end"),
    [
        # Spring in Berlin: 23 hours; autumn: 25.
        ("2026-03-29T12:00", "Europe/Berlin", Per.DAY, "2026-03-28T23:00", "2026-03-29T22:00"),
        ("2026-10-25T12:00", "Europe/Berlin", Per.DAY, "2026-10-24T22:00", "2026-10-25T23:00"),
        # The hour from 2 to 3 comes twice, as two windows.
        ("2026-10-25T00:30", "Europe/Berlin", Per.HOUR, "2026-10-25T00:00", "2026-10-25T01:00"),
        ("2026-10-25T01:30", "Europe/Berlin", Per.HOUR, "2026-10-25T01:00", "2026-10-25T02:00"),
        # The ISO week that holds it has 167 hours.
        ("2026-03-25T12:00", "Europe/Berlin", Per.WEEK, "2026-03-22T23:00", "2026-03-29T22:00"),
        # Brazil changed at midnight: the day began at 01:00.
        ("2018-11-04T12:00", "America/Sao_Paulo", Per.DAY, "2018-11-04T03:00", "2018-11-05T02:00"),
        # Samoa left out 30 December 2011.
        ("2011-12-30T09:00", "Pacific/Apia", Per.DAY, "2011-12-29T10:00", "2011-12-30T10:00"),
        ("2011-12-30T11:00", "Pacific/Apia", Per.DAY, "2011-12-30T10:00", "2011-12-31T10:00"),
        # Lord Howe moves by half an hour, in the middle of an hour.
        (
            "2026-10-03T15:10",
            "Australia/Lord_Howe",
            Per.HOUR,
            "2026-10-03T14:30",
            "2026-10-03T15:30",
        ),
        (
            "2026-10-03T15:40",
            "Australia/Lord_Howe",
            Per.HOUR,
            "2026-10-03T15:30",
            "2026-10-03T16:00",
        ),
        (
            "2026-04-04T15:10",
            "Australia/Lord_Howe",
            Per.HOUR,
            "2026-04-04T15:00",
            "2026-04-04T15:30",
        ),
        # India is half an hour off.
        ("2026-06-01T12:10", "Asia/Kolkata", Per.HOUR, "2026-06-01T11:30", "2026-06-01T12:30"),
    ],
)
def test_windows_that_can_be_checked_on_a_wall_clock(
    at: str, zone: str, per: Per, start: str, end: str
) -> None:
    assert calendar_window(us(at), per, ZoneInfo(zone)) == (us(start), us(end))


@given(at_us=times)
def test_a_time_survives_the_way_to_a_datetime_and_back(at_us: int) -> None:
    assert to_us(to_datetime(at_us)) == at_us
    assert to_datetime(at_us) == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)


def test_the_week_is_seven_days_of_24_hours_when_it_rolls() -> None:
    assert WEEK_US == 7 * 24 * HOUR_US


def test_a_time_without_a_zone_is_in_utc() -> None:
    assert to_datetime(0).tzinfo is UTC


def test_windows_are_called_what_the_book_and_the_tables_call_them() -> None:
    assert [*Per, *Kind] == ["hour", "day", "week", "rolling", "calendar"]


@settings(max_examples=600, deadline=None)
@given(at_us=times, per=st.sampled_from(Per), zone=zones)
@example(us("2026-04-04T15:10"), Per.HOUR, ZoneInfo("Australia/Lord_Howe"))
@example(us("2026-10-03T15:40"), Per.HOUR, ZoneInfo("Australia/Lord_Howe"))
@example(us("2011-12-30T09:59"), Per.DAY, ZoneInfo("Pacific/Apia"))
@example(us("2006-10-29T03:10"), Per.DAY, ZoneInfo("America/St_Johns"))
def test_calendar_windows_partition_time(at_us: int, per: Per, zone: ZoneInfo) -> None:
    start, end = calendar_window(at_us, per, zone)
    assert start <= at_us < end
    assert calendar_window(start, per, zone) == (start, end)
    assert calendar_window(end - 1, per, zone) == (start, end)
    assert calendar_window(end, per, zone)[0] == end
    assert calendar_window(start - 1, per, zone)[1] == start


@pytest.mark.parametrize("name", ZONES)
def test_windows_partition_the_year_around_each_clock_change_of_every_zone(name: str) -> None:
    zone = ZoneInfo(name)
    at_us = us("2026-01-01T00:00")
    year_us = at_us + 366 * DAY_US
    while at_us < year_us:
        next_us = at_us + DAY_US
        before, after = (to_datetime(t, zone).utcoffset() for t in (at_us, next_us))
        if before != after:
            for minutes in range(-60, 25 * 60, 10):
                moment = at_us + minutes * MINUTE_US
                for per in (Per.HOUR, Per.DAY):
                    start, end = calendar_window(moment, per, zone)
                    assert start <= moment < end
                    assert calendar_window(end, per, zone)[0] == end
                    assert calendar_window(start - 1, per, zone)[1] == start
        at_us = next_us


@settings(max_examples=200, deadline=None)
@given(at_us=times, zone=zones)
def test_a_local_day_begins_with_its_first_moment_and_holds_only_its_date(
    at_us: int, zone: ZoneInfo
) -> None:
    start, end = calendar_window(at_us, Per.DAY, zone)
    assert 20 * HOUR_US <= end - start <= 28 * HOUR_US or name_of(zone) == "Pacific/Apia"
    day = to_datetime(start, zone).date()
    assert to_datetime(start - 1, zone).date() < day or _twice(start, zone)
    assert to_datetime(end - 1, zone).date() <= to_datetime(end, zone).date()


def name_of(zone: ZoneInfo) -> str:
    return zone.key


def _twice(at_us: int, zone: ZoneInfo) -> bool:
    """Whether the clock was set back across midnight there."""
    return to_datetime(at_us, zone).utcoffset() != to_datetime(at_us - DAY_US, zone).utcoffset()
