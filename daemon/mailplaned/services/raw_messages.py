"""A message that a sender made itself: read strictly, and kept as it is wherever that is safe.

What identifies the sender and the message is taken out, so that it can leave by any mailbox. Bcc
goes for good.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from mailplaned.domain import mime
from mailplaned.domain.header_values import control_fault, decode_words
from mailplaned.domain.records import RecipientKind
from mailplaned.services.addresses import BadAddress, parse_address

RECIPIENT_COUNT = 500
"""The most recipients of one message, as at Gmail and Exchange Online by default."""

HEADER_OCTETS = 262_144
"""The longest header block; Gmail takes 500 KB. Ours."""

KINDS: tuple[RecipientKind, ...] = ("to", "cc", "bcc")

_SINGLE = frozenset(
    b"from sender reply-to to cc bcc message-id in-reply-to references subject date"
    b" mime-version content-type content-transfer-encoding".split()
)
"""Fields that a message has once (RFC 5322 3.6, RFC 2045): of two, readers choose differently."""

_TAKEN_OUT = frozenset(
    b"from sender date message-id bcc resent-bcc return-path x-mailplane-id".split()
)
"""Ours to set. A Sender that equals From is redundant (RFC 5322 3.6.2), another is not ours."""

_MESSAGE_ID = re.compile(r"<[!-;=?A-~]{1,200}@[!-;=?A-~]{1,200}>")
_DATE = re.compile(
    r"(?:[A-Z][a-z]{2}, +)?\d{1,2} +[A-Z][a-z]{2} +\d{4} +\d\d:\d\d(?::\d\d)? +(?:[+-]\d{4}|GMT|UT)"
)
"""RFC 5322 3.3, without comments and two-digit years."""

_EMPTY_GROUP = re.compile(r'[^,<>@":;]*: *;')
_UNBALANCED = ('"', "<")
_LIST_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|<[^<>]*>|,|[^",<]+|.')


class BadRaw(ValueError):
    """The raw message can't be sent; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class RawMessage:
    """The parts of a message that a sender made.

    `recipients` are (kind, address) from its headers, if they were asked for. `from_line` and
    `date_line` are whole fields with CRLF. `rest` is all other fields, a blank line, the body.
    """

    recipients: tuple[tuple[RecipientKind, str], ...]
    sender: str
    from_line: bytes
    date_line: bytes | None
    message_id: str | None
    subject: str
    rest: bytes
    utf8: bool


def read_raw(encoded: str, *, with_recipients: bool) -> RawMessage:
    """The message in strict base64; raises `BadRaw` when it is broken or ambiguous.

    Line ends are CRLF throughout, or LF throughout, which become CRLF.
    """
    content = _content(encoded)
    try:
        fields = mime.header_fields(content)
    except ValueError as error:
        raise BadRaw(str(error)) from error
    values = _values(fields)
    fault = mime.structure_fault(content)
    if fault is not None:
        raise BadRaw(fault)
    senders = _addresses("From", values.get(b"from", ""))
    if len(senders) != 1:
        raise BadRaw(f"header From must hold one address, not {len(senders)}")
    kept = [field for field in fields if field[0].lower() not in _TAKEN_OUT]
    from_line = _line(next(field for field in fields if field[0].lower() == b"from"))
    date_lines = [_line(field) for field in fields if field[0].lower() == b"date"]
    message_id = values.get(b"message-id", "")
    recipients = (
        [
            (kind, address)
            for kind in KINDS
            for address in _addresses(kind.title(), values.get(kind.encode(), ""))
        ]
        if with_recipients
        else []
    )
    return RawMessage(
        recipients=tuple(recipients),
        sender=senders[0],
        from_line=from_line,
        date_line=date_lines[0] if _is_date(values.get(b"date", "")) else None,
        message_id=message_id if _MESSAGE_ID.fullmatch(message_id) else None,
        subject=decode_words(values.get(b"subject", "")),
        rest=_rest(kept, content),
        utf8=not all(_line(field).isascii() for field in kept) or not from_line.isascii(),
    )


def _content(encoded: str) -> bytes:
    try:
        content = base64.b64decode(encoded, validate=True)
    except ValueError as error:
        raise BadRaw("is not base64") from error
    if b"\r" not in content:
        content = content.replace(b"\n", b"\r\n")
    if not content.endswith(b"\r\n"):
        content += b"\r\n"
    fault = mime.check_wire(content)
    if fault is not None:
        raise BadRaw(fault)
    if _header_end(content) > HEADER_OCTETS:
        raise BadRaw(f"has a header of more than {HEADER_OCTETS} bytes")
    return content


def _header_end(content: bytes) -> int:
    """Where the blank line begins, or the end of a message that is all header."""
    if content.startswith(b"\r\n"):
        return 0
    found = content.find(b"\r\n\r\n")
    return len(content) if found < 0 else found + 2


def _values(fields: Sequence[tuple[bytes, bytes]]) -> dict[bytes, str]:
    """Unfolded values by lower-case name; every field is checked on the way."""
    values: dict[bytes, str] = {}
    for name, raw_value in fields:
        shown = name.decode()[:76]
        key = name.lower()
        if key in values and key in _SINGLE:
            raise BadRaw(f"has header {shown} twice")
        try:
            value = mime.unfold(raw_value).decode()
        except UnicodeDecodeError as error:
            raise BadRaw(f"header {shown} is neither ASCII nor UTF-8") from error
        fault = control_fault(value)
        if fault is not None:
            raise BadRaw(f"header {shown} {fault}")
        values.setdefault(key, value)
    return values


def _addresses(name: str, value: str) -> list[str]:
    """The canonical addresses in an address field; an empty group holds none."""
    value = value.replace("\t", " ")
    if _EMPTY_GROUP.fullmatch(value):
        return []
    texts: list[str] = []
    start = 0
    for piece in _LIST_PIECE.finditer(value):
        if piece[0] == ",":
            texts.append(value[start : piece.start()])
            start = piece.end()
        elif piece[0] in _UNBALANCED:
            raise BadRaw(f"header {name} has an unbalanced quote or bracket")
    texts.append(value[start:])
    given = [text for text in texts if text.strip(" ")]
    if len(given) > RECIPIENT_COUNT:
        raise BadRaw(f"header {name} holds more than {RECIPIENT_COUNT} addresses")
    try:
        return [parse_address(text).address for text in given]
    except BadAddress as error:
        raise BadRaw(f"header {name}: an address {error.reason}") from error


def _is_date(value: str) -> bool:
    if not _DATE.fullmatch(value):
        return False
    try:
        parsedate_to_datetime(value)
    except ValueError:
        return False
    return True


def _line(field: tuple[bytes, bytes]) -> bytes:
    return field[0] + b":" + field[1] + b"\r\n"


def _rest(kept: list[tuple[bytes, bytes]], content: bytes) -> bytes:
    rest = b"".join(map(_line, kept)) + (content[_header_end(content) :] or b"\r\n")
    if mime.header_fields(rest) != kept:
        raise mime.MisassembledError("the header fields are not those that were kept")
    return rest
