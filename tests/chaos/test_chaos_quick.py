"""A little of `make chaos` in every test run: what faults and races can break, and some twins."""

from __future__ import annotations

import pytest

from tests.chaos.runs import RUNS
from tests.chaos.verdict import Run, Skipped

_BY_NAME = {run.name: run for run in RUNS}

QUICK = (
    ("kill", 6),
    ("power", 1),
    ("disk-full", 1),
    ("last-slot", 4),
    ("idempotency", 2),
    ("inject", 3),
    ("files", 30),
)
BUGS = (("kill", "unknown-again", 6), ("last-slot", "naive-cap", 1), ("files", "wide-files", 1))


@pytest.mark.parametrize(("name", "cases"), QUICK)
def test_a_run_meets_its_goal(name: str, cases: int) -> None:
    run = _BY_NAME[name]
    try:
        measured = run.measure(cases, ())
    except Skipped as why:
        pytest.skip(str(why))
    print(f"{name}: {measured.number:g} ({measured.cases} cases, {measured.details})")
    assert run.verdict(measured, cases) is None, measured


@pytest.mark.parametrize(("name", "twin", "cases"), BUGS)
def test_a_planted_bug_is_noticed(name: str, twin: str, cases: int) -> None:
    run: Run = _BY_NAME[name]
    assert twin in run.twins
    measured = run.measure(cases, (twin,))
    assert not run.goal.met(measured), f"{name} is blind to {twin}: {measured}"
