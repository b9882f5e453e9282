"""The life of a message: its states, and what the end of an attempt makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from mailplaned.domain.outcomes import Outcome, RecipientReport, Reply, Report, Stage
from mailplaned.domain.policy import Delivery
from mailplaned.domain.windows import HOUR_US, MINUTE_US


class State(StrEnum):
    """Where a message stands. From the last six nothing leads away."""

    QUEUED = "queued"
    SCHEDULED = "scheduled"
    HELD = "held"
    SENDING = "sending"
    DEFERRED = "deferred"
    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    BOUNCED = "bounced"
    FAILED = "failed"
    EXPIRED = "expired"
    SUPPRESSED = "suppressed"
    CANCELED = "canceled"


class RecipientState(StrEnum):
    """Where a recipient stands. `WAITING` covers every state in which a try is still to come."""

    WAITING = "waiting"
    SENDING = "sending"
    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    BOUNCED = "bounced"
    FAILED = "failed"
    EXPIRED = "expired"
    SUPPRESSED = "suppressed"
    CANCELED = "canceled"


WAITING: Final = frozenset({State.QUEUED, State.SCHEDULED, State.DEFERRED})
"""The states that have a slot."""

FINAL: Final = frozenset(
    {
        State.ACCEPTED,
        State.BOUNCED,
        State.FAILED,
        State.EXPIRED,
        State.SUPPRESSED,
        State.CANCELED,
    }
)

QUOTA_WAIT_US: Final = HOUR_US
"""How long a mailbox rests after a sending limit that came without a time."""

AT_LEAST_ONCE_TRIES: Final = 3
"""How often an attempt of unknown outcome may be repeated where the workload asks for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A pause that a provider's answer asks for; `for_us` None: until a person lifts it."""

    reason: str
    for_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What an ended attempt makes of its message.

    `recipients` has a state and a one-line reply for each recipient of the attempt, in order.
    `retry_in_us` is set exactly when some of them wait again.
    """

    recipients: tuple[tuple[RecipientState, str], ...]
    charged: bool
    unknown: bool
    retry_in_us: int | None
    stop: Stop | None


_OF_OUTCOME: Final = {
    Outcome.ACCEPTED: RecipientState.ACCEPTED,
    Outcome.REJECTED_RECIPIENT: RecipientState.BOUNCED,
    Outcome.REJECTED_MESSAGE: RecipientState.FAILED,
    Outcome.BLOCKED_SENDER: RecipientState.WAITING,
    Outcome.QUOTA: RecipientState.WAITING,
    Outcome.TRANSIENT: RecipientState.WAITING,
    Outcome.UNKNOWN: RecipientState.UNKNOWN,
}


def settle(
    report: Report,
    *,
    tries: int,
    delivery: Delivery,
    retry_us: Sequence[int],
    jitter: float,
) -> Settlement:
    """What follows from a report. `tries` counts this one; `jitter` is in [0, 1)."""
    again = delivery is Delivery.AT_LEAST_ONCE and tries < AT_LEAST_ONCE_TRIES
    states = []
    for recipient in report.recipients:
        state = _OF_OUTCOME[recipient.outcome]
        if state is RecipientState.UNKNOWN and again:
            state = RecipientState.WAITING
        states.append((state, _one_line(recipient.reply.code, recipient.reply.text)))
    taken = any(r.outcome in {Outcome.ACCEPTED, Outcome.UNKNOWN} for r in report.recipients)
    waiting = any(state is RecipientState.WAITING for state, _ in states)
    return Settlement(
        recipients=tuple(states),
        charged=taken,
        unknown=report.outcome is Outcome.UNKNOWN,
        retry_in_us=_wait_us(report, tries, retry_us, jitter) if waiting else None,
        stop=_stop(report),
    )


def state_of(recipients: Sequence[RecipientState]) -> State | None:
    """The state of a message whose recipients stand so; None while any of them waits or is sent."""
    if any(r in {RecipientState.WAITING, RecipientState.SENDING} for r in recipients):
        return None
    for candidate in (
        State.UNKNOWN,
        State.ACCEPTED,
        State.BOUNCED,
        State.FAILED,
        State.EXPIRED,
        State.SUPPRESSED,
    ):
        if any(r.value == candidate.value for r in recipients):
            return candidate
    return State.CANCELED


def lost(recipients: Sequence[str], *, why: str) -> Report:
    """The report of an attempt that nobody saw the end of: everything about it is unknown."""
    reply = Reply(text=why)
    return Report(
        outcome=Outcome.UNKNOWN,
        stage=Stage.DOT,
        reply=reply,
        recipients=tuple(
            RecipientReport(address=address, outcome=Outcome.UNKNOWN, reply=reply)
            for address in recipients
        ),
    )


def _stop(report: Report) -> Stop | None:
    words = _one_line(report.reply.code, report.reply.text)
    if report.outcome is Outcome.BLOCKED_SENDER:
        return Stop(reason=f"the provider refuses this sender: {words}", for_us=None)
    if report.outcome is Outcome.QUOTA:
        wait_us = max(report.retry_after_us or QUOTA_WAIT_US, 15 * MINUTE_US)
        return Stop(reason=f"the provider's sending limit: {words}", for_us=wait_us)
    return None


def _wait_us(report: Report, tries: int, retry_us: Sequence[int], jitter: float) -> int:
    if report.outcome in {Outcome.BLOCKED_SENDER, Outcome.QUOTA}:
        return 0  # the pause decides when
    base = retry_us[min(tries, len(retry_us)) - 1]
    wait_us = int(base * (0.8 + 0.4 * jitter))
    return max(wait_us, report.retry_after_us or wait_us)


def _one_line(code: int, text: str) -> str:
    return f"{code} {text}" if code else text
