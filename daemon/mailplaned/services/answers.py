"""Submissions and the answers to them, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from mailplaned.domain.policy import OnCap
from mailplaned.services.compose import Composed


class Submission(NamedTuple):
    """What a door hands in. Times and durations are microseconds.

    `fingerprint` is a hash of everything that makes two submissions the same.
    """

    composed: Composed
    workspace: str | None
    mailbox: str | None
    path: str | None
    workload: str
    idempotency_key: str | None
    fingerprint: bytes
    not_before_us: int | None
    expires_in_us: int | None
    on_cap: OnCap | None
    metadata: str


class Decision(NamedTuple):
    """Why: the binding cap in numbers, this submission counted in. All None when no cap applies."""

    verdict: str
    policy: str
    scope: str | None = None
    window: str | None = None
    kind: str | None = None
    limit: int | None = None
    used: int | None = None
    unknown: int | None = None
    waiting: int | None = None
    remaining: int | None = None
    resets_at_us: int | None = None
    reason: str | None = None


class Admitted(NamedTuple):
    """The answer to an accepted submission. `id` and `message_id` are None in a preflight."""

    id: str | None
    state: str
    mailbox: str
    workload: str
    path: str | None
    message_id: str | None
    slot_us: int | None
    decision: Decision
    replayed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The answer to a refused one: a problem code, words, and what it concerns."""

    code: str
    detail: str
    field: str | None = None
    decision: Decision | None = None
    mailbox: str | None = None
    recipient: str | None = None
    retry_after_us: int | None = None
