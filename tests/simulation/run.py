"""One seeded run of the whole daemon: a storm, then a calm in which everything must come to an end.

python -m tests.simulation --seed 7 --days 4
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from mailplaned.core import Core
from mailplaned.domain.windows import DAY_US, HOUR_US, MINUTE_US
from tests.simulation.books import random_start
from tests.simulation.checks import check_all
from tests.simulation.misfortune import Misfortune
from tests.simulation.operators import Operators
from tests.simulation.senders import Senders
from tests.simulation.world import CALM, World

CALM_DAYS = 12
"""Longer than any message lives, and long enough for the smallest ramp to let it go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a run; it is good when `problems` is empty."""

    seed: int
    trace: str
    problems: list[str]
    acknowledged: int
    handed: int
    taken: int
    lives: int
    steps: int
    virtual_days: float
    counts: dict[str, int]
    ends: frozenset[str]
    """Every state that a recipient ended in."""
    outcomes: frozenset[str]
    """Every outcome that an attempt had."""
    tail: list[str]


def run(
    seed: int, *, days: float = 3, per_day: float = 60, make_core: Callable[..., Core] = Core
) -> Result:
    """Simulate that many stormy days, then a calm; check every promise."""
    be_quiet()
    epoch_us, policy = random_start(random.Random(seed + 4))
    world = World(seed, policy, epoch_us=epoch_us, make_core=make_core)
    senders = Senders(world, per_day)
    operators = Operators(world, senders, every_s=HOUR_US / 2e6)
    misfortune = Misfortune(world, every_s=3 * HOUR_US / 1e6)
    world.start_daemon()
    for actor in (senders, operators, misfortune):
        actor.start()
    try:
        world.run_for(int(days * DAY_US))
        misfortune.rest()
        senders.active = operators.active = False
        return conclude(seed, world, senders, operators)
    finally:
        world.close()


def be_quiet() -> None:
    """Say nothing of what the daemon logs."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def conclude(
    seed: int, world: World, senders: Senders, operators: Operators, step_us: int = 3 * HOUR_US
) -> Result:
    """Let all come to its end in a calm, and check every promise."""
    world.provider.temper = CALM
    world.house_clock.period_us = 10 * MINUTE_US
    for _ in range(CALM_DAYS * DAY_US // step_us):
        world.run_for(step_us)
        if world.problems or not _open(world):
            break
    if not world.problems:
        check_all(world, senders, operators)
    return Result(
        seed=seed,
        trace=world.trace_hash,
        problems=world.problems,
        acknowledged=len(senders.sent),
        handed=len(world.provider.journal),
        taken=sum(bool(handed.taken) for handed in world.provider.journal),
        lives=world.lives,
        steps=world.loop.steps,
        virtual_days=world.loop.time() / 86_400,
        counts=world.counts,
        ends=_distinct(world, "SELECT DISTINCT state FROM recipients"),
        outcomes=_distinct(world, "SELECT DISTINCT outcome FROM attempts"),
        tail=world.trace_tail,
    )


def _distinct(world: World, query: str) -> frozenset[str]:
    return frozenset(value for (value,) in world.database.execute(query))


def _open(world: World) -> int:
    (count,) = world.database.execute(
        "SELECT count(*) FROM messages WHERE state IN "
        "('queued', 'scheduled', 'held', 'sending', 'deferred', 'unknown')"
    ).fetchone()
    return int(count)
