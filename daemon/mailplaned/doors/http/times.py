"""Times and durations as they stand on the wire."""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from typing import overload

from mailplaned.domain.windows import DAY_US, HOUR_US, MINUTE_US, SECOND_US, to_datetime, to_us

_DURATION = re.compile(r"([0-9]{1,9})([smhdw])")
_UNIT_US = {"s": SECOND_US, "m": MINUTE_US, "h": HOUR_US, "d": DAY_US, "w": 7 * DAY_US}


@overload
def show_time(at_us: int) -> str: ...
@overload
def show_time(at_us: None) -> None: ...
@overload
def show_time(at_us: int | None) -> str | None: ...
@lru_cache(maxsize=1024)
def show_time(at_us: int | None) -> str | None:
    """RFC 3339 in UTC, with milliseconds; None for None."""
    if at_us is None:
        return None
    return to_datetime(at_us).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@lru_cache(maxsize=1024)
def parse_time(text: str) -> int:
    """Microseconds of an RFC 3339 time with a zone. Raises ValueError with words for people."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or len(text) < len("2026-12-01T08:00Z"):
        raise ValueError("has to be an RFC 3339 time with a zone, such as 2026-12-01T08:00:00Z")
    at_us = to_us(moment)
    try:
        to_datetime(at_us)
    except OverflowError:  # in UTC it is before the year 1 or after 9999, and can't be shown
        raise ValueError("is out of range") from None
    return at_us


@lru_cache(maxsize=1024)
def parse_duration(text: str) -> int:
    """Microseconds of `45s`, `30m`, `12h`, `2d`, `1w`. Raises ValueError with words for people."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError("has to be a number and a unit, such as 45s, 30m, 12h, 2d or 1w")
    return int(found[1]) * _UNIT_US[found[2]]
