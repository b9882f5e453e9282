from __future__ import annotations

import base64
import re
from collections import Counter
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import Message

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailplaned.domain import mime
from mailplaned.domain.header_values import decode_words
from mailplaned.services.attachments import AttachmentDraft
from mailplaned.services.compose import (
    Composed,
    Draft,
    Recipient,
    compose,
    finish,
)

TOKEN = "0123456789abcdef"
LIMIT = 1_000_000
MAILBOX = "ana@getacme.example"
SIMPLE = Draft(to=("kim@example.org",), subject="Hi", text="Hello\n")


def composed(draft: Draft) -> Composed:
    result = compose(draft, token=TOKEN, limit_bytes=LIMIT)
    assert isinstance(result, Composed), result
    return result


def faults(draft: Draft, limit_bytes: int = LIMIT) -> dict[str, str]:
    result = compose(draft, token=TOKEN, limit_bytes=limit_bytes)
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


def lenient_fields(content: bytes) -> Counter[str]:
    """Names of the header fields as a reader sees them that takes CR and LF alone for line ends."""
    lines = re.split(rb"\r\n|\r|\n", content)
    block = lines[: lines.index(b"")]
    return Counter(
        line.partition(b":")[0].decode().lower() for line in block if line[:1] not in (b" ", b"\t")
    )


def stdlib_fields(content: bytes) -> Counter[str]:
    return Counter(name.lower() for name in message_from_bytes(content).keys())  # noqa: SIM118


def leaf_text(part: Message) -> str:
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content.decode().replace("\r\n", "\n")


# --- a message from its parts -------------------------------------------------------------------


def test_a_message_has_ours_first_then_the_senders_fields_then_the_body() -> None:
    draft = replace(
        SIMPLE,
        to=("Kim <kim@Example.org>", '"Li, L." <li@example.org>'),
        cc=("zoe@bücher.example",),
        bcc=("max@example.org",),
        reply_to="Ana <replies@getacme.example>",
        headers=(("X-Campaign", "42"), ("List-Unsubscribe", "<https://u.example/1>")),
    )
    assert finished(composed(draft)) == (
        b"From: Ana Li <ana@getacme.example>\r\n"
        b"Date: Tue, 01 Dec 2026 08:00:00 +0000\r\n"
        b"Message-ID: <1@getacme.example>\r\n"
        b"X-Mailplane-Id: msg_1\r\n"
        b'To: Kim <kim@example.org>, "Li, L." <li@example.org>\r\n'
        b"Cc: zoe@xn--bcher-kva.example\r\n"
        b"Reply-To: Ana <replies@getacme.example>\r\n"
        b"Subject: Hi\r\n"
        b"X-Campaign: 42\r\n"
        b"List-Unsubscribe: <https://u.example/1>\r\n"
        b"MIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: 7bit\r\n"
        b"\r\n"
        b"Hello\r\n"
    )


def test_every_recipient_counts_once_and_its_first_kind_wins() -> None:
    draft = replace(
        SIMPLE,
        to=("kim@EXAMPLE.org",),
        cc=("kim@example.org", "li@example.org"),
        bcc=("li@example.org", "max@example.org"),
    )
    message = composed(draft)
    assert message.recipients == (
        Recipient(address="kim@example.org", kind="to"),
        Recipient(address="li@example.org", kind="cc"),
        Recipient(address="max@example.org", kind="bcc"),
    )
    assert b"max@example.org" not in finished(message)


def test_blind_copies_alone_show_no_recipient() -> None:
    message = composed(replace(SIMPLE, to=(), bcc=("kim@example.org",)))
    assert b"\r\nTo: undisclosed-recipients:;\r\n" in finished(message)
    assert b"kim@example.org" not in finished(message)


def test_the_same_message_leaves_by_any_mailbox() -> None:
    message = composed(SIMPLE)
    first = finished(message)
    second = finished(message, mailbox="bo@acme.example", name="")
    assert second == first.replace(b"Ana Li <ana@getacme.example>", b"bo@acme.example")


def test_only_a_local_part_beyond_ascii_needs_smtputf8() -> None:
    assert not composed(replace(SIMPLE, to=("Zoë <zoe@bücher.example>",), subject="é")).utf8
    assert composed(replace(SIMPLE, to=("zoë@example.org",))).utf8
    assert composed(replace(SIMPLE, bcc=("zoë@example.org",))).utf8
    assert composed(replace(SIMPLE, reply_to="zoë@example.org")).utf8


def test_a_mailbox_name_unfit_for_a_header_sends_nothing() -> None:
    with pytest.raises(mime.MisassembledError):
        finished(composed(SIMPLE), name="Ana\r\nBcc: x@y.test")


def test_many_recipients_fold_into_short_lines() -> None:
    draft = replace(SIMPLE, to=tuple(f'"Kim, {n}" <kim{n}@example.org>' for n in range(500)))
    message = composed(draft)
    assert len(message.recipients) == 500
    content = finished(message)
    assert max(map(len, content.split(b"\r\n"))) <= 78
    parsed = message_from_bytes(content, policy=policy.default)
    assert [a.addr_spec for a in parsed["To"].addresses] == [r.address for r in message.recipients]


# --- faults -------------------------------------------------------------------------------------

BYTES = AttachmentDraft(name="a.bin", type="application/pdf", content="AA==")

FAULTY: list[tuple[Draft, set[str]]] = [
    (Draft(), {"to", "text"}),
    (replace(SIMPLE, to=()), {"to"}),
    (replace(SIMPLE, text=None), {"text"}),
    (replace(SIMPLE, text="\ud800", html="\udfff"), {"text", "html"}),
    (replace(SIMPLE, to=("kim",), cc=("a@b, c@d",), bcc=("",)), {"to[0]", "cc[0]", "bcc[0]"}),
    (replace(SIMPLE, to=("kim@example.org", '"a\r\nRSET"@x.test')), {"to[1]"}),
    (replace(SIMPLE, to=("=?utf-8?q?a=0ABcc=3A?= <kim@example.org>",)), {"to[0]"}),
    (
        replace(SIMPLE, cc=('"=?utf-8?q?" <kim@example.org>', '"=0ABcc:_eve?=" <lee@example.org>')),
        {"cc"},
    ),
    (replace(SIMPLE, to=("kim@example.org",) * 501), {"to"}),
    (replace(SIMPLE, reply_to="a@b.test, c@d.test"), {"reply_to"}),
    (replace(SIMPLE, subject="=?utf-8?q?a=0ABcc=3A_e=40x?="), {"subject"}),
    (replace(SIMPLE, subject="a\r\nBcc: e@x.test"), {"subject"}),
    (replace(SIMPLE, subject="a\x1b[2J"), {"subject"}),
    (replace(SIMPLE, subject="\ud800"), {"subject"}),
    (replace(SIMPLE, subject="x" * 2001), {"subject"}),
    (replace(SIMPLE, headers=(("X-A", "a\nb"), ("X-B", "b"))), {"headers.X-A"}),
    (replace(SIMPLE, headers=(("X A", "a"),)), {"headers.X A"}),
    (replace(SIMPLE, headers=(("X\r\nBcc", "b"),)), {"headers.X\\r\\nBcc"}),
    (replace(SIMPLE, headers=(("\ud800", "a"), ("", "b"))), {"headers.\\ud800", "headers."}),
    (replace(SIMPLE, headers=(("X" * 77, "a"),)), {"headers." + "X" * 76}),
    (replace(SIMPLE, headers=(("X-A", "a"), ("x-a", "b"))), {"headers.x-a"}),
    (replace(SIMPLE, headers=tuple((f"X-{n}", "") for n in range(101))), {"headers"}),
    (replace(SIMPLE, headers=(("X-A", "x" * 9000),)), {"headers.X-A"}),
    (replace(SIMPLE, attachments=(replace(BYTES, name="../a"),)), {"attachments[0].name"}),
    (replace(SIMPLE, attachments=(replace(BYTES, name=".."),)), {"attachments[0].name"}),
    (replace(SIMPLE, attachments=(replace(BYTES, name="a\nb"),)), {"attachments[0].name"}),
    (
        replace(SIMPLE, attachments=(replace(BYTES, name="=?utf-8?q?=0AX:?="),)),
        {"attachments[0].name"},
    ),
    (
        replace(SIMPLE, attachments=(replace(BYTES, type='a/b; c="=?utf-8?q?=0AX:?="'),)),
        {"attachments[0].type"},
    ),
    (
        replace(SIMPLE, attachments=(replace(BYTES, name="\u202ef.exe"),)),
        {"attachments[0].name"},
    ),
    (replace(SIMPLE, attachments=(replace(BYTES, name="é" * 200),)), {"attachments[0].name"}),
    (replace(SIMPLE, attachments=(BYTES, replace(BYTES, type="pdf"))), {"attachments[1].type"}),
    (replace(SIMPLE, attachments=(replace(BYTES, type="a/b\r\nX: y"),)), {"attachments[0].type"}),
    (
        replace(SIMPLE, attachments=(replace(BYTES, type="message/a"),)),
        {"attachments[0].type"},
    ),
    (replace(SIMPLE, attachments=(replace(BYTES, content="A"),)), {"attachments[0].content"}),
    (replace(SIMPLE, attachments=(replace(BYTES, content="AA==\n"),)), {"attachments[0].content"}),
    (replace(SIMPLE, attachments=(replace(BYTES, content="é"),)), {"attachments[0].content"}),
    (replace(SIMPLE, attachments=(BYTES,) * 101), {"attachments"}),
]


@pytest.mark.parametrize(("draft", "fields"), FAULTY)
def test_a_fault_names_its_field(draft: Draft, fields: set[str]) -> None:
    found = faults(draft)
    assert set(found) == fields
    assert all((field + reason).isprintable() for field, reason in found.items())


def test_all_faults_come_at_once() -> None:
    draft = Draft(
        to=("kim",),
        cc=("li@",),
        reply_to="x",
        subject="\n",
        headers=(("From", "a@b.test"), ("X-A", "\0")),
        attachments=(AttachmentDraft(name="/", type="-", content="-"),),
    )
    assert list(faults(draft)) == [
        "to[0]",
        "cc[0]",
        "reply_to",
        "subject",
        "headers.From",
        "headers.X-A",
        "text",
        "attachments[0].name",
        "attachments[0].type",
        "attachments[0].content",
    ]


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("From", "use mailbox"),
        ("SENDER", "use mailbox"),
        ("To", "use to"),
        ("cc", "use cc"),
        ("Bcc", "use bcc"),
        ("Subject", "use subject"),
        ("Reply-To", "use reply_to"),
        ("Date", "mailplane sets it"),
        ("Message-Id", "mailplane sets it"),
        ("Return-Path", "server sets it"),
        ("Received", "servers set it"),
        ("MIME-Version", "mailplane sets it"),
        ("Content-Type", "use text, html or attachments"),
        ("DKIM-Signature", "mailplane signs"),
        ("X-Mailplane-Id", "mailplane sets it"),
        ("Resent-Bcc", "use raw"),
    ],
)
def test_a_reserved_header_says_what_to_use(name: str, instead: str) -> None:
    assert instead in faults(replace(SIMPLE, headers=((name, "x"),)))[f"headers.{name}"]


def test_the_limit_holds_for_the_message_as_assembled() -> None:
    rest = composed(SIMPLE).rest
    assert isinstance(compose(SIMPLE, token=TOKEN, limit_bytes=len(rest)), Composed)
    assert faults(SIMPLE, len(rest) - 1)["text"].startswith("too large")
    quoted = replace(SIMPLE, html="é" * 1000)
    assert faults(quoted, 3000)["html"].startswith("too large")
    heavy = replace(SIMPLE, attachments=(replace(BYTES, content="A" * 4000),))
    assert faults(heavy, 3000)["attachments"].startswith("too large")
    assert faults(Draft(raw="A" * 8000), 3000)["raw"].startswith("too large")
    letter = raw("From: a@b.test\nTo: kim@example.org\n\n" + "x\n" * 1000)
    assert faults(Draft(raw=letter), 2500)["raw"].startswith("too large")


# --- what comes out ------------------------------------------------------------------------------


def check_whole(message: Composed, expected: Counter[str]) -> None:
    content = finished(message)
    assert mime.check_wire(content) is None
    own = Counter(name.decode().lower() for name, _ in mime.header_fields(content))
    assert own == lenient_fields(content) == stdlib_fields(content)
    assert own["bcc"] == 0
    assert max(own[name] for name in ("from", "date", "message-id", "x-mailplane-id")) == 1
    assert own == expected
    parsed = message_from_bytes(content)
    assert not any(part.defects for part in parsed.walk())


PLAIN = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=120)
SUBJECTS = PLAIN | st.sampled_from(["=?utf-8?q?a=C3=A9?= b", "=?x?", "?=", "a" * 200])
BODIES = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@given(
    SUBJECTS,
    BODIES,
    st.none() | BODIES,
    st.dictionaries(st.from_regex(r"x-[!-9;-@\[-~]{1,30}", fullmatch=True), PLAIN, max_size=4),
    st.lists(st.tuples(st.text("aé. =;'%\"", min_size=1, max_size=50), st.binary()), max_size=2),
)
@example("x", "a\r\n.\r\nRSET\r\n", None, {"x-a": ""}, [("é.pdf", b"")])
def test_what_a_sender_wrote_is_what_a_reader_reads(
    subject: str,
    text: str,
    html: str | None,
    headers: dict[str, str],
    files: list[tuple[str, bytes]],
) -> None:
    files = [(f"f{name}f", content) for name, content in files]
    draft = Draft(
        to=("Kim <kim@example.org>",),
        subject=subject,
        text=text,
        html=html,
        headers=tuple(headers.items()),
        attachments=tuple(
            AttachmentDraft(
                name=name, type="application/pdf", content=base64.b64encode(content).decode()
            )
            for name, content in files
        ),
    )
    message = composed(draft)
    expected = Counter(["from", "date", "message-id", "x-mailplane-id", "to", "mime-version"])
    expected.update(["content-type", *(["subject"] if subject else []), *headers])
    expected.update([] if html is not None or files else ["content-transfer-encoding"])
    check_whole(message, expected)

    content = finished(message)
    got = {name.decode().lower(): mime.unfold(value) for name, value in mime.header_fields(content)}
    for name, value in headers.items():
        assert decode_words(got[name].decode()) == decode_words(value.strip(" "))
    if subject.isascii() or "=?" not in subject:
        assert decode_words(got.get("subject", b"").decode()) == decode_words(subject.strip(" "))
    leaves = [part for part in message_from_bytes(content).walk() if not part.is_multipart()]
    texts = [given for given in (text, html) if given is not None]
    for part, given_text in zip(leaves, texts, strict=False):
        normal = given_text.replace("\r\n", "\n").replace("\r", "\n")
        assert leaf_text(part) == (normal if normal.endswith("\n") else normal + "\n")
    assert [
        (part.get_filename(), part.get_payload(decode=True)) for part in leaves[len(texts) :]
    ] == files
