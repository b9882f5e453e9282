"""What a run measures, what it should have measured, and whether that was enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


class Skipped(Exception):
    """This host can't do it; the text says what is missing. Never to be read as passed."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The number of a run, over how many cases, and what it is made of."""

    number: float
    cases: int
    details: str
    more: dict[str, float] = field(default_factory=dict)
    """Further figures, for the JSON only."""


@dataclass(frozen=True)
class Goal:
    """What the number should be."""

    words: str
    met: Callable[[Measured], bool]


ZERO = Goal("0", lambda measured: measured.number == 0)
EACH_CASE = Goal("one for each case", lambda measured: measured.number == measured.cases)


def below(limit: float) -> Goal:
    """A number that has to stay under a limit."""
    return Goal(f"< {limit:g}", lambda measured: measured.number < limit)


Measure = Callable[[int, Sequence[str]], Measured]
"""Takes the number of cases and the twins to plant. Raises Skipped."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One script, one number. Each of `twins` alone has to make it miss its goal."""

    name: str
    measure: Measure
    goal: Goal
    cases: int
    full: int
    twins: tuple[str, ...] = ()
    twin_cases: int = 1

    def verdict(self, measured: Measured, cases: int) -> str | None:
        """Why this is a failure, None when it is none."""
        if measured.cases < cases:
            return f"only {measured.cases} of {cases} cases"
        if not self.goal.met(measured):
            return f"the goal is {self.goal.words}"
        return None
