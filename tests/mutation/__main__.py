"""`make mutants`: how many small mistakes in the pure domain the tests of `tests/domain` notice.

    python -m tests.mutation [caps] [ledger] [message] [windows]

Prints a line for each survivor (file, line, what is written, what would go unnoticed) and the
counts. A survivor that can't be told from the original is in `equivalent.toml`, with the reason; it
counts as a survivor all the same. Exit 1: more than five in a hundred survived, one of them is not
on the list, or the list is wrong.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from tests.mutation.equivalent import listed, misfits
from tests.mutation.run import Broken, Target, Verdict, verdicts

ALLOWED_PERCENT = 5.0

TESTS = {
    "windows": ("windows", "caps", "governor"),
    "message": ("message",),
    "ledger": ("ledger", "long_times", "caps", "governor_counts", "governor"),
    "caps": ("caps", "caps_shares", "caps_work", "caps_plain", "governor_counts", "governor"),
}
"""Modules of the domain, and the test files that see their mistakes, the quickest first."""

TARGETS = {
    name: Target(
        module=f"mailplaned.domain.{name}",
        path=Path(f"daemon/mailplaned/domain/{name}.py"),
        tests=tuple(Path(f"tests/domain/test_{test}.py") for test in tests),
    )
    for name, tests in TESTS.items()
}


def main(names: list[str]) -> int:
    """Try the mutants of the modules of these names, or of all; the exit code."""
    strangers = set(names) - set(TARGETS)
    if strangers:
        print(f"no module {', '.join(sorted(strangers))} here; there are {', '.join(TARGETS)}")
        return 2
    reasons = listed()
    counts: Counter[Verdict] = Counter()
    wrong: list[str] = []
    for name in names or TARGETS:
        mutants = TARGETS[name].mutants
        wrong += misfits(reasons, mutants)
        try:
            found = dict(verdicts(TARGETS[name], mutants))
        except Broken as fault:
            print(fault)
            return 2
        for mutant in mutants:
            reason = reasons.get(mutant.key)
            if found[mutant] is Verdict.SURVIVED:
                print(f"{mutant}  ({reason or 'NOT LISTED'})")
                wrong += [] if reason else ["a survivor is not listed"]
            elif reason:
                wrong.append(f"listed, but noticed: {mutant}")
        here = Counter(found.values())
        print(_counted(f"{name}.py", here), flush=True)
        counts += here
    print(_counted("all", counts))
    for what, times in Counter(wrong).items():
        print(f"{what} (times {times})" if times > 1 else what)
    return 1 if wrong or _percent(counts) > ALLOWED_PERCENT else 0


def _counted(what: str, counts: Counter[Verdict]) -> str:
    return (
        f"{what}: {counts.total()} mutants, {counts[Verdict.KILLED]} killed, "
        f"{counts[Verdict.TIMED_OUT]} timed out, {counts[Verdict.SURVIVED]} survivors, "
        f"{_percent(counts):.1f} %"
    )


def _percent(counts: Counter[Verdict]) -> float:
    return 100 * counts[Verdict.SURVIVED] / max(1, counts.total())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
