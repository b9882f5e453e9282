"""Caps against what is known beyond them: a provider's ceiling, and the end of a ramp."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from mailplaned.book.ceilings import OF_HOST, OF_PROVIDER, Ceiling
from mailplaned.book.schema import AccountTable, CapTable, MailboxTable, WorkspaceFile
from mailplaned.book.source import Source, shown
from mailplaned.domain.policy import Counts
from mailplaned.domain.windows import DAY_US, HOUR_US, WEEK_US, Per

_SPAN_US: Final = {Per.HOUR: HOUR_US, Per.DAY: DAY_US, Per.WEEK: WEEK_US}


def check_ceilings(source: Source, file: WorkspaceFile) -> list[str]:
    """A problem for each cap above its provider's ceiling; a notice where that is on purpose."""
    ceilings = {account.name: found for account in file.account if (found := _of(account))}
    said: list[str] = []
    if not ceilings:
        return said
    for place, mailbox in enumerate(file.mailbox):
        for number, cap in enumerate(mailbox.caps):
            passed = _passed(cap, ceilings.get(mailbox.account, ()))
            if passed is None:
                continue
            wrong = f"above what the provider lets a mailbox send, {passed.words}"
            if cap.override is None:
                key = ("mailbox", place, "caps", number, "limit")
                advice = 'lower it, or add override = "reason"'
                source.problem(key, wrong, advice, cap.limit)
            else:
                said.append(
                    f"{source.name}: [[mailbox]] {mailbox.address}: a cap of {cap.limit} a "
                    f"{cap.per} is {wrong}; override: {shown(cap.override)}"
                )
    return said


def ramps_that_stop_short(source: Source, file: WorkspaceFile) -> Iterable[str]:
    """A notice for each ramp that never reaches the day's cap of its mailbox."""
    for mailbox in file.mailbox:
        caps = [
            cap.limit
            for cap in mailbox.caps
            if cap.per is Per.DAY and cap.counts is Counts.MESSAGES
        ]
        end = _end(mailbox)
        if end is not None and caps and end < min(caps):
            yield (
                f"{source.name}: [[mailbox]] {mailbox.address}: its ramp ends at {end} and never "
                f"reaches its cap of {min(caps)} a day"
            )


def _of(account: AccountTable) -> tuple[Ceiling, ...]:
    found = OF_HOST.get((account.host or "").lower().rstrip("."), ())
    return OF_PROVIDER.get(account.provider, found)


def _passed(cap: CapTable, ceilings: Iterable[Ceiling]) -> Ceiling | None:
    """The ceiling that a cap is above: one of messages, or of the recipients that each has."""
    span_us = _SPAN_US[cap.per]
    for ceiling in ceilings:
        counted = ceiling.counts is cap.counts or cap.counts is Counts.MESSAGES
        if counted and cap.limit > ceiling.limit * max(1, span_us // ceiling.span_us):
            return ceiling
    return None


def _end(mailbox: MailboxTable) -> int | None:
    """Where a ramp stops for good; None: nowhere."""
    ramp = mailbox.ramp
    if ramp is None:
        return None
    if ramp.table:
        return ramp.table[-1]
    return ramp.until if ramp.step else ramp.start
