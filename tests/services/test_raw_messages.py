from __future__ import annotations

import base64
import re

import pytest

from mailplaned.services.attachments import AttachmentDraft
from mailplaned.services.compose import (
    Composed,
    Draft,
    Recipient,
    compose,
    finish,
)

MAILBOX = "ana@getacme.example"
BYTES = AttachmentDraft(name="a.bin", type="application/pdf", content="AA==")


def composed(draft: Draft) -> Composed:
    result = compose(draft, token="0123456789abcdef", limit_bytes=1_000_000)
    assert isinstance(result, Composed), result
    return result


def faults(draft: Draft) -> dict[str, str]:
    result = compose(draft, token="0123456789abcdef", limit_bytes=1_000_000)
    assert not isinstance(result, Composed)
    return {fault.field: fault.reason for fault in result}


def finished(message: Composed, mailbox: str = MAILBOX, name: str = "Ana Li") -> bytes:
    return finish(
        message,
        mailbox=mailbox,
        name=name,
        message_id=message.message_id or "<1@getacme.example>",
        public_id="msg_1",
        created_at_us=1_796_112_000_000_000,
    )


def raw(content: bytes | str) -> str:
    return base64.b64encode(content.encode() if isinstance(content, str) else content).decode()


RAW = (
    "Received: from a by b\n"
    "DKIM-Signature: v=1; a=x;\n b=y\n"
    "From: =?utf-8?q?An=C3=A1?= <ana@GetAcme.example>\n"
    "Sender: bot@getacme.example\n"
    'To: Kim <kim@example.org>,\n\t"Li, L." <li@example.org>\n'
    "Cc: kim@example.org, max@example.org\n"
    "Bcc: zoe@example.org\n"
    "Return-Path: <x@y.test>\n"
    "X-Mailplane-Id: forged\n"
    "Date: Mon, 30 Nov 2026 09:00:00 +0100\n"
    "Message-ID: <own@getacme.example>\n"
    "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n"
    "\n"
    "Body\n"
)


def test_a_raw_message_keeps_what_is_safe_and_loses_the_rest() -> None:
    message = composed(Draft(raw=raw(RAW)))
    assert finished(message) == (
        b"From: =?utf-8?q?An=C3=A1?= <ana@GetAcme.example>\r\n"
        b"Date: Mon, 30 Nov 2026 09:00:00 +0100\r\n"
        b"Message-ID: <own@getacme.example>\r\n"
        b"X-Mailplane-Id: msg_1\r\n"
        b"Received: from a by b\r\n"
        b"DKIM-Signature: v=1; a=x;\r\n b=y\r\n"
        b'To: Kim <kim@example.org>,\r\n\t"Li, L." <li@example.org>\r\n'
        b"Cc: kim@example.org, max@example.org\r\n"
        b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
        b"\r\n"
        b"Body\r\n"
    )
    assert message.subject == "Grüße"
    assert message.sender == "ana@getacme.example"
    assert message.message_id == "<own@getacme.example>"
    assert not message.utf8
    assert message.recipients == (
        Recipient(address="kim@example.org", kind="to"),
        Recipient(address="li@example.org", kind="to"),
        Recipient(address="max@example.org", kind="cc"),
        Recipient(address="zoe@example.org", kind="bcc"),
    )


def test_a_raw_message_from_another_mailbox_gets_that_mailboxes_from() -> None:
    content = finished(composed(Draft(raw=raw(RAW))), mailbox="bo@acme.example", name="Bo")
    assert content.startswith(b"From: Bo <bo@acme.example>\r\nDate: Mon, 30 Nov 2026")
    assert b"ana@" not in content.lower()


def test_recipients_of_the_submission_stand_in_for_those_of_the_raw_message() -> None:
    message = composed(Draft(raw=raw(RAW.replace("To: Kim", "To: not (parsed")), bcc=("a@b.test",)))
    assert message.recipients == (Recipient(address="a@b.test", kind="bcc"),)


def test_a_raw_message_without_usable_date_and_id_gets_ours() -> None:
    for date in ("yesterday", "Mon, 32 Nov 2026 09:00:00 +0100", "1 Nov 2026 09:00:00 +9999"):
        text = f"From: {MAILBOX}\nTo: kim@example.org\nDate: {date}\nMessage-ID: <a b@c>\n\n"
        message = composed(Draft(raw=raw(text)))
        assert message.message_id is None
        assert finished(message).startswith(
            b"From: ana@getacme.example\r\nDate: Tue, 01 Dec 2026 08:00:00 +0000\r\n"
            b"Message-ID: <1@getacme.example>\r\n"
        )


def test_a_raw_message_in_utf8_headers_needs_smtputf8() -> None:
    text = f"From: {MAILBOX}\nTo: kim@example.org\n"
    assert composed(Draft(raw=raw(text + "Subject: é\n\n"))).utf8
    assert not composed(Draft(raw=raw(text + "\né\n"))).utf8
    assert composed(Draft(raw=raw(text + "\n"), to=("zoë@example.org",))).utf8


FROM = "From: a@b.test\r\nTo: kim@example.org\r\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "malformed|From"),
        ("\r\nbody", "From must hold one address, not 0"),
        ("no header", "malformed"),
        ("From: a@b.test, c@d.test\r\nTo: kim@example.org\r\n\r\n", "From must hold one"),
        ("From: a@b.test\r\nfrom: a@b.test\r\n\r\n", "From twice|from twice"),
        (FROM + "To: li@example.org\r\n\r\n", "To twice"),
        (FROM + "Subject: a\r\nSUBJECT: b\r\n\r\n", "SUBJECT twice"),
        (FROM + "Date: a\r\nDate: b\r\n\r\n", "Date twice"),
        (FROM + "Message-ID: a\r\nMessage-Id: b\r\n\r\n", "Message-Id twice"),
        (FROM + "Content-Type: a/b\r\nContent-Type: c/d\r\n\r\n", "Content-Type twice"),
        (FROM + "\nmixed\r\n", "LF without CR"),
        (FROM + "\r\nmixed\rends\r\n", "CR without LF"),
        (FROM + "\r\nnul\x00\r\n", "NUL"),
        (FROM + "\r\n" + "x" * 999 + "\r\n", "longer than 998"),
        (FROM + "X A: b\r\n\r\n", "malformed"),
        (FROM + "Subject: a\x1b\r\n\r\n", "Subject holds a control"),
        (FROM + "Subject: =?utf-8?q?a=0ABcc=3A?=\r\n\r\n", "Subject holds an encoded-word"),
        (FROM + "X: =?utf-8?q?a\r\n =0A?=\r\n\r\n", "X holds an encoded-word"),
        (FROM + "Cc: li@example.org (Li)\r\n\r\n", "Cc: an address"),
        (FROM + "Cc: a@b.test <c@d.test\r\n\r\n", "Cc has an unbalanced"),
        (FROM + 'Cc: "' + ('\\"' * 400 + "\r\n ") * 200 + "\r\n\r\n", "malformed"),
        (FROM + 'Cc: "' + ('\\"' * 400 + "\r\n ") * 200 + "x\r\n\r\n", "Cc has an unbalanced"),
        (FROM + "Cc: Team: li@example.org;\r\n\r\n", "Cc: an address"),
        (FROM + "Content-Type: multipart/mixed\r\n\r\nx\r\n", "without a boundary"),
        (FROM + "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n", "does not end"),
        (FROM + "X: y\r\n" * 50_000 + "\r\n", "header of more than"),
        (b"From: a@b.test\r\nSubject: \xff\r\n\r\n", "neither ASCII nor UTF-8"),
    ],
)
def test_a_raw_message_that_readers_could_take_apart_differently_is_refused(
    content: str | bytes, reason: str
) -> None:
    assert re.search(reason, faults(Draft(raw=raw(content)))["raw"])


@pytest.mark.parametrize("encoded", ["-", "A", "AA==\n", "é", "AA=="[:3], "\ud800"])
def test_a_raw_message_must_be_strict_base64(encoded: str) -> None:
    assert faults(Draft(raw=encoded)) == {"raw": "is not base64"}


def test_nothing_stands_beside_a_raw_message() -> None:
    draft = Draft(
        raw=raw(RAW),
        reply_to="a@b.test",
        subject="s",
        text="t",
        html="h",
        headers=(("X-A", "b"),),
        attachments=(BYTES,),
    )
    assert set(faults(draft)) == {"reply_to", "subject", "text", "html", "headers", "attachments"}


def test_a_raw_message_must_name_a_recipient_somewhere() -> None:
    text = f"From: {MAILBOX}\nTo: undisclosed-recipients:;\n\nbody"
    assert set(faults(Draft(raw=raw(text)))) == {"to"}
    assert composed(Draft(raw=raw(text), bcc=("kim@example.org",))).recipients


def test_a_raw_message_may_have_500_recipients() -> None:
    names = ",\n ".join(f"kim{n}@example.org" for n in range(501))
    assert set(faults(Draft(raw=raw(f"From: {MAILBOX}\nTo: {names}\n\n")))) == {"raw"}
