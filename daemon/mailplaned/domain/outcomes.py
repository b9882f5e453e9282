"""What an attempt can come to, and what a provider's SMTP reply means (RFC 5321, RFC 3463).

The enhanced code and the stage decide before the reply's class does: the same 550 can mean a bad
address, a full quota or a blocked account, and a recipient must never be given up for the sender's
fault. Providers' own meanings come from their published lists; each table names its source.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
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
    the provider asked to wait, if it did. `peer` is host and port. `certificate_ends_us`: when the
    provider's certificate ends; only a probe tells it.
    """

    outcome: Outcome
    stage: Stage
    reply: Reply
    recipients: tuple[RecipientReport, ...]
    peer: str | None = None
    retry_after_us: int | None = None
    certificate_ends_us: int | None = None


REPLY_TEXT_CHARS = 500
"""How much of a provider's words is kept."""

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
"""Stands for each character of a reply that isn't printable."""

_ENHANCED = re.compile(r"(?:^|#)([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
"""RFC 2034: the code opens the text. qmail and its kin write it as "(#5.1.1)"."""

_SENDING_LIMIT = re.compile(
    r"daily (?:smtp relay|user sending|sending) (?:sending )?(?:limit|quota)"
    r"|submission quota exceeded|sending limit (?:reached|exceeded)",
    re.IGNORECASE,
)
"""A limit on the sender that hides behind another code: Google's "550 5.7.1 Daily SMTP relay limit
exceeded" (support.google.com/a/answer/3726730), Exchange's submission quota."""

_SENDER_REFUSED = re.compile(
    r"sendas ?denied|relay(?:ing)? (?:access )?denied"
    r"|unable to relay|relaying not (?:allowed|permitted)",
    re.IGNORECASE,
)
"""The account may not use that From, or may not relay: Exchange's "554 5.2.0 … SendAsDenied",
Postfix's "554 5.7.1 Relay access denied", Google's "550 5.7.0 Mail relay denied"."""

_NO_SUCH_RECIPIENT = re.compile(
    r"(?:user|recipient|mailbox|address|account) (?:is )?"
    r"(?:unknown|not found|does(?: not|n't) exist)"
    r"|(?:unknown|no such|nonexistent) (?:user|recipient|mailbox|address|account|local)"
    r"|invalid (?:recipient|mailbox)|no mailbox here|unrouteable address"
    r"|recipient address rejected: access denied",
    re.IGNORECASE,
)
"""What servers that give no usable enhanced code say of a bad address; the last is Exchange
Online's directory-based edge blocking (550 5.4.1)."""

_ABOUT_SENDER = "sender"
"""Exim says "Unrouteable address … Sender verify failed" at RCPT: the address meant is ours."""

_BY_CODE: dict[str, Outcome] = {
    # Google, support.google.com/a/answer/3726730: looks permanent, lasts up to 24 h.
    "4.5": Outcome.QUOTA,
    # Exchange Online's tenant limit on external recipients (TERRL).
    "7.232": Outcome.QUOTA,
    "7.233": Outcome.QUOTA,
    # RFC 3463 §3.2: what is wrong is the sender's address; Exchange: bad outbound sender.
    "1.7": Outcome.BLOCKED_SENDER,
    "1.8": Outcome.BLOCKED_SENDER,
    # Exchange: throttled for continuous errors; retries prolong it (learn.microsoft.com,
    # "Continuous error throttling for SMTP AUTH submissions"). 5.2.252 is also SendAsDenied.
    "2.250": Outcome.BLOCKED_SENDER,
    "2.251": Outcome.BLOCKED_SENDER,
    "2.252": Outcome.BLOCKED_SENDER,
    "2.253": Outcome.BLOCKED_SENDER,
    "2.254": Outcome.BLOCKED_SENDER,
    "2.255": Outcome.BLOCKED_SENDER,
    # RFC 4954 §6 and Google: credentials refused, application password needed.
    "7.8": Outcome.BLOCKED_SENDER,
    "7.9": Outcome.BLOCKED_SENDER,
    "7.14": Outcome.BLOCKED_SENDER,
    # Exchange, "Email non-delivery reports in Exchange Online": no authentication, no right to that
    # From, basic authentication gone or off, the account or the whole tenant blocked.
    "7.30": Outcome.BLOCKED_SENDER,
    "7.54": Outcome.BLOCKED_SENDER,
    "7.57": Outcome.BLOCKED_SENDER,
    "7.60": Outcome.BLOCKED_SENDER,
    "7.64": Outcome.BLOCKED_SENDER,
    "7.139": Outcome.BLOCKED_SENDER,
    "7.501": Outcome.BLOCKED_SENDER,
    "7.502": Outcome.BLOCKED_SENDER,
    "7.503": Outcome.BLOCKED_SENDER,
    "7.705": Outcome.BLOCKED_SENDER,
    "7.708": Outcome.BLOCKED_SENDER,
    "7.750": Outcome.BLOCKED_SENDER,
}
"""Subject and detail of a permanent code that says the same at every stage from AUTH on."""

_AUTHENTICATION_CODES = frozenset({530, 534, 535, 538})
"""RFC 4954 §6: about our credentials, wherever they turn up."""

_BAD_RECIPIENT = frozenset({"1.1", "1.2", "1.3", "1.6", "1.10", "2.1"})
"""RFC 3463 §3.2, §3.3; RFC 7505 (1.10, null MX; Exchange: recipient not found)."""

_MAILBOX_FULL = "2.2"
"""RFC 3463 §3.3, said of a recipient; at any other stage Exchange's submission quota."""

_TOO_MANY_RECIPIENTS = "5.3"
"""RFC 3463 §3.6: the recipient is fine, the list is too long for one go."""

_BAD_MESSAGE = frozenset({"2.3", "3.3", "3.4", "5.2", "5.4"})
"""RFC 3463: too long, feature not there, too big, syntax, arguments."""

_TEMPORARY_SUBJECTS = ("3.", "4.")
"""RFC 3463: mail system, network and routing: it passes, even where a server says 5."""

_EXCEEDED = 552
"""RFC 5321 §4.2.3: storage exceeded; after RCPT to be read as temporary (§4.5.3.1.10)."""

_BAD_PARAMETERS = 555
"""RFC 5321 §4.2.3: parameters of MAIL or RCPT not recognised."""

_HOPE = (
    Outcome.ACCEPTED,
    Outcome.UNKNOWN,
    Outcome.TRANSIENT,
    Outcome.QUOTA,
    Outcome.BLOCKED_SENDER,
    Outcome.REJECTED_MESSAGE,
    Outcome.REJECTED_RECIPIENT,
)


def parse_reply(code: int, text: str) -> Reply:
    """A provider's reply as evidence: one line, printable, cut, with its enhanced code found.

    Replies are hostile input: control and format characters and undecodable bytes (lone
    surrogates) are replaced, so that the text can be stored, encoded and shown anywhere.
    """
    line = " ".join(text.split())[:REPLY_TEXT_CHARS]
    if not line.isprintable():
        line = "".join(char if char.isprintable() else REPLACEMENT for char in line)
    found = _ENHANCED.search(line)
    return Reply(code=code, enhanced=found[1] if found else None, text=line)


def classify(stage: Stage, reply: Reply) -> Outcome:
    """What a reply at a stage comes to for the message, or at RCPT for the recipient.

    It is asked about ends: a 2xx before the dot is no end, so there it reads as a server out of
    step, by which nothing was taken. No reply, or no readable one, leaves the message where it
    was: not sent before the dot, unknown after it.
    """
    match reply.code // 100:
        case 2 if stage is Stage.DOT:
            return Outcome.ACCEPTED
        case 4:
            return Outcome.TRANSIENT
        case 5:
            return _permanent(stage, reply)
        case _:
            return Outcome.UNKNOWN if stage is Stage.DOT else Outcome.TRANSIENT


def most_hopeful(outcomes: Iterable[Outcome]) -> Outcome:
    """What the message came to when its recipients differ: the end that still leaves the most open.

    Only when every recipient was refused for its own sake is the message `rejected_recipient`.
    """
    return min(outcomes, key=_HOPE.index)


def _permanent(stage: Stage, reply: Reply) -> Outcome:
    """The meaning of a 5xx: the words that name a cause, the code, then the stage."""
    kind, _, detail = (reply.enhanced or "").partition(".")
    if kind == "4":  # a server at odds with itself (RFC 2034 forbids it): the milder reading
        return Outcome.TRANSIENT
    if _SENDING_LIMIT.search(reply.text):
        return Outcome.QUOTA
    if _SENDER_REFUSED.search(reply.text):
        return Outcome.BLOCKED_SENDER
    if detail in _BY_CODE:
        return _BY_CODE[detail]
    if reply.code in _AUTHENTICATION_CODES:
        return Outcome.BLOCKED_SENDER
    match stage:
        case Stage.RCPT:
            return _recipient_refused(reply, detail)
        case Stage.DATA | Stage.DOT:
            return _message_refused(detail)
        case _:
            return _sender_refused(stage, reply, detail)


def _recipient_refused(reply: Reply, detail: str) -> Outcome:
    if detail in _BAD_RECIPIENT:
        return Outcome.REJECTED_RECIPIENT
    if detail in {_MAILBOX_FULL, _TOO_MANY_RECIPIENTS} or (not detail and reply.code == _EXCEEDED):
        return Outcome.TRANSIENT
    if detail in _BAD_MESSAGE or detail.startswith(("6.", "7.")):
        return Outcome.REJECTED_MESSAGE
    if _NO_SUCH_RECIPIENT.search(reply.text) and _ABOUT_SENDER not in reply.text.lower():
        return Outcome.REJECTED_RECIPIENT
    return Outcome.TRANSIENT if _passes(detail) else Outcome.REJECTED_MESSAGE


def _message_refused(detail: str) -> Outcome:
    if detail in _BAD_RECIPIENT:
        return Outcome.REJECTED_RECIPIENT
    if detail == _MAILBOX_FULL:
        return Outcome.QUOTA
    return Outcome.TRANSIENT if _passes(detail) else Outcome.REJECTED_MESSAGE


def _sender_refused(stage: Stage, reply: Reply, detail: str) -> Outcome:
    if stage is Stage.MAIL:
        if detail == _MAILBOX_FULL:
            return Outcome.QUOTA
        if detail in _BAD_MESSAGE or detail.startswith("6."):
            return Outcome.REJECTED_MESSAGE
        if reply.code in {_EXCEEDED, _BAD_PARAMETERS}:
            return Outcome.REJECTED_MESSAGE
    return Outcome.TRANSIENT if _passes(detail) else Outcome.BLOCKED_SENDER


def _passes(detail: str) -> bool:
    """Whether a permanent code names a trouble of systems or networks, which ends by itself.

    A detail of 0 names none (RFC 3463 §3: "other or undefined"), so the class stands.
    """
    return (
        detail.startswith(_TEMPORARY_SUBJECTS)
        and not detail.endswith(".0")
        and detail not in _BAD_MESSAGE
    )
