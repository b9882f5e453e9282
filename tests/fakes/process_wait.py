"""Waiting for what another process does: short polls with an end, never a blind sleep."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_POLL_S = 0.01


def until(condition: Callable[[], T | None], what: str, within_s: float = 10) -> T:
    """The first true value of a condition. Fails with `what` when it stays false."""
    end = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {within_s} s: {what}"
        time.sleep(_POLL_S)
    return found


def stays(condition: Callable[[], bool], for_s: float) -> bool:
    """Whether a condition holds all that time."""
    end = time.monotonic() + for_s
    while time.monotonic() < end:
        if not condition():
            return False
        time.sleep(_POLL_S)
    return True
