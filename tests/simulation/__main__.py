"""`python -m tests.simulation --seed N --days D`: run some seeds, print one line each."""

from __future__ import annotations

import argparse
import sys
import time

from tests.simulation.run import run

parser = argparse.ArgumentParser(prog="python -m tests.simulation")
parser.add_argument("--seed", type=int, default=1, help="the first seed")
parser.add_argument("--runs", type=int, default=1, help="how many seeds")
parser.add_argument("--days", type=float, default=3, help="stormy days")
parser.add_argument("--per-day", type=float, default=60, help="bursts per workspace and day")
parser.add_argument("--tail", type=int, default=30, help="lines of trace after a failure")
options = parser.parse_args()

failed = 0
for seed in range(options.seed, options.seed + options.runs):
    began = time.monotonic()
    result = run(seed, days=options.days, per_day=options.per_day)
    took = time.monotonic() - began
    print(
        f"seed {seed} trace {result.trace}: {'FAILED' if result.problems else 'ok'}, "
        f"{result.acknowledged} acknowledged, {result.handed} attempts, {result.taken} taken, "
        f"{result.lives} lives, {result.virtual_days:.1f} days, {result.steps} steps, {took:.1f} s",
        flush=True,
    )
    if result.problems:
        failed += 1
        print(*result.tail[-options.tail :], sep="\n")
        print(*result.problems[:10], sep="\n")
sys.exit(failed > 0)
