"""Hostile bodies: texts and files that try to end a part or the message, and raw messages."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from email import message_from_bytes
from email.message import Message
from email.utils import collapse_rfc2231_value

import dkim
from hypothesis import strategies as st

from mailplaned.services.attachments import AttachmentDraft
from mailplaned.services.compose import Composed, Draft, compose
from tests.chaos.hostile import headers, inputs, post, read
from tests.chaos.hostile.bugs import planted
from tests.chaos.hostile.found import Found, try_each
from tests.chaos.hostile.headers import LIMIT_BYTES, MAILBOX, OURS, TOKEN, asked_names, finished
from tests.chaos.verdict import Measured

KINDS = (*post.KINDS, "injected parts")

_KIM = "kim@there.example"
_DELIMITERS = tuple(
    f"{before}--=_{TOKEN}_{kind}{after}"
    for before in ("", "\r\n", "\n")
    for kind in ("a", "m", "")
    for after in (
        "",
        "--",
        "\r\n",
        "--\r\n",
        "\r\nContent-Type: text/html\r\n\r\n<b>injected</b>\r\n",
    )
)
"""Of our own boundaries, as if their token had been guessed."""

_BODY_PIECES = (*inputs.ENDS_OF_DATA, *_DELIMITERS, "From the top\n", ".", "\n..\n", "x" * 1_200)
_TYPES = (
    "application/pdf", "text/html; charset=utf-8", 'text/plain; name="a; b"', "multipart/mixed",
    "message/rfc822", "a/b\r\nX-Injected: yes", "a/b; boundary=x", "", "a/b; c", "text/calendar",
)  # fmt: skip
_FILES = ("a.pdf", "Grüße.pdf", "../a", 'a".pdf', "a;b='%20.pdf", "x" * 300, "=?utf-8?q?a?=.pdf")

# --- texts and files ------------------------------------------------------------------------------


def _drafts() -> st.SearchStrategy[Draft]:
    body = inputs.text(*_BODY_PIECES).map(lambda text: text.encode("utf-8", "replace").decode())
    file = st.builds(
        AttachmentDraft,
        name=st.sampled_from(_FILES[:2]) | st.sampled_from(_FILES) | inputs.text(most=2),
        type=st.sampled_from(_TYPES[:2]) | st.sampled_from(_TYPES) | inputs.text("a/b; c=", most=2),
        content=(st.binary(max_size=200) | body.map(str.encode)).map(_encoded),
    )
    return st.builds(
        Draft,
        to=st.just((_KIM,)),
        text=body,
        html=st.none() | body,
        attachments=st.lists(file, max_size=2).map(tuple),
    )


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _normal(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if text.endswith("\n") else text + "\n"


def _judge_parts(found: Found, draft: Draft, content: bytes) -> None:
    """Note parts that are not those of the draft, to `email` and to a reader of prefixes."""
    message = message_from_bytes(content)
    leaves = [part for part in message.walk() if not part.is_multipart()]
    texts = [_normal(text) for text in (draft.text, draft.html) if text is not None]
    files = [base64.b64decode(file.content) for file in draft.attachments]
    if len(leaves) != len(texts) + len(files):
        found.note("injected parts", "email", [part.get_content_type() for part in leaves], content)
        return
    seen = [_payload(leaf) for leaf in leaves]
    if [part.decode("utf-8", "replace").replace("\r\n", "\n") for part in seen[: len(texts)]] != (
        texts
    ) or seen[len(texts) :] != files:
        found.note("altered messages", "parts", seen, texts, files)
    named = [str(leaf.get_filename()).strip() for leaf in leaves[len(texts) :]]
    # `email` takes off brackets that are part of a name.
    if named != [collapse_rfc2231_value(file.name).strip() for file in draft.attachments]:
        found.note("altered messages", "names", named, draft.attachments, content)
    if any(part.defects for part in message.walk()):
        found.note("injected parts", "defects", [part.defects for part in message.walk()], content)
    for part in message.walk():
        for name, value in part.items():
            if read.hides_control(value):
                found.note("injected headers", "decoded", name, value)
        if part.is_multipart():
            opened = re.findall(rb"(?:^|[\r\n])--" + re.escape(_boundary(part)), content)
            if len(opened) != len(part.get_payload()) + 1:
                found.note("injected parts", "prefixes", len(opened), content)


def _boundary(part: Message) -> bytes:
    return str(part.get_boundary()).encode("utf-8", "replace")


def _payload(part: Message) -> bytes:
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content


# --- raw messages ---------------------------------------------------------------------------------

_LINES = (
    "--b", "--b--", "--b ", "--bb", "--c", "--c--", "", "text", ".", "..",
    "Content-Type: text/plain", "Content-Type: multipart/alternative; boundary=c",
    'Content-Type: multipart/x; boundary="b"', "Content-Type: multipart/mixed",
    "Content-Transfer-Encoding: base64", "AA==", "From x", f"Bcc: {inputs.EVIL}", " folded", "\t",
    "Content-Type : text/plain", "é", "\x00",
)  # fmt: skip
_FIELDS = (
    "Subject: hello", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=b",
    'Content-Type: Multipart/Mixed;\r\n\tboundary="b"', "X-Campaign: 42", "Received: from a by b",
    f"Bcc: {_KIM}", f"bcc: {inputs.EVIL}", f"Resent-Bcc: {inputs.EVIL}",
    f"Cc: {_KIM}, lee@x.example", f"To : {inputs.EVIL}", " To: folded",
    f"Subject: a\r\n Bcc: {inputs.EVIL}", "Sender: x@y.example", "Message-ID: <a@b>",
    "Message-ID: a b", "Date: yesterday", "From: eve@evil.example", "X-A;b: c",
    "Content-Type: message/partial; id=x; number=1; total=2", "Return-Path: <x@y.example>", "é: x",
    'Content-Type: multipart/mixed; x="; boundary=c"; boundary=b',
    "Content-Transfer-Encoding: base64", 'Content-Type: multipart/mixed; boundary="b";boundary=c',
    "Content-Type: multipart/mixed; boundary*0=b", "Content-Type: multipart/mixed (; boundary=b)",
)  # fmt: skip
_ENDS = ("\r\n",) * 12 + ("\n", "\r", "\r\r\n")


def _raws() -> st.SearchStrategy[str]:
    def make(draw: st.DrawFn) -> str:
        fields = draw(st.lists(st.sampled_from(_FIELDS), max_size=3))
        fields += [f"From: {MAILBOX}", f"To: {_KIM}"]
        if draw(st.integers(0, 7)) == 3:
            fields.append(draw(inputs.text(*_FIELDS, most=3)))
        end = draw(st.sampled_from(("\r\n", "\r\n", "\n")))
        lines = draw(st.lists(st.sampled_from(_LINES), max_size=10))
        if draw(st.booleans()):
            opening, closing = ["--b", "", *lines[:3]], ["--b--"]
            lines = [*opening, *lines[3:], *closing]
        if draw(st.integers(0, 3)) == 2:
            end_of_data = st.sampled_from(inputs.ENDS_OF_DATA)
            lines.append(draw(end_of_data | inputs.text(*_BODY_PIECES, most=2)))
        return "".join(
            line + draw(st.sampled_from(_ENDS) if end == "\r\n" else st.just(end))
            for line in [*fields, "", *lines]
        )

    return st.composite(make)()


_TAKEN_OUT = frozenset(
    b"from sender date message-id bcc resent-bcc return-path x-mailplane-id".split()
)
"""What a raw message loses, by the reference."""


def _judge_raw(found: Found, raw: bytes, content: bytes) -> None:
    lines = raw if b"\r" in raw else raw.replace(b"\n", b"\r\n")
    fields, body = dkim.rfc822_parse(lines)
    kept = [name for name, _ in fields if name.lower() not in _TAKEN_OUT]
    read.judge_header(found, content, read.names([*kept, *(name.encode() for name in OURS)]))
    sent = content.partition(b"\r\n\r\n")[2]
    if sent.rstrip(b"\r\n") != body.rstrip(b"\r\n"):
        found.note("altered messages", "body", sent, body)
    defects = _defects(message_from_bytes(content))
    if defects:
        found.note("injected parts", "defects", defects, content)


def _defects(part: Message) -> list[object]:
    """What `email` finds wrong with the parts; a forwarded message is none of them."""
    inner = part.get_payload() if part.get_content_maintype() == "multipart" else []
    parts = [item for item in inner if isinstance(item, Message)]
    return [*part.defects, *(defect for item in parts for defect in _defects(item))]


# --- the run --------------------------------------------------------------------------------------


def measure(cases: int, twins: Sequence[str]) -> Measured:
    """Parts, messages and recipients that a body smuggled in."""
    found = Found(KINDS)
    with planted(twins), post.post() as sending:

        def check(draft: Draft) -> None:
            composed = compose(draft, token=TOKEN, limit_bytes=LIMIT_BYTES)
            if not isinstance(composed, Composed):
                headers.judge_refusal(found, composed)
                return
            found.went["sent"] += 1
            content = finished(composed)
            read.judge_header(found, content, asked_names(draft))
            _judge_parts(found, draft, content)
            sending.send(found, MAILBOX, (_KIM,), content, utf8=composed.utf8)

        def check_raw(text: str) -> None:
            raw = text.encode("utf-8", "replace")
            draft = Draft(to=(_KIM,), raw=_encoded(raw))
            composed = compose(draft, token=TOKEN, limit_bytes=LIMIT_BYTES)
            if not isinstance(composed, Composed):
                headers.judge_refusal(found, composed)
                return
            found.went["sent as raw"] += 1
            content = finished(composed)
            _judge_raw(found, raw, content)
            sending.send(found, MAILBOX, (_KIM,), content, utf8=composed.utf8)

        try_each(found, cases // 2, _drafts(), check)
        try_each(found, cases - cases // 2, _raws(), check_raw)
    return found.measured()
