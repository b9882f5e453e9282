"""The windows that caps are counted in: rolling ones, and calendar ones in a mailbox's zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
WEEK_US = 7 * DAY_US


class Per(StrEnum):
    """How long a window is."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"


class Kind(StrEnum):
    """`ROLLING`: any 60 minutes, 24 hours, 7 days. `CALENDAR`: local hour, day, ISO week."""

    ROLLING = "rolling"
    CALENDAR = "calendar"


LENGTH_US = {Per.HOUR: HOUR_US, Per.DAY: DAY_US, Per.WEEK: WEEK_US}
"""The length of a rolling window."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)


def to_datetime(at_us: int, zone: ZoneInfo | None = None) -> datetime:
    """The aware local time of a time in microseconds; UTC without a zone."""
    moment = _EPOCH + timedelta(microseconds=at_us)
    return moment if zone is None else moment.astimezone(zone)


def to_us(moment: datetime) -> int:
    """Microseconds since the epoch of an aware datetime."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def calendar_window(at_us: int, per: Per, zone: ZoneInfo) -> tuple[int, int]:
    """The local hour, day or ISO week that holds `at_us`, as (start, end); the end is outside.

    These windows partition time. A day with a clock change is 23 or 25 hours long, and a repeated
    hour is two windows; a change in the middle of an hour (Lord Howe) ends one and begins the next.
    """
    local = to_datetime(at_us, zone)
    if per is Per.HOUR:
        return _hour(at_us, _offset_us(at_us, zone), zone)
    day = local.date()
    if local.fold and at_us >= _midnight(day + _DAY, zone):
        day += _DAY  # set back across midnight: the next day had begun already
    days = 1
    if per is Per.WEEK:
        day -= timedelta(days=day.weekday())
        days = 7
    return _midnight(day, zone), _midnight(day + timedelta(days=days), zone)


def _hour(at_us: int, offset_us: int, zone: ZoneInfo) -> tuple[int, int]:
    start = (at_us + offset_us) // HOUR_US * HOUR_US - offset_us
    end = start + HOUR_US
    if _offset_us(start, zone) != offset_us:
        start = _change(start, at_us, zone)
    if _offset_us(end, zone) != offset_us:
        end = _change(at_us, end, zone)
    return start, end


def _change(before_us: int, after_us: int, zone: ZoneInfo) -> int:
    """The moment of the one clock change after `before_us` and not after `after_us`."""
    offset_us = _offset_us(before_us, zone)
    while after_us - before_us > 1:
        middle = (before_us + after_us) // 2
        if _offset_us(middle, zone) == offset_us:
            before_us = middle
        else:
            after_us = middle
    return after_us


def _offset_us(at_us: int, zone: ZoneInfo) -> int:
    return to_us(to_datetime(at_us, zone).replace(tzinfo=UTC)) - at_us


def _midnight(day: date, zone: ZoneInfo) -> int:
    """The first moment of a local day.

    Where a clock change skips 00:00, `fold=0` names the moment of the change, which is the first
    of the day; where 00:00 comes twice, it names the first one (PEP 495).
    """
    return to_us(datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC))
