"""The table of runs: what is measured, how often, with what goal, and which bugs must show."""

from __future__ import annotations

from tests.chaos import clock, consumers, disk, files, inject, kill, power, races, stalls, stops
from tests.chaos.verdict import EACH_CASE, ZERO, Goal, Run, below

ONE_ALIVE = Goal(
    "1, which answers, and all others said why",
    lambda found: (
        found.number == 1 and found.more["answers"] == 1 and found.more["polite"] == found.cases - 1
    ),
)

RUNS: tuple[Run, ...] = (
    Run(
        name="kill",
        measure=kill.measure,
        goal=ZERO,
        cases=60,
        full=500,
        twins=("late-commit", "unknown-again", "naive-cap"),
        twin_cases=12,
    ),
    Run(
        name="power",
        measure=power.measure,
        goal=ZERO,
        cases=5,
        full=100,
        twins=("sync-normal",),
        twin_cases=3,
    ),
    Run(
        name="disk-full",
        measure=disk.full,
        goal=ZERO,
        cases=4,
        full=40,
        twins=("blind-commit",),
        twin_cases=2,
    ),
    Run(
        name="read-only",
        measure=disk.read_only,
        goal=ZERO,
        cases=2,
        full=20,
        twins=("blind-commit",),
        twin_cases=1,
    ),
    Run(
        name="inject",
        measure=inject.measure,
        goal=ZERO,
        cases=30,
        full=120,
        twins=("blind-commit",),
        twin_cases=12,
    ),
    Run(
        name="clock",
        measure=clock.leaps,
        goal=ZERO,
        cases=9,
        full=54,
        twins=("follow-clock",),
        twin_cases=5,
    ),
    Run(
        name="suspend",
        measure=clock.suspend,
        goal=ZERO,
        cases=2,
        full=10,
        twins=("follow-clock",),
        twin_cases=1,
    ),
    Run(
        name="stalls",
        measure=stalls.measure,
        goal=ZERO,
        cases=400,
        full=2_000,
        twins=("unknown-again",),
        twin_cases=200,
    ),
    Run(
        name="consumers",
        measure=consumers.measure,
        goal=below(50),
        cases=64,
        full=64,
        twins=("no-hang-up",),
        twin_cases=64,
    ),
    Run(
        name="last-slot",
        measure=races.last_slot,
        goal=EACH_CASE,
        cases=50,
        full=200,
        twins=("naive-cap",),
        twin_cases=3,
    ),
    Run(
        name="idempotency",
        measure=races.idempotency,
        goal=ZERO,
        cases=20,
        full=100,
        twins=("no-idempotency",),
        twin_cases=2,
    ),
    Run(
        name="starts",
        measure=races.starts,
        goal=ONE_ALIVE,
        cases=50,
        full=50,
        twins=("no-lock",),
        twin_cases=20,
    ),
    Run(
        name="pauses",
        measure=stops.pauses,
        goal=ZERO,
        cases=10_000,
        full=100_000,
        twins=("no-pause",),
        twin_cases=200,
    ),
    Run(
        name="suppressions",
        measure=stops.suppressions,
        goal=ZERO,
        cases=2_000,
        full=20_000,
        twins=("no-suppression",),
        twin_cases=200,
    ),
    Run(name="files", measure=files.measure, goal=ZERO, cases=30, full=30, twins=("wide-files",)),
)
