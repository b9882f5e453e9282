"""Hostile text in everything that becomes a header: names, values, subjects, display names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from mailplaned.services.compose import Composed, Draft, FieldFault, compose, finish
from tests.chaos.hostile import inputs, post, read
from tests.chaos.hostile.bugs import planted
from tests.chaos.hostile.found import Found, try_each
from tests.chaos.verdict import Measured

MAILBOX = "ana@acme.example"
TOKEN = "0123456789abcdef"
LIMIT_BYTES = 1_000_000
NOW_US = 1_796_112_000_000_000

_KIM = "kim@there.example"
_NAMES = (
    "X-Campaign", "List-Unsubscribe", "In-Reply-To", "References", "Bcc", "bCC", "Bcc ", "To",
    "From", "Content-Type", "Resent-To", "X-Mailplane-Id", "Sender", "X:Y", "X Y", "X-\r\nBcc",
    "Subject\x00",
)  # fmt: skip
_VALUES = ("42", "<https://acme.example/u/1>", "a " * 60, "Grüße " * 20)


def _named(display: str) -> str:
    return f"{display} <{_KIM}>"


def _quoted(display: str) -> str:
    escaped = display.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" <{_KIM}>'


def drafts() -> st.SearchStrategy[Draft]:
    """A fair draft with something hostile in one or two of its fields."""
    fair = Draft(to=("Lee <lee@there.example>",), subject="hello", text="Hello.\n")
    header = st.tuples(st.sampled_from(_NAMES) | inputs.text(most=3), st.sampled_from(_VALUES))
    valued = st.tuples(st.just("X-Campaign"), inputs.text(*_VALUES))
    who = inputs.text("Kim", "Kim, K.", "=?utf-8?q?Kim?=").flatmap(
        lambda text: st.sampled_from([_named(text), _quoted(text)])
    )
    changes = st.one_of(
        st.fixed_dictionaries({"subject": inputs.text("hello", "Grüße")}),
        st.fixed_dictionaries({"headers": st.lists(valued | header, max_size=3).map(tuple)}),
        st.fixed_dictionaries({"to": st.lists(who, min_size=1, max_size=3).map(tuple)}),
        st.fixed_dictionaries({"cc": who.map(lambda text: (text,))}),
        st.fixed_dictionaries({"reply_to": who}),
    )

    def changed(made: list[dict[str, Any]]) -> Draft:
        return replace(fair, **{name: new for change in made for name, new in change.items()})

    return st.lists(changes, min_size=1, max_size=2).map(changed)


def finished(composed: Composed) -> bytes:
    """The message as it leaves."""
    return finish(
        composed,
        mailbox=MAILBOX,
        name="Ana Li",
        message_id=composed.message_id or "<1@acme.example>",
        public_id="msg_1",
        created_at_us=NOW_US,
    )


def judge_refusal(found: Found, faults: tuple[FieldFault, ...]) -> None:
    """Count it, and note one that says nothing or can't be said."""
    found.went["refused"] += 1
    words = [fault.field + fault.reason for fault in faults]
    if not words or not all(text.isprintable() for text in words):
        found.note("crashes", "not told why", faults)


OURS = ("from", "date", "message-id", "x-mailplane-id")
"""What every message gets."""


def asked_names(draft: Draft) -> read.Names:
    """The fields that a draft asks for, and those that every message has."""
    asked = [*OURS, "mime-version", "content-type"]
    asked += ["to"] if draft.to or not draft.cc else []
    asked += ["cc"] if draft.cc else []
    asked += ["reply-to"] if draft.reply_to is not None else []
    asked += ["subject"] if draft.subject else []
    asked += [name for name, _ in draft.headers]
    single = not draft.attachments and (draft.text is None or draft.html is None)
    asked += ["content-transfer-encoding"] if single else []
    return read.names(name.encode() for name in asked)


def measure(cases: int, twins: Sequence[str]) -> Measured:
    """What got into a message that its sender did not ask for."""
    found = Found(post.KINDS)
    with planted(twins), post.post() as sending:

        def check(draft: Draft) -> None:
            composed = compose(draft, token=TOKEN, limit_bytes=LIMIT_BYTES)
            if not isinstance(composed, Composed):
                judge_refusal(found, composed)
                return
            found.went["sent"] += 1
            content = finished(composed)
            read.judge_header(found, content, asked_names(draft))
            for name, given in (("To", draft.to), ("Cc", draft.cc), ("Reply-To", draft.reply_to)):
                wanted = [given] if isinstance(given, str) else given or ()
                read.judge_addresses(found, content, name, [address_of(text) for text in wanted])
            recipients = tuple(recipient.address for recipient in composed.recipients)
            sending.send(found, MAILBOX, recipients, content, utf8=composed.utf8)

        try_each(found, cases, drafts(), check)
    return found.measured()


def address_of(text: str) -> str:
    """All here are written as `display <address>`."""
    return text.rpartition("<")[2].removesuffix(">")
