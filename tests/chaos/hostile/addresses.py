"""Hostile texts where an address belongs, one by one and in the headers of a raw message."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from email.utils import getaddresses, parseaddr

import idna
from hypothesis import strategies as st

from mailplaned.services.compose import Composed, Draft, compose
from tests.chaos.hostile import headers, inputs, post, read
from tests.chaos.hostile.bugs import planted
from tests.chaos.hostile.found import Found, try_each
from tests.chaos.hostile.headers import LIMIT_BYTES, MAILBOX, OURS, TOKEN, finished
from tests.chaos.verdict import Measured

_FAIR = (
    "kim@there.example",
    "Kim <kim@there.example>",
    '"Kim, K." <kim@there.example>',
    "Kim+tag@THERE.Example",
    "kim@bücher.example",
    "zoë@there.example",
    "Zoë <zoë@xn--bcher-kva.example>",
    "o'neil!#$%&*+/=?^_`{|}~-@there.example",
    "=?utf-8?q?kim?=@there.example",
)
_PARTS = (
    "@there.example", "kim", "@", "<kim@there.example>", "Team: kim@there.example;", "@[127.0.0.1]",
    "<@relay.example:kim@there.example>", '"kim"@there.example', "kim%there.example@relay.example",
    "there.example!kim", "xn--", "\u3002", "．", "＠", "ａ", "\u00ad", "=?utf-8?q?=40?=",
    "undisclosed:;", " SIZE=1", "> NOTIFY=NEVER", "/", "|", "-oQ/tmp/x",
)  # fmt: skip


def _texts() -> st.SearchStrategy[str]:
    mutated = inputs.mutated(st.sampled_from(_FAIR), *_PARTS)
    return mutated | mutated | inputs.text(*_FAIR, *_PARTS, most=4)


def _asked(text: str) -> str:
    """The address in a text that was taken for one, read as plainly as can be."""
    text = text.strip(" ")
    plain = text[:-1].rpartition("<")[2] if text.endswith(">") else text
    local, _, domain = plain.rpartition("@")
    return f"{local}@{_a_labels(domain)}"


def _a_labels(domain: str) -> str:
    return domain.lower() if domain.isascii() else idna.encode(domain, uts46=True).decode()


def _listed(value: str) -> list[str]:
    """The addresses of a header's value to `email`, each once."""
    found = [address for _, address in getaddresses([value])]
    spelt = [
        f"{local}@{_a_labels(domain)}"
        for local, _, domain in (a.rpartition("@") for a in found if a)
    ]
    return list(dict.fromkeys(spelt))


def measure(cases: int, twins: Sequence[str]) -> Measured:
    """Addresses that are not those that were asked for, on the wire or in a header."""
    found = Found(post.KINDS)
    with planted(twins), post.post() as sending:

        def check_one(text: str) -> None:
            composed = compose(
                Draft(to=("lee@there.example", text), text="x"),
                token=TOKEN,
                limit_bytes=LIMIT_BYTES,
            )
            if not isinstance(composed, Composed):
                headers.judge_refusal(found, composed)
                return
            found.went["sent"] += 1
            asked = _asked(text)
            wanted = ["lee@there.example", asked]
            recipients = tuple(recipient.address for recipient in composed.recipients)
            if list(recipients) != list(dict.fromkeys(wanted)):
                found.note("altered addresses", "ours", recipients, wanted)
            if text.isascii() and parseaddr(text)[1].lower() != asked.lower():
                found.note("altered addresses", "parseaddr", parseaddr(text), text)
            content = finished(composed)
            names = read.names([b"to", b"mime-version", b"content-type"])
            names += read.names(name.encode() for name in (*OURS, "content-transfer-encoding"))
            read.judge_header(found, content, names)
            read.judge_addresses(found, content, "To", wanted)
            sending.send(found, MAILBOX, recipients, content, utf8=composed.utf8)

        def check_raw(text: str) -> None:
            value = re.sub("[\r\n\x00]", "", text).encode("utf-8", "replace").decode()
            raw = f"From: {MAILBOX}\r\nTo: lee@there.example, {value}\r\n\r\nx\r\n"
            encoded = base64.b64encode(raw.encode()).decode()
            composed = compose(Draft(raw=encoded), token=TOKEN, limit_bytes=LIMIT_BYTES)
            if not isinstance(composed, Composed):
                headers.judge_refusal(found, composed)
                return
            found.went["sent in a raw message"] += 1
            recipients = tuple(recipient.address for recipient in composed.recipients)
            wanted = _listed(f"lee@there.example, {value}")
            if len(recipients) > len(wanted):
                found.note("injected recipients", recipients, wanted, value)
            elif list(recipients) != wanted:
                found.note("altered addresses", recipients, wanted, value)
            content = finished(composed)
            read.judge_header(found, content, read.names(name.encode() for name in (*OURS, "to")))
            sending.send(found, MAILBOX, recipients, content, utf8=composed.utf8)

        try_each(found, cases - cases // 3, _texts(), check_one)
        try_each(found, cases // 3, _texts(), check_raw)
    return found.measured()
