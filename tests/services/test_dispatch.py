"""Dispatch over the real store in memory, on a virtual loop; the provider answers at once."""

from __future__ import annotations

import asyncio
import random
from contextvars import copy_context
from dataclasses import replace

import pytest

from mailplaned.domain.ids import MESSAGE, parse_id
from mailplaned.domain.ledger import UNKNOWN_GUARD_US
from mailplaned.domain.message import State
from mailplaned.domain.outcomes import Outcome
from mailplaned.domain.policy import Account, Cap, Delivery, Pace, Workload
from mailplaned.domain.windows import DAY_US, HOUR_US, MINUTE_US, SECOND_US, Per
from mailplaned.ports import MessageFilter, Transaction
from mailplaned.services.messages import NotDone, resolve
from mailplaned.services.pauses import lift_all, pause
from mailplaned.services.suppressions import suppress
from tests.fakes.clock import VirtualClock
from tests.fakes.core_desk import Desk, open_desk, play
from tests.fakes.store_inline import memory_database
from tests.fakes.store_kit import ANA, put_in, small_book, submission
from tests.fakes.transports_scripted import Provider, Temper
from tests.simulation.loop import VirtualLoop


def test_what_is_due_now_does_not_sleep_until_the_last_slot_of_its_commit() -> None:
    async def scene(desk: Desk) -> None:
        later = desk.clock.true_us + 6 * HOUR_US
        made = [submission(), submission(not_before_us=later)]

        def both(tx: Transaction) -> None:
            pause(
                tx,
                kind="mailbox",
                name=ANA,
                workspace="acme",
                reason="r",
                actor="op",
                until_us=None,
                random=desk.random,
            )
            for each in made:
                put_in(tx, each)

        await desk.core.store.write(both)
        lifted = await desk.core.store.write(
            lambda tx: lift_all(tx, "mailbox", ANA, actor="op", reason="r", acknowledge=False)
        )
        assert isinstance(lifted, list)
        await desk.sleep(10 * SECOND_US)
        assert len(desk.handed) == 1
        await desk.sleep(6 * HOUR_US)
        assert len(desk.handed) == 2

    play(small_book(), scene)


def test_times_to_look_that_earlier_ones_have_replaced_are_not_kept() -> None:
    async def scene(desk: Desk) -> None:
        dispatcher = desk.core.dispatcher
        for _ in range(5_000):
            dispatcher._look_at(ANA, 10 * DAY_US)
            dispatcher._look_at(ANA, 0)
            assert dispatcher._ready() == [ANA]
        assert len(dispatcher._heap) < 2_000

    play(small_book(), scene)


def test_of_several_wake_ups_in_one_commit_the_first_counts() -> None:
    async def scene(desk: Desk) -> None:
        soon, late = (desk.clock.true_us + n * HOUR_US for n in (1, 9))

        def both(tx: Transaction) -> None:
            put_in(tx, submission(not_before_us=soon))
            put_in(tx, submission(not_before_us=late))

        await desk.core.store.write(both)
        await desk.sleep(HOUR_US + SECOND_US)
        assert len(desk.handed) == 1

    play(small_book(), scene)


def test_a_full_window_lets_the_next_go_when_the_first_has_left_it() -> None:
    async def scene(desk: Desk) -> None:
        answers = [await desk.submit() for _ in range(4)]
        assert [answer.state for answer in answers] == [
            "queued",
            "queued",
            "scheduled",
            "scheduled",
        ]
        await desk.sleep(3 * HOUR_US)
        assert desk.handed[1] < MINUTE_US
        assert all(HOUR_US <= at <= HOUR_US + MINUTE_US for at in desk.handed[2:4])

    play(small_book(Cap(limit=2, per=Per.HOUR)), scene)


def test_a_paced_mailbox_keeps_its_gap() -> None:
    book = small_book()
    acme = book.workspaces["acme"]
    paced = replace(acme.mailboxes[ANA], pace=Pace(min_gap_us=30 * SECOND_US))
    book = small_book(mailboxes={**acme.mailboxes, ANA: paced})

    async def scene(desk: Desk) -> None:
        for _ in range(5):
            await desk.submit()
        await desk.sleep(HOUR_US)
        gaps = [b - a for a, b in zip(desk.handed, desk.handed[1:], strict=False)]
        assert len(gaps) == 4
        assert min(gaps) >= 30 * SECOND_US
        assert max(gaps) < 31 * SECOND_US

    play(book, scene)


def test_no_more_attempts_at_once_than_the_account_has_connections() -> None:
    account = Account(name="relay", workspace="acme", provider="smtp", connections=2)

    async def scene(desk: Desk) -> None:
        for _ in range(20):
            await desk.submit()
        most = 0
        while len(desk.provider.journal) < 20:
            most = max(most, sum(handed.pending for handed in desk.provider.journal))
            await desk.sleep(SECOND_US // 10)
        assert most == 2

    play(small_book(accounts={"relay": account}), scene)


@pytest.mark.parametrize(
    ("fate", "state"),
    [
        ("rejected_recipient", State.BOUNCED),
        ("rejected_message", State.FAILED),
        ("blocked_sender", State.DEFERRED),
        ("quota", State.DEFERRED),
        ("transient", State.DEFERRED),
        ("lost_answer", State.UNKNOWN),
        ("slow", State.ACCEPTED),
    ],
)
def test_each_outcome_leaves_the_message_where_it_belongs(fate: str, state: State) -> None:
    temper = Temper()
    setattr(temper, fate, 100)

    async def scene(desk: Desk) -> None:
        answer = await desk.submit()
        while not await desk.core.store.read(lambda reader: reader.log_ends()[0] >= 2):
            await desk.sleep(SECOND_US)
        assert await desk.state(answer) is state
        paused = await desk.core.store.read(lambda reader: reader.pauses(lifted=False))
        assert bool(paused) == (fate in {"blocked_sender", "quota"})

    play(small_book(), scene, temper=temper)


def test_an_unknown_stays_charged_until_a_person_says_that_it_was_not_sent() -> None:
    async def scene(desk: Desk) -> None:
        answer = await desk.submit()
        id_ = parse_id(MESSAGE, answer.id or "")
        assert id_ is not None
        await desk.sleep(10 * MINUTE_US)
        assert await desk.state(answer) is State.UNKNOWN
        assert (await desk.submit()).state == State.SCHEDULED
        desk.provider.temper = Temper()
        done = await desk.core.store.write(
            lambda tx: resolve(tx, id_, sent=False, actor="op", reason="looked")
        )
        assert not isinstance(done, NotDone)
        await desk.sleep(2 * DAY_US + HOUR_US)
        assert await desk.state(answer) is State.ACCEPTED

    play(small_book(Cap(limit=1, per=Per.DAY)), scene, temper=Temper(lost_answer=100))


def test_at_least_once_is_tried_again_and_charged_again() -> None:
    workload = Workload(name="cold", workspace="acme", delivery=Delivery.AT_LEAST_ONCE)

    async def scene(desk: Desk) -> None:
        answer = await desk.submit()
        await desk.sleep(HOUR_US)
        assert await desk.state(answer) is State.UNKNOWN
        id_ = parse_id(MESSAGE, answer.id or "")
        assert id_ is not None
        attempts = await desk.core.store.read(lambda reader: reader.attempts(id_))
        assert [(a.outcome, a.charged) for a in attempts] == [(Outcome.UNKNOWN, True)] * 3

    play(small_book(workloads={"cold": workload}), scene, temper=Temper(lost_answer=100))


def test_a_suppression_stops_what_was_queued_before_it() -> None:
    async def scene(desk: Desk) -> None:
        at = desk.clock.true_us + HOUR_US
        answer = await desk.submit(submission("kim@example.org", not_before_us=at))
        both = submission("kim@example.org", "lee@example.org", not_before_us=at)
        half = await desk.submit(both)
        await desk.core.store.write(
            lambda tx: suppress(
                tx,
                address="kim@example.org",
                workspace=None,
                origin="person",
                ground="asked",
                actor="op",
                random=desk.random,
            )
        )
        await desk.sleep(2 * HOUR_US)
        assert await desk.state(answer) is State.SUPPRESSED
        assert await desk.state(half) is State.ACCEPTED
        assert [handed.recipients for handed in desk.provider.journal] == [("lee@example.org",)]

    play(small_book(), scene)


def test_a_slow_attempt_keeps_no_one_waiting_while_connections_are_free() -> None:
    async def scene(desk: Desk) -> None:
        at = desk.clock.true_us + HOUR_US
        people = ["first@a.example", *(f"p{n}@b.example" for n in range(9)), "last@a.example"]
        for person in people:
            await desk.submit(submission(person, not_before_us=at))
            await desk.sleep(SECOND_US)  # their order is that of their ids
        await desk.core.store.write(
            lambda tx: suppress(
                tx,
                address="@b.example",
                workspace=None,
                origin="person",
                ground="asked",
                actor="op",
                random=desk.random,
            )
        )
        await desk.sleep(at - desk.clock.true_us + SECOND_US)
        assert [handed.recipients for handed in desk.provider.journal] == [
            ("first@a.example",),
            ("last@a.example",),
        ]
        assert desk.provider.journal[0].pending

    play(small_book(), scene, temper=Temper(slow=100))


def test_a_message_that_no_window_lets_go_in_time_expires() -> None:
    async def scene(desk: Desk) -> None:
        await desk.submit()
        late = await desk.submit(submission(expires_in_us=2 * HOUR_US, not_before_us=None))
        assert late.state == State.SCHEDULED
        await desk.core.store.write(
            lambda tx: pause(
                tx,
                kind="everything",
                name="",
                workspace=None,
                reason="r",
                actor="op",
                until_us=None,
                random=desk.random,
            )
        )
        await desk.sleep(3 * HOUR_US)
        assert await desk.state(late) is State.EXPIRED

    play(small_book(Cap(limit=1, per=Per.HOUR)), scene)


def test_a_stop_waits_for_what_is_on_the_wire_and_then_calls_it_unknown() -> None:
    database = memory_database()
    loop = VirtualLoop(random.Random(1))
    clock = VirtualClock(loop)
    provider = Provider(
        random.Random(5), lambda: clock.true_us, copy_context(), temper=Temper(lost_answer=100)
    )
    began_us = clock.true_us

    async def whole() -> None:
        async with open_desk(small_book(), provider, clock, database) as desk:
            for _ in range(4):
                await desk.submit()
            await asyncio.sleep(0.001)

    loop.create_task(whole())
    loop.run_to(600)
    states = [row[0] for row in database.execute("SELECT state FROM messages")]
    assert states == ["unknown"] * 4
    (ended_us,) = database.execute("SELECT max(ended_at) FROM attempts").fetchone()
    assert ended_us - began_us - UNKNOWN_GUARD_US <= 25 * SECOND_US
    loop.close()
    database.close()


def test_a_core_that_fails_ends_instead_of_waiting_for_its_writer() -> None:
    async def scene(desk: Desk) -> None:
        await desk.submit()  # is on the wire when all of it falls
        await desk.sleep(SECOND_US)
        assert desk.provider.journal
        raise LookupError("a service died")

    with pytest.raises(ExceptionGroup) as failed:
        play(small_book(), scene, temper=Temper(slow=100))
    assert failed.group_contains(LookupError)


def test_held_messages_are_listed_as_held_and_go_when_the_pause_is_over() -> None:
    async def scene(desk: Desk) -> None:
        until = desk.clock.true_us + HOUR_US
        await desk.core.store.write(
            lambda tx: pause(
                tx,
                kind="domain",
                name="acme.example",
                workspace="acme",
                reason="r",
                actor="op",
                until_us=until,
                random=desk.random,
            )
        )
        answer = await desk.submit()
        assert answer.state == State.HELD
        wanted = MessageFilter(state="held")
        assert len(await desk.core.store.read(lambda reader: reader.messages(wanted))) == 1
        await desk.sleep(HOUR_US + 2 * MINUTE_US)
        assert await desk.state(answer) is State.ACCEPTED

    play(small_book(), scene)
