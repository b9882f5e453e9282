"""What a reply means: a table to be checked by eye against the providers' lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplaned.domain.outcomes import (
    REPLY_TEXT_CHARS,
    Outcome,
    Reply,
    Stage,
    classify,
    most_hopeful,
    parse_reply,
)

BAD, MSG, BLOCKED = Outcome.REJECTED_RECIPIENT, Outcome.REJECTED_MESSAGE, Outcome.BLOCKED_SENDER
QUOTA, LATER, UNKNOWN, TAKEN = Outcome.QUOTA, Outcome.TRANSIENT, Outcome.UNKNOWN, Outcome.ACCEPTED

GOOGLE = [
    (Stage.CONNECT, "421 4.7.0 Try again later, closing connection.", LATER),
    (Stage.DOT, "421 4.7.28 Gmail has detected an unusual rate of mail", LATER),
    (Stage.RCPT, "450 4.2.1 The user you are trying to contact is receiving mail too fast", LATER),
    (Stage.RCPT, "452 4.2.2 The recipient's inbox is out of storage space", LATER),
    (Stage.RCPT, "452 4.5.3 Your message has too many recipients", LATER),
    (Stage.AUTH, "454 4.7.0 Too many login attempts, please try again later", LATER),
    (Stage.MAIL, "550 5.4.5 Daily user sending limit exceeded", QUOTA),
    (Stage.RCPT, "550 5.4.5 Daily user sending limit exceeded", QUOTA),
    (Stage.DOT, "550 5.4.5 Daily user sending limit exceeded", QUOTA),
    (Stage.RCPT, "550 5.7.1 Daily SMTP relay limit exceeded for customer", QUOTA),
    (Stage.RCPT, "550 5.1.1 The email account that you tried to reach does not exist", BAD),
    (Stage.RCPT, "550 5.2.1 The email account that you tried to reach is inactive", BAD),
    (Stage.RCPT, "552 5.2.2 The recipient's inbox is out of storage space", LATER),
    (Stage.DOT, "550 5.7.26 This mail has been blocked: unauthenticated", MSG),
    (Stage.DOT, "550 5.7.25 The IP address sending this message has no PTR record", MSG),
    (Stage.DOT, "550 5.7.28 Unusual rate of unsolicited mail", MSG),
    (Stage.RCPT, "550 5.7.0 Mail relay denied [192.0.2.1]. Invalid credentials", BLOCKED),
    (Stage.MAIL, "530 5.7.0 Authentication Required", BLOCKED),
    (Stage.MAIL, "530 5.5.1 Authentication Required", BLOCKED),
    (Stage.AUTH, "534 5.7.9 Application-specific password required", BLOCKED),
    (Stage.AUTH, "535 5.7.8 Username and Password not accepted", BLOCKED),
    (Stage.MAIL, "552 5.3.4 Your message exceeded Google's message size limits", MSG),
]
"""support.google.com/a/answer/3726730."""

EXCHANGE = [
    (Stage.DOT, "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", LATER),
    (Stage.DOT, "451 4.7.500 Server busy", LATER),
    (Stage.AUTH, "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is", BLOCKED),
    (Stage.AUTH, "550 5.7.30 Basic authentication is not supported for Client Submission", BLOCKED),
    (Stage.MAIL, "530 5.7.57 SMTP; Client was not authenticated", BLOCKED),
    (Stage.DOT, "550 5.7.60 SMTP; Client does not have permissions to send as this", BLOCKED),
    (Stage.RCPT, "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain", BLOCKED),
    (Stage.DOT, "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException", BLOCKED),
    (Stage.DOT, "554 5.2.252 SendAsDenied; ana@acme.example not allowed to send as", BLOCKED),
    (Stage.DOT, "550 5.2.251 Mailbox throttled because of continuous errors", BLOCKED),
    (Stage.DOT, "550 5.2.255 Sender throttled", BLOCKED),
    (Stage.DOT, "550 5.1.8 Access denied, bad outbound sender", BLOCKED),
    (Stage.DOT, "550 5.2.2 Submission quota exceeded", QUOTA),
    (Stage.MAIL, "550 5.2.2 Submission quota exceeded", QUOTA),
    (Stage.DOT, "554 5.2.0 STOREDRV: Submission quota exceeded", QUOTA),
    (Stage.RCPT, "550 5.7.705 Access denied, tenant has exceeded threshold", BLOCKED),
    (Stage.MAIL, "550 5.7.708 Service unavailable. Access denied, traffic not accepted", BLOCKED),
    (Stage.DOT, "550 5.7.750 Service unavailable. Client blocked from sending", BLOCKED),
    (Stage.DOT, "550 5.7.232 Your message can't be sent because your tenant exceeded", QUOTA),
    (Stage.RCPT, "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found", BAD),
    (Stage.RCPT, "550 5.4.1 Recipient address rejected: Access denied.", BAD),
    (Stage.RCPT, "550 5.7.133 Sender not authenticated for group", MSG),
    (Stage.DOT, "550 5.1.10 Recipient not found", BAD),
]
"""learn.microsoft.com, "Email non-delivery reports in Exchange Online"."""

GENERIC = [
    (Stage.GREETING, "421 busy", LATER),
    (Stage.GREETING, "554 5.7.1 No SMTP service for you", BLOCKED),
    (Stage.GREETING, "554 5.3.2 Not now", LATER),
    (Stage.TLS, "454 4.7.0 TLS not available due to local problem", LATER),
    (Stage.TLS, "502 command not implemented", BLOCKED),
    (Stage.AUTH, "504 5.5.4 Mechanism not supported", BLOCKED),
    (Stage.MAIL, "451 4.3.0 try later", LATER),
    (Stage.MAIL, "550 not you", BLOCKED),
    (Stage.MAIL, "553 5.1.7 bad sender syntax", BLOCKED),
    (Stage.MAIL, "552 message too big", MSG),
    (Stage.MAIL, "555 5.5.4 unsupported option", MSG),
    (Stage.MAIL, "550 5.6.7 SMTPUTF8 needed", MSG),
    (Stage.MAIL, "550 5.1.1 unknown", BLOCKED),
    (Stage.RCPT, "450 4.7.1 greylisted", LATER),
    (Stage.RCPT, "450 5.1.1 at odds with itself", LATER),
    (Stage.RCPT, "550 4.1.1 at odds with itself", LATER),
    (Stage.RCPT, "550 5.1.1 unknown", BAD),
    (Stage.RCPT, "550 5.1.2 no such domain", BAD),
    (Stage.RCPT, "553 5.1.3 bad address", BAD),
    (Stage.RCPT, "551 5.1.6 moved", BAD),
    (Stage.RCPT, "556 5.1.10 null MX", BAD),
    (Stage.RCPT, "550 5.2.1 disabled", BAD),
    (Stage.RCPT, "550 No such user here", BAD),
    (Stage.RCPT, "550 sorry, no mailbox here by that name. (#5.1.1)", BAD),
    (Stage.RCPT, "550 Unrouteable address", BAD),
    (Stage.RCPT, "550 Verification failed Unrouteable address Sender verify failed", MSG),
    (Stage.RCPT, "553 5.1.8 Domain of sender address does not exist", BLOCKED),
    (Stage.RCPT, "550 mailbox unavailable", MSG),
    (Stage.RCPT, "550 rejected for policy reasons", MSG),
    (Stage.RCPT, "550 5.7.1 rejected by policy", MSG),
    (Stage.RCPT, "554 5.7.1 <b@x.example>: Relay access denied", BLOCKED),
    (Stage.RCPT, "552 too many recipients", LATER),
    (Stage.RCPT, "550 5.5.3 too many recipients", LATER),
    (Stage.RCPT, "552 5.3.4 too big", MSG),
    (Stage.RCPT, "550 5.4.4 unable to route", LATER),
    (Stage.RCPT, "550 5.3.0 rejected", MSG),
    (Stage.DOT, "554 5.3.0 rejected", MSG),
    (Stage.DOT, "554 5.3.2 not now", LATER),
    (Stage.DOT, "552 5.3.4 too big", MSG),
    (Stage.DATA, "554 no valid recipients", MSG),
    (Stage.DATA, "250 out of step", LATER),
    (Stage.DATA, "", LATER),
    (Stage.DOT, "250 2.0.0 queued", TAKEN),
    (Stage.DOT, "251 will forward", TAKEN),
    (Stage.DOT, "299 whatever", TAKEN),
    (Stage.DOT, "452 4.3.1 no space", LATER),
    (Stage.DOT, "554 5.6.0 content", MSG),
    (Stage.DOT, "550 spam", MSG),
    (Stage.DOT, "354 again?", UNKNOWN),
    (Stage.DOT, "", UNKNOWN),
    (Stage.DOT, "699 what", UNKNOWN),
]
"""RFC 5321 §4.2, RFC 3463 §3, RFC 4954 §6, RFC 7505 §4.2."""


def reply(line: str) -> Reply:
    code, _, text = line.partition(" ")
    return parse_reply(int(code or 0), text)


@pytest.mark.parametrize(("stage", "line", "outcome"), GOOGLE + EXCHANGE + GENERIC)
def test_a_reply_means_what_its_provider_says(stage: Stage, line: str, outcome: Outcome) -> None:
    assert classify(stage, reply(line)) is outcome


@pytest.mark.parametrize("stage", Stage)
@given(
    code=st.integers(400, 599),
    enhanced=st.none()
    | st.tuples(st.integers(4, 5), st.sampled_from(["7.0", "7.1", "7.26", "7.509", "4.7", "2.2"])),
)
def test_policy_quota_and_full_mailboxes_never_condemn_a_recipient(
    stage: Stage, code: int, enhanced: tuple[int, str] | None
) -> None:
    text = f"{enhanced[0]}.{enhanced[1]} refused" if enhanced else "refused"
    assert classify(stage, parse_reply(code, text)) is not Outcome.REJECTED_RECIPIENT


@given(stage=st.sampled_from(Stage), code=st.integers(-1, 999), text=st.text())
def test_nothing_but_the_dot_can_accept_or_leave_open(stage: Stage, code: int, text: str) -> None:
    outcome = classify(stage, parse_reply(code, text))
    assert outcome not in {TAKEN, UNKNOWN} or stage is Stage.DOT
    assert (outcome is TAKEN) == (stage is Stage.DOT and 200 <= code < 300)


@given(text=st.text(st.characters(exclude_categories=[])))
def test_a_reply_is_one_printable_line_that_can_be_stored(text: str) -> None:
    found = parse_reply(550, text)
    assert found.text.isprintable()
    assert len(found.text) <= REPLY_TEXT_CHARS
    found.text.encode()


@pytest.mark.parametrize(
    ("text", "enhanced"),
    [
        ("5.1.1 unknown", "5.1.1"),
        ("5.7.708\nmore", "5.7.708"),
        ("  5.1.10, listed", "5.1.10"),
        ("no mailbox (#5.1.1)", "5.1.1"),
        ("192.5.1.1 is listed", None),
        ("5.1.1.4 is listed", None),
        ("running version 5.2.2", None),
        ("5.1 half", None),
        ("", None),
    ],
)
def test_the_enhanced_code_is_found_where_it_belongs(text: str, enhanced: str | None) -> None:
    assert parse_reply(550, text).enhanced == enhanced


def test_control_characters_of_a_reply_are_replaced() -> None:
    hostile = "5.1.1 a\x1b]52;c;x\x07\r\nb\x00\u202ec\udcff\x9b"
    assert parse_reply(550, hostile).text == "5.1.1 a�]52;c;x� b��c��"


def test_the_most_hopeful_end_speaks_for_the_message() -> None:
    assert most_hopeful([BAD, BAD]) is BAD
    assert most_hopeful([BAD, MSG]) is MSG
    assert most_hopeful([MSG, BLOCKED, LATER, QUOTA, BAD]) is LATER
