"""A submission becomes bytes: its faults all at once, or a message that any mailbox can send.

What depends on the mailbox (From) and on the moment of admission (Date, Message-ID, our id) is put
in front by `finish`, so that the mailbox can be chosen after the check and before the send.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import format_datetime
from functools import lru_cache

from mailplaned.domain import mime
from mailplaned.domain.header_values import (
    control_fault,
    decode_words,
    encode_mailbox,
    encode_text,
    value_fault,
)
from mailplaned.domain.records import RecipientKind
from mailplaned.domain.windows import SECOND_US, to_datetime
from mailplaned.services.addresses import Address, BadAddress, parse_address
from mailplaned.services.attachments import AttachmentDraft, attachments
from mailplaned.services.raw_messages import KINDS, RECIPIENT_COUNT, BadRaw, read_raw

HEADER_COUNT = 100
HEADER_NAME_CHARACTERS = 76
HEADER_VALUE_CHARACTERS = 8192
SUBJECT_CHARACTERS = 2000

_HEADER_NAME = re.compile(r"[!-9;-~]+")
"""RFC 5322 3.6.8."""

_RESERVED = {
    "from": "use mailbox",
    "sender": "use mailbox",
    "to": "use to",
    "cc": "use cc",
    "bcc": "use bcc",
    "subject": "use subject",
    "reply-to": "use reply_to",
    "date": "mailplane sets it",
    "message-id": "mailplane sets it",
    "mime-version": "mailplane sets it",
    "return-path": "the last server sets it",
    "received": "servers set it",
    "dkim-signature": "mailplane signs",
}
_RESERVED_PREFIXES = {
    "content-": "mailplane sets it; use text, html or attachments",
    "x-mailplane-": "mailplane sets it",
    "resent-": "it would name other recipients; use raw",
}

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A message as submitted, unchecked. `raw` (base64) stands in place of all but to, cc, bcc."""

    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    reply_to: str | None = None
    subject: str | None = None
    text: str | None = None
    html: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[AttachmentDraft, ...] = ()
    raw: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldFault:
    """What is wrong with one field of a draft, e.g. `to[0]` or `headers.X-Campaign`."""

    field: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """A canonical address, and whether it is named as `to`, `cc` or `bcc`."""

    address: str
    kind: RecipientKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """A checked message that lacks its first four fields.

    `subject` is for the eye. `rest` holds neither From, Date, Message-ID, X-Mailplane-Id nor Bcc.
    `utf8` says that it needs SMTPUTF8. The others are set for raw messages only: the address in
    From, the whole From and Date fields with CRLF, and the Message-ID, where they are usable.
    """

    recipients: tuple[Recipient, ...]
    subject: str
    rest: bytes
    utf8: bool
    sender: str | None = None
    from_line: bytes | None = None
    date_line: bytes | None = None
    message_id: str | None = None


def compose(draft: Draft, *, token: str, limit_bytes: int) -> Composed | tuple[FieldFault, ...]:
    """The message, or all that is wrong with the draft.

    `token` is at most 40 letters and digits nobody can guess: it makes the MIME boundaries. A
    message over `limit_bytes` gets a fault whose reason begins with "too large".
    """
    sizes = _sizes(draft)
    if sum(sizes.values()) > limit_bytes:
        return (_too_large(max(sizes, key=sizes.__getitem__), limit_bytes),)
    faults: list[FieldFault] = []
    listed = _listed(draft, faults)
    if draft.raw is not None:
        return _compose_raw(draft, draft.raw, listed, faults, limit_bytes)
    if not draft.to and not draft.cc and not draft.bcc:
        faults.append(FieldFault(field="to", reason="names no recipient, nor do cc and bcc"))
    fields, reply_to = _fields(draft, listed, faults)
    _check_texts(draft, faults)
    files, wrong = attachments(draft.attachments)
    faults += [FieldFault(field=field, reason=reason) for field, reason in wrong]
    if faults:
        return tuple(faults)
    rest = mime.build(fields, text=draft.text, html=draft.html, attachments=files, token=token)
    if len(rest) > limit_bytes:
        return (_too_large(max(sizes, key=sizes.__getitem__), limit_bytes),)
    mentioned = [address.address for _, address in listed]
    return Composed(
        recipients=_unique([(kind, address.address) for kind, address in listed]),
        subject=decode_words(draft.subject or "").strip(" \t"),
        rest=rest,
        utf8=not "".join([*mentioned, *reply_to]).isascii(),
    )


def finish(
    composed: Composed,
    *,
    mailbox: str,
    name: str,
    message_id: str,
    public_id: str,
    created_at_us: int,
) -> bytes:
    """The message as `mailbox` sends it; `name` is the mailbox's display name.

    A raw message keeps its own From when that names this mailbox, and its own Date. Raises
    `MisassembledError` should `name` or an id be unfit for a header.
    """
    from_line = composed.from_line if composed.sender == mailbox else None
    return b"".join(
        [
            from_line or _from_line(name, mailbox),
            composed.date_line or _date_line(created_at_us // SECOND_US),
            mime.head([("Message-ID", message_id), ("X-Mailplane-Id", public_id)]),
            composed.rest,
        ]
    )


@lru_cache(maxsize=4096)
def _from_line(name: str, mailbox: str) -> bytes:
    return mime.head([("From", encode_mailbox(name, mailbox))])


@lru_cache(maxsize=16)
def _date_line(created_at_s: int) -> bytes:
    return mime.head([("Date", format_datetime(to_datetime(created_at_s * SECOND_US)))])


def _sizes(draft: Draft) -> dict[str, int]:
    """The least that each field adds to the message, in bytes."""
    return {
        "text": len(draft.text or ""),
        "html": len(draft.html or ""),
        "attachments": sum(len(attachment.content) for attachment in draft.attachments),
        "raw": len(draft.raw or "") * 3 // 4 - 2,
    }


def _too_large(field: str, limit_bytes: int) -> FieldFault:
    return FieldFault(field=field, reason=f"too large: the message has over {limit_bytes} bytes")


def _listed(draft: Draft, faults: list[FieldFault]) -> list[tuple[RecipientKind, Address]]:
    given: dict[RecipientKind, tuple[str, ...]] = {
        "to": draft.to,
        "cc": draft.cc,
        "bcc": draft.bcc,
    }
    if sum(map(len, given.values())) > RECIPIENT_COUNT:
        reason = f"has more than {RECIPIENT_COUNT} recipients, with cc and bcc"
        faults.append(FieldFault(field="to", reason=reason))
        return []
    listed: list[tuple[RecipientKind, Address]] = []
    for kind in KINDS:
        for index, text in enumerate(given[kind]):
            address = _address(f"{kind}[{index}]", text, faults)
            if address is not None:
                listed.append((kind, address))
    return listed


def _address(field: str, text: str, faults: list[FieldFault]) -> Address | None:
    try:
        address = parse_address(text)
    except BadAddress as error:
        faults.append(FieldFault(field=field, reason=error.reason))
        return None
    fault = value_fault(address.display, limit=HEADER_VALUE_CHARACTERS)
    if fault is not None:
        faults.append(FieldFault(field=field, reason=f"has a display name that {fault}"))
        return None
    return address


def _unique(addressed: list[tuple[RecipientKind, str]]) -> tuple[Recipient, ...]:
    """One recipient for each address, of the kind that came first."""
    kinds: dict[str, RecipientKind] = {}
    for kind, address in addressed:
        kinds.setdefault(address, kind)
    return tuple([Recipient(address=address, kind=kind) for address, kind in kinds.items()])


def _fields(
    draft: Draft, listed: list[tuple[RecipientKind, Address]], faults: list[FieldFault]
) -> tuple[list[mime.Field], list[str]]:
    """The header fields of a draft, and the addresses in Reply-To."""
    fields: list[mime.Field] = []
    for kind in ("to", "cc"):
        named = [
            encode_mailbox(a.display, a.address) for listed_as, a in listed if listed_as == kind
        ]
        value = ", ".join(named)
        fault = control_fault(value)  # one name may open the encoded-word that another closes
        if fault is not None:
            faults.append(FieldFault(field=kind, reason=fault))
        elif named:
            fields.append((kind.title(), value))
    if not fields:
        fields.append(("To", "undisclosed-recipients:;"))  # what readers expect of Bcc alone
    reply_to = None if draft.reply_to is None else _address("reply_to", draft.reply_to, faults)
    if reply_to is not None:
        fields.append(("Reply-To", encode_mailbox(reply_to.display, reply_to.address)))
    if draft.subject:
        fault = value_fault(draft.subject, limit=SUBJECT_CHARACTERS)
        if fault is None:
            fields.append(("Subject", encode_text("Subject", draft.subject)))
        else:
            faults.append(FieldFault(field="subject", reason=fault))
    fields += _headers(draft, faults)
    return fields, [] if reply_to is None else [reply_to.address]


def _headers(draft: Draft, faults: list[FieldFault]) -> list[mime.Field]:
    if len(draft.headers) > HEADER_COUNT:
        faults.append(FieldFault(field="headers", reason=f"has more than {HEADER_COUNT} fields"))
        return []
    fields: list[mime.Field] = []
    seen: set[str] = set()
    for name, value in draft.headers:
        fault = _name_fault(name) or value_fault(value, limit=HEADER_VALUE_CHARACTERS)
        if name.lower() in seen:
            fault = "is given twice"
        seen.add(name.lower())
        if fault is None:
            fields.append((name, encode_text(name, value)))
        else:
            shown = name[:HEADER_NAME_CHARACTERS].encode("unicode_escape").decode()
            faults.append(FieldFault(field=f"headers.{shown}", reason=fault))
    return fields


def _name_fault(name: str) -> str | None:
    if not _HEADER_NAME.fullmatch(name):
        return "is no header name: only printable ASCII without space and colon"
    if len(name) > HEADER_NAME_CHARACTERS:
        return f"has a name of more than {HEADER_NAME_CHARACTERS} characters"
    lower = name.lower()
    instead = _RESERVED.get(lower) or next(
        (text for prefix, text in _RESERVED_PREFIXES.items() if lower.startswith(prefix)), None
    )
    return None if instead is None else f"is reserved: {instead}"


def _check_texts(draft: Draft, faults: list[FieldFault]) -> None:
    if draft.text is None and draft.html is None:
        faults.append(FieldFault(field="text", reason="is missing, and so are html and raw"))
    for field, text in (("text", draft.text), ("html", draft.html)):
        if text is not None and not text.isascii() and _SURROGATE.search(text):
            faults.append(FieldFault(field=field, reason="holds half a surrogate pair"))


def _compose_raw(
    draft: Draft,
    raw: str,
    listed: list[tuple[RecipientKind, Address]],
    faults: list[FieldFault],
    limit_bytes: int,
) -> Composed | tuple[FieldFault, ...]:
    beside = {
        "reply_to": draft.reply_to is not None,
        "subject": draft.subject is not None,
        "text": draft.text is not None,
        "html": draft.html is not None,
        "headers": bool(draft.headers),
        "attachments": bool(draft.attachments),
    }
    faults += [
        FieldFault(field=field, reason="can't stand beside raw")
        for field, given in beside.items()
        if given
    ]
    own_recipients = not (draft.to or draft.cc or draft.bcc)
    try:
        message = read_raw(raw, with_recipients=own_recipients)
    except BadRaw as error:
        return (*faults, FieldFault(field="raw", reason=error.reason))
    addressed = [(kind, address.address) for kind, address in listed]
    recipients = _unique(list(message.recipients) if own_recipients else addressed)
    if own_recipients and not recipients:
        reason = "names no recipient, nor do cc, bcc and the headers of raw"
        faults.append(FieldFault(field="to", reason=reason))
    if len(recipients) > RECIPIENT_COUNT:
        reason = f"has more than {RECIPIENT_COUNT} recipients in its headers"
        faults.append(FieldFault(field="raw", reason=reason))
    if len(message.rest) > limit_bytes:
        faults.append(_too_large("raw", limit_bytes))
    if faults:
        return tuple(faults)
    return Composed(
        recipients=recipients,
        subject=message.subject,
        rest=message.rest,
        utf8=message.utf8 or not all(recipient.address.isascii() for recipient in recipients),
        sender=message.sender,
        from_line=message.from_line,
        date_line=message.date_line,
        message_id=message.message_id,
    )
