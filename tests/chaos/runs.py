"""The table of runs: what is measured, how often, with what goal, and which bugs must show."""

from __future__ import annotations

from tests.chaos import disk, files, kill, power
from tests.chaos.verdict import ZERO, Run

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
    Run(name="files", measure=files.measure, goal=ZERO, cases=30, full=30, twins=("wide-files",)),
)
