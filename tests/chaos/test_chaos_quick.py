"""A little of `make chaos` in every test run: faults, races, hostile input, and some twins."""

from __future__ import annotations

import pytest

from tests.chaos.hostile.bugs import PLANTS, planted
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
    ("hostile-schema", 30),
    ("hostile-http", 128),
    ("hostile-headers", 300),
    ("hostile-addresses", 300),
    ("hostile-mime", 300),
    ("hostile-book", 100),
    ("hostile-replies", 192),
    ("hostile-terminal", 150),
)
BUGS = (
    ("kill", "unknown-again", 6),
    ("last-slot", "naive-cap", 1),
    ("files", "wide-files", 1),
    ("hostile-http", "no-host-check", 64),
    ("hostile-headers", "no-header-check", 60),
    ("hostile-addresses", "lax-addresses", 60),
    ("hostile-mime", "no-dot-stuffing", 100),
    ("hostile-book", "no-shape-check", 60),
    ("hostile-replies", "eager", 64),
    ("hostile-terminal", "no-escaping", 20),
)


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


@pytest.mark.parametrize("twin", PLANTS)
def test_a_bug_to_be_planted_finds_the_place_that_it_alters(twin: str) -> None:
    with planted([twin]):
        pass
