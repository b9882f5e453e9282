"""Filling ledgers in bulk gives what keeping them one by one has given."""

from __future__ import annotations

from array import array
from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from mailplaned.domain.bindings import Demand
from mailplaned.domain.governor import Governor
from mailplaned.domain.ledger import UNKNOWN_GUARD_US
from mailplaned.domain.loading import Charge, Queue, Sender
from mailplaned.domain.policy import Policy
from tests.domain.governor_desk import demands, jumps, policies
from tests.fakes.store_kit import ANA, small_book

NOW_US = 10**15

NOBODY = "gone@acme.example"

outcomes = st.sampled_from(["kept", "kept", "unknown", "under way", "given back"])


@settings(max_examples=60, deadline=None)
@given(
    book=policies(),
    sent=st.lists(st.tuples(demands, jumps, outcomes), max_size=20),
    waits=st.lists(st.tuples(demands, jumps), max_size=20),
)
def test_a_ledger_filled_in_bulk_is_the_one_that_was_kept(
    book: tuple[Policy, int],
    sent: list[tuple[Demand, int, str]],
    waits: list[tuple[Demand, int]],
) -> None:
    policy, now_us = book
    kept, filled = Governor(policy), Governor(policy)
    under_way: list[Charge] = []
    ended: list[Charge] = []
    last_us: dict[str, int] = {}
    senders: dict[Demand, Sender] = {}
    for demand, later_us, outcome in sent:
        now_us += later_us
        alike = demand._replace(domains=())
        sender = senders.setdefault(alike, Sender(alike, "acme/relay"))
        unknown = outcome == "unknown"
        kept.begin(demand, now_us)
        if outcome == "under way":
            under_way.append((sender, demand.domains, None, False))
            continue
        kept.end(demand, now_us, charged=outcome != "given back", unknown=unknown)
        if outcome != "given back":
            ended.append((sender, demand.domains, now_us, unknown))
            really_us = now_us - (UNKNOWN_GUARD_US if unknown else 0)
            last_us[demand.mailbox] = max(really_us, last_us.get(demand.mailbox, really_us))
    for demand, later_us in waits:
        kept.wait(demand, now_us + later_us)
    assert filled.load_charges([*under_way, *ended], now_us) == (len(under_way), last_us)
    assert filled.load_waiting(_queues(waits, now_us)) == (len(waits), set())
    assert kept.differences(filled, now_us) == []
    assert all(filled.rested_at(mailbox) >= at_us for mailbox, at_us in last_us.items())


def test_what_a_person_resolved_as_sent_holds_up_nothing_though_it_is_dated_later() -> None:
    demand = Demand(mailbox=ANA, workload="cold", recipients=1)
    sender = Sender(demand, "relay")
    ends_us = (NOW_US - 2 * UNKNOWN_GUARD_US, NOW_US - 5 + UNKNOWN_GUARD_US)
    governor = Governor(small_book())
    charges = [(sender, (), ended_us, False) for ended_us in ends_us]
    assert governor.load_charges(charges, NOW_US) == (0, {demand.mailbox: NOW_US - 5})
    assert governor.plan(demand, NOW_US, NOW_US).slot_us == NOW_US


def _queues(waits: list[tuple[Demand, int]], now_us: int) -> list[Queue]:
    alike: dict[Demand, list[tuple[int, Demand]]] = defaultdict(list)
    for demand, later_us in sorted(waits, key=lambda wait: wait[1]):
        alike[demand._replace(domains=())].append((now_us + later_us, demand))
    return [
        Queue(demand, [one.domains for _, one in queue], array("q", [at_us for at_us, _ in queue]))
        for demand, queue in alike.items()
    ]


@settings(max_examples=5, deadline=None)
@given(book=policies())
def test_what_waits_for_a_mailbox_that_nobody_knows_is_counted_and_named(
    book: tuple[Policy, int],
) -> None:
    policy, now_us = book
    filled = Governor(policy)
    demand = Demand(mailbox=NOBODY, workload="cold", recipients=1)
    queue = Queue(demand, [(("a.example", 1),)] * 2, array("q", [now_us, now_us + 1]))
    assert filled.load_waiting([queue]) == (2, {NOBODY})
    assert Governor(policy).differences(filled, now_us) == []
