"""Kills at every point of the scenario in turn: before and after each commit, after each step.

A step of the loop goes from one await to the next, so the points after all steps are all the awaits
there are, those of a start, of a stop and of a recovery from another kill among them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from mailplaned.core import Core
from tests.simulation.run import Result
from tests.simulation.scenario import play
from tests.simulation.world import World


class Kind(StrEnum):
    """What is counted."""

    COMMIT = "commit"
    AWAIT = "await"


@dataclass(frozen=True, slots=True)
class Point:
    """A moment at which the daemon is killed."""

    kind: Kind
    number: int
    durable: bool = False
    """Of a commit: just after it, rather than just before."""

    def strike(self, world: World) -> None:
        """Have the daemon of a world killed here."""
        if self.kind is Kind.COMMIT:
            world.kill_at_commit(self.number, durable=self.durable)
        else:
            world.loop.after_steps(self.number, world.strike)

    def __str__(self) -> str:
        when = "" if self.kind is Kind.AWAIT else " after" if self.durable else " before"
        return f"{self.kind} {self.number}{when}"


def points(kind: Kind, seed: int) -> list[Point]:
    """Every point of the scenario as it goes when nothing more is killed in it."""
    result, world = play(seed, lambda world: world.kill_at_commit(0, durable=False))
    assert not result.problems, result.problems
    if kind is Kind.COMMIT:
        numbers = range(1, world.commits + 1)
        return [Point(kind, number, durable) for number in numbers for durable in (False, True)]
    spans = [(first, min(last, result.steps)) for first, last in world.alive]
    return [Point(kind, number) for first, last in spans for number in range(first + 1, last)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """The scenario with one more kill in it."""

    point: Point
    result: Result

    @property
    def killed(self) -> bool:
        """Whether the kill came; a point that is not reached has not been tried."""
        return self.result.counts.get("struck") == 1


def every(chosen: list[Point], seed: int, make_core: Callable[..., Core] = Core) -> Iterator[Tried]:
    """The scenario again for each of these points."""
    for point in chosen:
        result, _ = play(seed, point.strike, make_core)
        yield Tried(point=point, result=result)
