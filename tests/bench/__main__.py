"""`python -m tests.bench`: figures of speed and size, as one JSON object on the last line.

Never a judge: it prints beside each figure what the goal is, and always ends with 0 when it could
measure. `--only KEY` measures what that key needs, `--quick` shows in seconds that all of it runs.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tests.bench.command_line import measure_command_line
from tests.bench.dashboard import measure_dashboard
from tests.bench.delivery import (
    Sides,
    measure_admission,
    measure_delivery,
    measure_syncs,
    sides,
)
from tests.bench.figures import FULL, GOALS, QUICK, Report, Scale, say
from tests.bench.governor import measure_governor
from tests.bench.growth import measure_growth
from tests.bench.ledger import measure_ledger
from tests.bench.processes import Unfit, check_disk

AGAINST_POSTFIX: dict[Callable[[Sides, Scale], Report], tuple[str, ...]] = {
    measure_delivery: (
        "end_to_end_vs_postfix",
        "end_to_end_vs_postfix_8",
        "end_to_end_dkim_vs_postfix",
        "cpu_per_message_vs_postfix",
    ),
    measure_syncs: ("fsyncs_per_message", "postfix_fsyncs_per_message"),
    measure_admission: (
        "admission_single_vs_postfix_accept",
        "admission_batch_vs_postfix_accept",
        "admission_p99_ms",
    ),
}
ALONE: dict[Callable[[Path, Scale], Report], tuple[str, ...]] = {
    measure_governor: ("governor_decisions_per_s",),
    measure_growth: (
        "slowdown_1m_waiting",
        "rss_mib_10k_mailboxes_1m_waiting",
        "start_s_1m_waiting",
    ),
    measure_ledger: ("ledger_week",),
    measure_dashboard: (
        "dashboard_cpu_10k_4hz",
        "dashboard_cpu_10k_4hz_usual",
        "dashboard_key_p50_ms",
        "dashboard_rss_mib_over_base",
    ),
    measure_command_line: ("cli_start_ratio",),
}
"""Which measurement gives which keys; `ledger_week` is among the supporting figures."""

_QUIET_LOAD = 0.5


def main() -> int:
    """Measure what was asked for; 0, or 1 when this machine or this build can't be measured."""
    names = [name for keys in (*AGAINST_POSTFIX.values(), *ALONE.values()) for name in keys]
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--only", action="append", choices=names, metavar="KEY", default=[])
    parser.add_argument("--quick", action="store_true", help="small counts; the figures are void")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="on a disk")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    load = os.getloadavg()[0]
    if load > _QUIET_LOAD:
        say(f"the load is {load:.1f}: something else runs here, and the figures will show it")
    try:
        if not arguments.quick:
            check_disk(arguments.folder)
        total = _measure(
            set(arguments.only or names), QUICK if arguments.quick else FULL, arguments.folder
        )
    except Unfit as unfit:
        say(f"can't measure: {unfit}")
        return 1
    except KeyboardInterrupt:
        say("stopped; nothing that was started is left")
        return 130
    _tell(total.goals)
    total.support["machine"] = {"load_before": round(load, 2), **_machine(quick=arguments.quick)}
    ordered = {key: total.goals[key] for key in GOALS if key in total.goals}
    print(json.dumps({**ordered, "supporting": total.support}), flush=True)
    return 0


def _measure(wanted: set[str], scale: Scale, parent: Path) -> Report:
    total = Report()
    against = [measure for measure, keys in AGAINST_POSTFIX.items() if wanted & set(keys)]
    if against:
        with _folder(parent) as folder, sides(folder, scale) as both:
            for measure in against:
                total.take(measure(both, scale), measure.__name__)
    for alone, keys in ALONE.items():
        if wanted & set(keys):
            with _folder(parent) as folder:
                total.take(alone(folder, scale), alone.__name__)
    return total


@contextmanager
def _folder(parent: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mp-", dir=parent) as name:
        folder = Path(name)
        folder.chmod(0o755)  # Postfix's processes are not root
        yield folder


def _tell(goals: dict[str, float]) -> None:
    for key, goal in GOALS.items():
        if key in goals:
            verdict = "" if goal is None else f"goal {goal}"
            missed = goal is not None and not goal.met(goals[key])
            say(f"  {key:38} {goals[key]:>12g}  {verdict}{'  MISSED' if missed else ''}")


def _machine(*, quick: bool) -> dict[str, object]:
    return {
        "at": time.strftime("%Y-%m-%d", time.gmtime()),
        "cores": os.cpu_count(),
        "load_after": [round(value, 2) for value in os.getloadavg()],
        "kernel": os.uname().release,
        "python": sys.version.split()[0],
        "void": quick,
    }


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    """A stop from outside ends what we started, as ctrl-c does."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
