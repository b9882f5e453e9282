from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplaned.domain.message import (
    FINAL,
    WAITING,
    RecipientState,
    Settlement,
    State,
    Stop,
    lost,
    settle,
    state_of,
)
from mailplaned.domain.outcomes import Outcome, RecipientReport, Reply, Report, Stage, most_hopeful
from mailplaned.domain.policy import Delivery
from mailplaned.domain.windows import HOUR_US, MINUTE_US, SECOND_US

RETRY_US = (MINUTE_US, HOUR_US)

R = RecipientState

outcomes = st.lists(st.sampled_from(Outcome), min_size=1, max_size=4)


def report_of(outcomes: Sequence[Outcome], retry_after_us: int | None = None) -> Report:
    return Report(
        outcome=most_hopeful(outcomes),
        stage=Stage.DOT,
        reply=Reply(code=450, text="later"),
        recipients=tuple(
            RecipientReport(
                address=f"p{n}@a.example", outcome=outcome, reply=Reply(code=250, text="well")
            )
            for n, outcome in enumerate(outcomes)
        ),
        retry_after_us=retry_after_us,
    )


def settled(
    report: Report,
    *,
    tries: int = 1,
    delivery: Delivery = Delivery.AT_MOST_ONCE,
    retry_us: Sequence[int] = RETRY_US,
    jitter: float = 0.5,
) -> Settlement:
    return settle(report, tries=tries, delivery=delivery, retry_us=retry_us, jitter=jitter)


def test_states_are_called_what_the_api_and_the_tables_call_them() -> None:
    assert " ".join(State) == (
        "queued scheduled held sending deferred unknown"
        " accepted bounced failed expired suppressed canceled"
    )
    assert " ".join(RecipientState) == (
        "waiting sending unknown accepted bounced failed expired suppressed canceled"
    )


def test_a_message_waits_for_a_slot_or_a_person_or_a_provider_or_has_ended() -> None:
    for_others = [State.HELD, State.SENDING, State.UNKNOWN]
    assert sorted([*WAITING, *for_others, *FINAL]) == sorted(State)


@pytest.mark.parametrize(
    ("outcome", "state", "charged"),
    [
        (Outcome.ACCEPTED, R.ACCEPTED, True),
        (Outcome.REJECTED_RECIPIENT, R.BOUNCED, False),
        (Outcome.REJECTED_MESSAGE, R.FAILED, False),
        (Outcome.BLOCKED_SENDER, R.WAITING, False),
        (Outcome.QUOTA, R.WAITING, False),
        (Outcome.TRANSIENT, R.WAITING, False),
        (Outcome.UNKNOWN, R.UNKNOWN, True),
    ],
)
def test_each_outcome_has_one_state_and_one_charge(
    outcome: Outcome, state: RecipientState, charged: bool
) -> None:
    end = settled(report_of([outcome]))
    assert end.recipients == ((state, "250 well"),)
    assert end.charged is charged
    assert end.unknown is (outcome is Outcome.UNKNOWN)


@given(outcomes, st.sampled_from(Delivery), st.integers(1, 9), st.floats(0, 1, exclude_max=True))
def test_whatever_may_have_been_accepted_stays_charged(
    outcomes: list[Outcome], delivery: Delivery, tries: int, jitter: float
) -> None:
    end = settled(report_of(outcomes), tries=tries, delivery=delivery, jitter=jitter)
    taken = {Outcome.ACCEPTED, Outcome.UNKNOWN} & set(outcomes)
    assert end.charged == bool(taken)
    waiting = [state for state, _ in end.recipients if state is RecipientState.WAITING]
    assert (end.retry_in_us is not None) == bool(waiting)


@given(outcomes, st.integers(1, 9))
def test_an_unknown_recipient_is_never_tried_again_at_most_once(
    outcomes: list[Outcome], tries: int
) -> None:
    end = settled(report_of(outcomes), tries=tries)
    for outcome, (state, _) in zip(outcomes, end.recipients, strict=True):
        if outcome is Outcome.UNKNOWN:
            assert state is RecipientState.UNKNOWN


def test_at_least_once_gives_up_after_the_third_unknown() -> None:
    report = lost(["a@b"], why="gone")
    states = [
        settled(report, tries=tries, delivery=Delivery.AT_LEAST_ONCE).recipients[0][0]
        for tries in (1, 2, 3)
    ]
    assert states == [RecipientState.WAITING, RecipientState.WAITING, RecipientState.UNKNOWN]


def test_at_least_once_tries_only_those_again_whose_end_nobody_knows() -> None:
    report = report_of([Outcome.REJECTED_RECIPIENT, Outcome.UNKNOWN, Outcome.ACCEPTED])
    end = settled(report, delivery=Delivery.AT_LEAST_ONCE)
    assert [state for state, _ in end.recipients] == [R.BOUNCED, R.WAITING, R.ACCEPTED]
    assert end.charged


def test_the_report_of_a_lost_attempt_says_why_to_each_recipient() -> None:
    report = lost(["a@b.example", "c@b.example"], why="the power went")
    unknown = Outcome.UNKNOWN
    reply = Reply(text="the power went")
    assert report == Report(
        outcome=unknown,
        stage=Stage.DOT,
        reply=reply,
        recipients=(
            RecipientReport(address="a@b.example", outcome=unknown, reply=reply),
            RecipientReport(address="c@b.example", outcome=unknown, reply=reply),
        ),
    )
    assert settled(report).recipients == ((R.UNKNOWN, "the power went"),) * 2


@pytest.mark.parametrize(
    ("tries", "jitter", "asked_us", "expected_us"),
    [
        (1, 0.5, None, MINUTE_US),
        (1, 0.0, None, MINUTE_US * 8 // 10),
        (2, 0.5, None, HOUR_US),
        (9, 0.5, None, HOUR_US),
        (1, 0.5, 10 * MINUTE_US, 10 * MINUTE_US),
        (1, 0.5, 59 * SECOND_US, MINUTE_US),
    ],
)
def test_waits_grow_and_what_the_provider_asks_for_is_kept(
    tries: int, jitter: float, asked_us: int | None, expected_us: int
) -> None:
    end = settled(report_of([Outcome.TRANSIENT], asked_us), tries=tries, jitter=jitter)
    assert end.retry_in_us == expected_us


def test_no_wait_at_all_can_be_asked_for() -> None:
    assert settled(report_of([Outcome.TRANSIENT]), retry_us=(0,)).retry_in_us == 0


LIMIT = "the provider's sending limit: 450 later"
REFUSED = "the provider refuses this sender: 450 later"


@pytest.mark.parametrize(
    ("outcome", "asked_us", "stop"),
    [
        (Outcome.BLOCKED_SENDER, None, Stop(reason=REFUSED, for_us=None)),
        (Outcome.BLOCKED_SENDER, HOUR_US, Stop(reason=REFUSED, for_us=None)),
        (Outcome.QUOTA, None, Stop(reason=LIMIT, for_us=HOUR_US)),
        (Outcome.QUOTA, 2 * HOUR_US, Stop(reason=LIMIT, for_us=2 * HOUR_US)),
        (Outcome.QUOTA, 1, Stop(reason=LIMIT, for_us=15 * MINUTE_US)),
    ],
)
def test_a_refused_sender_is_stopped_and_a_spent_quota_rests(
    outcome: Outcome, asked_us: int | None, stop: Stop
) -> None:
    end = settled(report_of([outcome], asked_us))
    assert end.stop == stop
    assert end.retry_in_us == 0, "the pause decides when"
    assert not end.charged


@pytest.mark.parametrize("outcome", sorted(set(Outcome) - {Outcome.BLOCKED_SENDER, Outcome.QUOTA}))
def test_nothing_else_stops_a_mailbox(outcome: Outcome) -> None:
    assert settled(report_of([outcome], HOUR_US)).stop is None


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
