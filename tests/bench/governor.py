"""The governor alone: decisions a second under five scopes, as the hot path asks for them."""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from pathlib import Path

from mailplaned.domain.bindings import Demand
from mailplaned.domain.governor import Governor
from mailplaned.domain.windows import DAY_US
from tests.bench.figures import Report, Scale, middle, say, spread
from tests.bench.ours import Book, policy_of
from tests.fakes.process_daemon import Daemon

_START_US = 1_800_000_000_000_000

_SENT = 100_000
"""Charges that are in the ledgers already, spread over the last day."""

_STEP_US = DAY_US // _SENT
"""Time between two decisions, before and while it is measured: for every unit taken, one leaves."""

_MAILBOXES = 100
_ACCOUNT = "client-00/relay"


def measure_governor(folder: Path, scale: Scale) -> Report:
    """Decisions in a second of processor time: other programs on the machine do not count.

    One decision is what admission and dispatch ask for a message that goes at once: plan (whether
    now, and which cap binds), begin, end. Each demand is a new one, as from a new message, and all
    fifteen rules bind. The rolling windows move on with every decision, so that what is remembered
    of the last is out of date. `queued` is the longer way by a waiting slot, with the refusal that
    is asked for when it comes; `plan_only` the answer alone. Medians of the rounds.
    """
    book = Book(each=_MAILBOXES)
    daemon = Daemon(folder)
    book.write(daemon, 25)
    policy = policy_of(daemon)
    sent = min(_SENT, 10 * scale.decisions)
    found: dict[str, list[float]] = defaultdict(list)
    for _ in range(scale.rounds):
        for name, decide in (("at_once", _at_once), ("queued", _queued), ("plan_only", _plan_only)):
            governor = Governor(policy)
            _at_once(governor, _demands(book, sent), _START_US - DAY_US)
            demands = _demands(book, scale.decisions)
            start_s = time.process_time()
            decide(governor, demands, _START_US)
            found[name].append(scale.decisions / (time.process_time() - start_s))
    say("  " + ", ".join(f"{name} {middle(rates):,.0f}/s" for name, rates in found.items()))
    report = Report({"governor_decisions_per_s": middle(found["at_once"])})
    report.support["governor"] = {
        "rules": len(governor.standings(book.mailboxes[0], _START_US)) + 1,
        "charges_before": sent,
        **{name: spread(rates) for name, rates in found.items()},
    }
    return report


def _demands(book: Book, count: int) -> list[Demand]:
    return [
        Demand(mailbox=address, workload="cold", recipients=1, domains=((f"dest{n}.example", 1),))
        for n, address in itertools.islice(itertools.cycle(enumerate(book.mailboxes)), count)
    ]


def _at_once(governor: Governor, demands: list[Demand], now_us: int) -> None:
    for demand in demands:
        now_us += _STEP_US
        assert governor.plan(demand, now_us, now_us).slot_us == now_us
        governor.begin(demand, now_us)
        governor.end(demand, now_us, charged=True, account=_ACCOUNT)


def _queued(governor: Governor, demands: list[Demand], now_us: int) -> None:
    for demand in demands:
        now_us += _STEP_US
        slot_us = governor.plan(demand, now_us, now_us).slot_us
        governor.wait(demand, slot_us)
        assert governor.refusal(demand, now_us) is None
        governor.forget(demand, slot_us)
        governor.begin(demand, now_us)
        governor.end(demand, now_us, charged=True, account=_ACCOUNT)


def _plan_only(governor: Governor, demands: list[Demand], now_us: int) -> None:
    for demand in demands:
        now_us += _STEP_US
        governor.plan(demand, now_us, now_us)
