"""`make soak`: seed after seed until it is stopped, or for some hours; the failing ones are kept.

Exit 1: a seed failed. An interrupt ends it with the tally, as do the hours and many failures.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import queue
import random
import signal
import sys
import time
import traceback
from dataclasses import dataclass

from tests.simulation.run import run

FAILURES = 20
"""No more can be told apart from one fault that fails all."""

DAYS = (1, 1, 2, 3, 8)
"""Stormy days of a seed. The longest outlives a week's window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Soaked:
    """What came of a seed."""

    seed: int
    days: int
    sends: int
    problems: list[str]


def soak_one(seed: int) -> Soaked:
    """Run one seed; whatever it raises is a problem of its own."""
    days = random.Random(seed).choice(DAYS)
    try:
        result = run(seed, days=days)
    except Exception:  # noqa: BLE001 - the other seeds go on
        return Soaked(seed=seed, days=days, sends=0, problems=[traceback.format_exc()])
    return Soaked(seed=seed, days=days, sends=result.handed, problems=result.problems)


def soak(first: int, hours: float, jobs: int) -> int:
    """Run seeds from the first on; how many failed."""
    until = time.monotonic() + hours * 3600
    seeds, sends, failed = 0, 0, list[Soaked]()
    done: queue.SimpleQueue[Soaked] = queue.SimpleQueue()
    with multiprocessing.Pool(jobs, _ignore_interrupts, maxtasksperchild=50) as pool:

        def begin(seed: int) -> None:
            pool.apply_async(soak_one, (seed,), callback=done.put)

        for seed in range(first, first + jobs):
            begin(seed)
        under_way = jobs
        try:
            while under_way:
                one = done.get()
                under_way -= 1
                seeds, sends = seeds + 1, sends + one.sends
                failed += [one] if one.problems else []
                _tell(one)
                if time.monotonic() < until and len(failed) < FAILURES:
                    begin(first + seeds + under_way)
                    under_way += 1
        except KeyboardInterrupt:
            _ignore_interrupts()
    print(f"{seeds} seeds from {first} on, {sends} simulated sends, {len(failed)} failed")
    for one in failed:
        print(f"again: python -m tests.simulation --seed {one.seed} --days {one.days}")
    return len(failed)


def _tell(one: Soaked) -> None:
    verdict = "FAILED" if one.problems else "ok"
    print(f"seed {one.seed}: {verdict}, {one.days} days, {one.sends} sends", flush=True)
    for problem in one.problems[:5]:
        print(f"  {problem}", flush=True)


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.soak")
    parser.add_argument("--seed", type=int, help="the first one; else one that nobody has tried")
    parser.add_argument("--hours", type=float, default=float(os.environ.get("HOURS") or "inf"))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    first = options.seed if options.seed is not None else random.SystemRandom().getrandbits(32)
    return 1 if soak(first, options.hours, options.jobs) else 0


if __name__ == "__main__":
    sys.exit(main())
