"""Runs seeds, or the scenario with a kill at every point; prints one line each.

    python -m tests.simulation --seed N --days D [--runs R]
    python -m tests.simulation --every commit|await [--seed N] [--stride S]

Exit 1: a promise was broken, or fewer points were tried than stated.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.simulation.every import Kind, every, points
from tests.simulation.run import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--runs", type=int, default=1, help="how many seeds")
    parser.add_argument("--days", type=float, default=3, help="stormy days")
    parser.add_argument("--per-day", type=float, default=60, help="bursts per workspace and day")
    parser.add_argument("--tail", type=int, default=30, help="lines of trace after a failure")
    parser.add_argument("--every", choices=list(Kind), help="kill at each of these in turn")
    parser.add_argument("--stride", type=int, default=1, help="with --every: each n-th of them")
    options = parser.parse_args()
    failed = 0
    for seed in range(options.seed, options.seed + options.runs):
        if options.every is None:
            failed += _storm(seed, options.days, options.per_day, options.tail)
        else:
            failed += _every(seed, Kind(options.every), options.stride, options.tail)
    return 1 if failed else 0


def _storm(seed: int, days: float, per_day: float, tail: int) -> int:
    began = time.process_time()
    result = run(seed, days=days, per_day=per_day)
    took = time.process_time() - began
    print(
        f"seed {seed} trace {result.trace}: {'FAILED' if result.problems else 'ok'}, "
        f"{result.acknowledged} acknowledged, {result.handed} attempts, {result.taken} taken, "
        f"{result.lives} lives, {result.virtual_days:.1f} days, {result.steps} steps, "
        f"{took:.1f} s of CPU",
        flush=True,
    )
    if result.problems:
        print(*result.tail[-tail:], *result.problems[:10], sep="\n")
    return len(result.problems)


def _every(seed: int, kind: Kind, stride: int, tail: int) -> int:
    began = time.process_time()
    stated = points(kind, seed)
    chosen = stated[::stride]
    tried = failed = sends = 0
    for one in every(chosen, seed):
        tried += one.killed
        sends += one.result.handed
        if one.result.problems:
            failed += 1
            print(f"killed at {one.point}:", *one.result.tail[-tail:], sep="\n")
            print(*one.result.problems[:10], sep="\n")
    print(
        f"seed {seed} {kind}: {len(stated)} points, {tried} of {len(chosen)} tried, "
        f"{failed} failed, {sends} attempts, {time.process_time() - began:.1f} s of CPU",
        flush=True,
    )
    return failed + len(chosen) - tried


if __name__ == "__main__":
    sys.exit(main())
