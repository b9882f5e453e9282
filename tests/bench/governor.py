"""The governor alone: decisions a second under five scopes, as the hot path asks for them."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

from mailplaned.domain.bindings import Demand
from mailplaned.domain.governor import Governor
from tests.bench.figures import Report, Scale, say, short
from tests.bench.ours import Book, policy_of
from tests.fakes.process_daemon import Daemon

_START_US = 1_800_000_000_000_000
_STEP_US = 400
"""Time between two decisions: 2,500 a second."""

_SENT = 100_000
"""Charges that are in the ledger already."""

_MAILBOXES = 100


def measure_governor(folder: Path, scale: Scale) -> Report:
    """Decisions in a second of processor time: other programs on the machine do not count.

    One decision is what admission and dispatch do for a message that goes at once: plan, ask for a
    refusal, begin, end. `queued` is the longer way by a waiting slot, `plan_only` the answer alone.
    """
    book = Book(each=_MAILBOXES)
    daemon = Daemon(folder)
    book.write(daemon, 25)
    governor = Governor(policy_of(daemon))
    demands = [
        Demand(mailbox=address, workload="cold", recipients=1, domains=((f"dest{n}.example", 1),))
        for n, address in enumerate(book.mailboxes)
    ]
    rules = len(governor.standings(book.mailboxes[0], _START_US)) + 1
    now_us = _START_US
    for demand in itertools.islice(itertools.cycle(demands), min(_SENT, 10 * scale.decisions)):
        now_us += _STEP_US
        governor.begin(demand, now_us)
        governor.end(demand, now_us, charged=True)
    found = {
        "at_once": _best(governor, demands, now_us, scale.decisions, queued=False),
        "queued": _best(governor, demands, now_us, scale.decisions, queued=True),
        "plan_only": _plan_only(governor, demands, now_us, scale.decisions),
    }
    say("  " + ", ".join(f"{name} {value:,.0f}/s" for name, value in found.items()))
    report = Report({"governor_decisions_per_s": short(found["at_once"])})
    report.support["governor"] = {
        "rules": rules,
        "charges_before": min(_SENT, 10 * scale.decisions),
        **{name: short(value) for name, value in found.items()},
    }
    return report


def _best(
    governor: Governor, demands: list[Demand], now_us: int, count: int, *, queued: bool
) -> float:
    start_s = time.process_time()
    for demand in itertools.islice(itertools.cycle(demands), count):
        now_us += _STEP_US
        slot_us = governor.plan(demand, now_us, now_us).slot_us
        if queued:
            governor.wait(demand, slot_us)
            assert governor.refusal(demand, now_us) is None
            governor.forget(demand, slot_us)
        else:
            assert governor.refusal(demand, now_us) is None
        governor.begin(demand, now_us)
        governor.end(demand, now_us, charged=True)
    return count / (time.process_time() - start_s)


def _plan_only(governor: Governor, demands: list[Demand], now_us: int, count: int) -> float:
    start_s = time.process_time()
    for demand in itertools.islice(itertools.cycle(demands), count):
        now_us += _STEP_US
        governor.plan(demand, now_us, now_us)
    return count / (time.process_time() - start_s)
