from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.simulation.run import Result, run

ROOT = Path(__file__).parents[2]
SEEDS = range(1, 81)
DAYS = 1


def _say(result: Result) -> str:
    lines = [f"seed {result.seed}", *result.problems[:5], "the end of its trace:"]
    return "\n".join([*lines, *result.tail[-25:]])


@pytest.mark.parametrize("seed", SEEDS)
def test_every_promise_is_kept_through_storms_and_all_comes_to_an_end(
    seed: int, record_property: Callable[[str, object], None]
) -> None:
    result = run(seed, days=DAYS)
    print(f"seed {result.seed}, trace {result.trace}")
    record_property("simulated sends", result.handed)
    assert not result.problems, _say(result)
    assert result.taken > 40, "a run in which nothing happens shows nothing"


@pytest.mark.parametrize(
    ("seed", "days"),
    [
        pytest.param(1545928375, 1, id="a slot comes while the daemon is ending"),
        pytest.param(1545928407, 3, id="a kill after a start that a full disk refused"),
    ],
)
def test_what_a_soak_has_found_stays_mended(seed: int, days: int) -> None:
    result = run(seed, days=days)
    assert not result.problems, _say(result)


def test_the_storms_hold_every_kind_of_misfortune() -> None:
    counts: dict[str, int] = {}
    for seed in range(31, 36):
        for what, count in run(seed, days=DAYS).counts.items():
            counts[what] = counts.get(what, 0) + count
    expected = {"kill", "stop", "stopped", "host restarted", "clock jumped", "disk full"}
    expected |= {"pause", "resume", "suppress", "cancel", "resolve", "edit", "refused"}
    assert expected <= set(counts)


@pytest.mark.parametrize("seed", [101, 102, 103])
def test_a_seed_replays_to_the_same_trace_whatever_the_hash_seed(seed: int) -> None:
    command = [sys.executable, "-m", "tests.simulation", "--seed", str(seed), "--days", "0.5"]
    traces = set()
    for hash_seed in ("0", "4242"):
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        traces.add(done.stdout.split()[3])
    assert len(traces) == 1
