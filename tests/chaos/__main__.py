"""`make chaos`: every run prints one line and one number; the last line has all of them as JSON.

    python -m tests.chaos [--list] [--twins | --twin] [NAME …]

FULL=1 runs the larger counts. With `--twins` (or TWINS=1) the planted bugs follow their runs, with
`--twin` only they are run; a run that a planted bug does not make fail is blind, and a failure.
Exit 1: a goal was missed, fewer cases ran than stated, or a twin was not noticed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace

from tests.chaos.runs import RUNS
from tests.chaos.verdict import Measured, Run, Skipped

Figures = dict[str, object]


class Report:
    """What has been found so far."""

    def __init__(self) -> None:
        self.figures: Figures = {}
        self.skipped: dict[str, str] = {}
        self.failed: dict[str, str] = {}
        self.seconds: dict[str, float] = {}

    def run(self, run: Run, cases: int) -> None:
        """Run it as it is."""
        measured = self._measure(run.name, run, cases, ())
        if measured is None:
            return
        why = run.verdict(measured, cases)
        if why is not None:
            self.failed[run.name] = why
        _say(run.name, measured, f"FAILED: {why}" if why else f"goal {run.goal.words}")
        self.figures[run.name] = measured.number
        self.figures[f"{run.name}.cases"] = measured.cases
        self.figures |= {f"{run.name}.{key}": value for key, value in measured.more.items()}

    def twin(self, run: Run, twin: str) -> None:
        """Run it with a bug in the daemon."""
        name = f"{run.name}+{twin}"
        measured = self._measure(name, run, run.twin_cases, (twin,))
        if measured is None:
            return
        measured = replace(measured, details=measured.details.partition("\n")[0])
        noticed = not run.goal.met(measured)
        if not noticed:
            self.failed[name] = "blind: the planted bug was not noticed"
        _say(name, measured, "noticed" if noticed else "FAILED: blind to this bug")
        self.figures[name] = measured.number

    def _measure(self, name: str, run: Run, cases: int, twins: Sequence[str]) -> Measured | None:
        began = time.monotonic()
        try:
            measured = run.measure(cases, twins)
        except Skipped as why:
            self.skipped[name] = str(why)
            print(f"{name}: skipped ({why})", flush=True)
        except Exception as fault:  # noqa: BLE001 - the other runs go on
            self.failed[name] = f"{type(fault).__name__}: {fault}"[:500]
            print(f"{name}: FAILED", flush=True)
            traceback.print_exc()
        else:
            self.seconds[name] = round(time.monotonic() - began, 1)
            return measured
        return None


def _say(name: str, measured: Measured, verdict: str) -> None:
    number = f"{measured.number:g}"
    print(f"{name}: {number} ({measured.cases} cases, {measured.details}) {verdict}", flush=True)


def _named(name: str) -> Callable[[Run], bool]:
    return lambda run: f"{run.name}-".startswith(f"{name}-")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("names", nargs="*", help="runs, or the first words of several: hostile")
    parser.add_argument("--list", action="store_true", help="what there is")
    parser.add_argument("--twins", action="store_true", help="each run, then its planted bugs")
    parser.add_argument("--twin", action="store_true", help="the planted bugs only")
    arguments = parser.parse_args()
    if arguments.list:
        for run in RUNS:
            print(f"{run.name:16} goal {run.goal.words:18} {run.cases:>6} cases", *run.twins)
        return 0
    unknown = [name for name in arguments.names if not any(map(_named(name), RUNS))]
    if unknown:
        parser.error(f"no such run: {', '.join(unknown)}; --list shows what there is")
    full = os.environ.get("FULL") == "1"
    twins = arguments.twins or arguments.twin or os.environ.get("TWINS") == "1"
    report = Report()
    began = time.monotonic()
    for run in RUNS:
        if arguments.names and not any(_named(name)(run) for name in arguments.names):
            continue
        if not arguments.twin:
            report.run(run, run.full if full else run.cases)
        for twin in run.twins if twins else ():
            report.twin(run, twin)
    took_s = round(time.monotonic() - began)
    print(
        json.dumps(
            {
                **report.figures,
                "skipped": report.skipped,
                "failed": report.failed,
                "seconds": report.seconds,
                "took_s": took_s,
            }
        )
    )
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
