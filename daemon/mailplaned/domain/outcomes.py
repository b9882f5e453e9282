"""What an attempt can come to, and what a provider's SMTP reply means (RFC 5321, RFC 3463)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """The seven ends of an attempt, for a recipient or for the whole message."""

    ACCEPTED = "accepted"
    REJECTED_RECIPIENT = "rejected_recipient"
    REJECTED_MESSAGE = "rejected_message"
    BLOCKED_SENDER = "blocked_sender"
    QUOTA = "quota"
    TRANSIENT = "transient"
    UNKNOWN = "unknown"


class Stage(StrEnum):
    """How far an attempt came. From `DOT` on, the message may have been taken."""

    CONFIGURE = "configure"
    CONNECT = "connect"
    GREETING = "greeting"
    TLS = "tls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    DOT = "dot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A provider's words: `code` 0 when there was none; `text` is one line, at most 500 chars."""

    code: int = 0
    enhanced: str | None = None
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientReport:
    """What became of one recipient in an attempt."""

    address: str
    outcome: Outcome
    reply: Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The outcome of one attempt with its evidence.

    `recipients` has one entry per recipient of the attempt, in order. `retry_after_us` is how long
    the provider asked to wait, if it did. `peer` is host and port.
    """

    outcome: Outcome
    stage: Stage
    reply: Reply
    recipients: tuple[RecipientReport, ...]
    peer: str | None = None
    retry_after_us: int | None = None
