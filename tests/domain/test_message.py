from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplaned.domain.message import FINAL, RecipientState, State, lost, settle, state_of
from mailplaned.domain.outcomes import Outcome, RecipientReport, Reply, Report, Stage, most_hopeful
from mailplaned.domain.policy import Delivery
from mailplaned.domain.windows import HOUR_US, MINUTE_US

RETRY_US = (MINUTE_US, HOUR_US)

outcomes = st.lists(st.sampled_from(Outcome), min_size=1, max_size=4)


def report_of(outcomes: Sequence[Outcome], retry_after_us: int | None = None) -> Report:
    return Report(
        outcome=most_hopeful(outcomes),
        stage=Stage.DOT,
        reply=Reply(code=450, text="later"),
        recipients=tuple(
            RecipientReport(address=f"p{n}@a.example", outcome=outcome, reply=Reply())
            for n, outcome in enumerate(outcomes)
        ),
        retry_after_us=retry_after_us,
    )


@given(outcomes, st.sampled_from(Delivery), st.integers(1, 9), st.floats(0, 1, exclude_max=True))
def test_whatever_may_have_been_accepted_stays_charged(
    outcomes: list[Outcome], delivery: Delivery, tries: int, jitter: float
) -> None:
    settled = settle(
        report_of(outcomes), tries=tries, delivery=delivery, retry_us=RETRY_US, jitter=jitter
    )
    taken = {Outcome.ACCEPTED, Outcome.UNKNOWN} & set(outcomes)
    assert settled.charged == bool(taken)
    waiting = [state for state, _ in settled.recipients if state is RecipientState.WAITING]
    assert (settled.retry_in_us is not None) == bool(waiting)


@given(outcomes, st.integers(1, 9))
def test_an_unknown_recipient_is_never_tried_again_at_most_once(
    outcomes: list[Outcome], tries: int
) -> None:
    settled = settle(
        report_of(outcomes),
        tries=tries,
        delivery=Delivery.AT_MOST_ONCE,
        retry_us=RETRY_US,
        jitter=0,
    )
    for outcome, (state, _) in zip(outcomes, settled.recipients, strict=True):
        if outcome is Outcome.UNKNOWN:
            assert state is RecipientState.UNKNOWN


def test_at_least_once_gives_up_after_the_third_unknown() -> None:
    states = [
        settle(
            lost(["a@b"], why="gone"),
            tries=tries,
            delivery=Delivery.AT_LEAST_ONCE,
            retry_us=RETRY_US,
            jitter=0,
        ).recipients[0][0]
        for tries in (1, 2, 3)
    ]
    assert states == [RecipientState.WAITING, RecipientState.WAITING, RecipientState.UNKNOWN]


@pytest.mark.parametrize(
    ("tries", "jitter", "asked_us", "expected_us"),
    [
        (1, 0.5, None, MINUTE_US),
        (1, 0.0, None, MINUTE_US * 8 // 10),
        (2, 0.5, None, HOUR_US),
        (9, 0.5, None, HOUR_US),
        (1, 0.5, 10 * MINUTE_US, 10 * MINUTE_US),
    ],
)
def test_waits_grow_and_what_the_provider_asks_for_is_kept(
    tries: int, jitter: float, asked_us: int | None, expected_us: int
) -> None:
    settled = settle(
        report_of([Outcome.TRANSIENT], asked_us),
        tries=tries,
        delivery=Delivery.AT_MOST_ONCE,
        retry_us=RETRY_US,
        jitter=jitter,
    )
    assert settled.retry_in_us == expected_us


@pytest.mark.parametrize(
    ("outcome", "asked_us", "for_us"),
    [
        (Outcome.BLOCKED_SENDER, None, None),
        (Outcome.QUOTA, None, HOUR_US),
        (Outcome.QUOTA, 2 * HOUR_US, 2 * HOUR_US),
        (Outcome.QUOTA, 1, 15 * MINUTE_US),
    ],
)
def test_a_refused_sender_is_stopped_and_a_spent_quota_rests(
    outcome: Outcome, asked_us: int | None, for_us: int | None
) -> None:
    settled = settle(
        report_of([outcome], asked_us),
        tries=1,
        delivery=Delivery.AT_MOST_ONCE,
        retry_us=RETRY_US,
        jitter=0,
    )
    assert settled.stop is not None
    assert settled.stop.for_us == for_us
    assert not settled.charged


R = RecipientState


@pytest.mark.parametrize(
    ("recipients", "state"),
    [
        ([R.ACCEPTED], State.ACCEPTED),
        ([R.BOUNCED, R.ACCEPTED], State.ACCEPTED),
        ([R.ACCEPTED, R.UNKNOWN, R.BOUNCED], State.UNKNOWN),
        ([R.BOUNCED, R.FAILED], State.BOUNCED),
        ([R.FAILED, R.SUPPRESSED], State.FAILED),
        ([R.EXPIRED, R.SUPPRESSED], State.EXPIRED),
        ([R.SUPPRESSED, R.CANCELED], State.SUPPRESSED),
        ([R.CANCELED], State.CANCELED),
        ([R.ACCEPTED, R.WAITING], None),
        ([R.SENDING], None),
    ],
)
def test_the_state_of_a_message_is_that_of_its_luckiest_recipient(
    recipients: list[R], state: State | None
) -> None:
    assert state_of(recipients) is state


@given(st.lists(st.sampled_from(RecipientState), min_size=1, max_size=5))
def test_a_message_is_final_exactly_when_all_its_recipients_are(
    recipients: list[RecipientState],
) -> None:
    open_ = {R.WAITING, R.SENDING, R.UNKNOWN}
    assert (state_of(recipients) in FINAL) == (not open_ & set(recipients))
