"""Who was refused for want of permission is written down, once a minute for the same attempt."""

from __future__ import annotations

from functools import partial

import structlog

from mailplaned.domain.records import AuditEntry
from mailplaned.domain.windows import MINUTE_US
from mailplaned.doors.http.replies import Refusal
from mailplaned.ports import Clock, Store, StoreFault, Transaction

_REMEMBERED = 1_000
_log = structlog.get_logger("http")


class Denials:
    """Writes an audit entry for each denial; a loop of them does not fill the log."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told_us: dict[tuple[str, str, str], int] = {}

    async def note(self, store: Store, actor: str, what: str, refusal: Refusal) -> None:
        """Write down that `actor` asked for `what` (method and path) and may not."""
        if refusal.problem.code != "not-permitted":
            return
        key = (actor, what, refusal.problem.detail)
        now_us = self._clock.boot_us()
        if now_us - self._told_us.get(key, -MINUTE_US) < MINUTE_US:
            return
        if len(self._told_us) >= _REMEMBERED:
            self._told_us.clear()
        self._told_us[key] = now_us
        try:
            await store.write(partial(_write, actor=actor, what=what, refusal=refusal))
        except StoreFault as fault:  # the denial holds all the same
            _log.warning("denial not kept", action="denied", actor=actor, why=str(fault))


def _write(tx: Transaction, *, actor: str, what: str, refusal: Refusal) -> None:
    tx.add_audit(
        AuditEntry(
            at_us=tx.now_us,
            actor=actor,
            action="denied",
            workspace=refusal.workspace,
            target=what,
            detail={"reason": refusal.problem.detail},
        )
    )
