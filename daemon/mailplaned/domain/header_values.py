"""Header values as text: what may stand in one, and how it is encoded, decoded and folded.

Nothing here may let a value reach the next line of a message, in the form it has or in the form
that a reader decodes (RFC 2047), since a recipient smuggled into a header would be neither counted
nor suppressed. Python's own `email` did let it (CVE-2024-6923).
"""

from __future__ import annotations

import base64
import binascii
import re

LINE_CHARACTERS = 78
"""A line should not be longer than this without its CRLF (RFC 5322 2.1.1)."""

WORD_CHARACTERS = 900
"""The longest run without a space in a header value: it can't be folded, so it must stay well
below the 998 octets of a line (RFC 5322 2.1.1). Ours."""

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]")
"""C0 but TAB, DEL, C1, and half surrogate pairs, which have no bytes."""

_ENCODED_WORD = re.compile(r"=\?([^?\s]*)\?([bBqQ])\?")
_ENCODED_WORD_CHARACTERS = 75
_ENCODED_LINE_CHARACTERS = 76
"""Both RFC 2047 2."""

_ENCODED_WORD_FRAME = len("=?utf-8?b??=")
_SLOW_CHARSETS = frozenset({"idna", "punycode"})
"""Codecs of Python's that are no character sets, and take time quadratic in the length."""

_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
_TOKEN_START = re.compile(r"(?<=[^ \t])(?=[ \t])")


def value_fault(value: str, *, limit: int) -> str | None:
    """Why a text can't be a header's value, or None when it can."""
    if len(value) > limit:
        return f"is longer than {limit} characters"
    fault = control_fault(value)
    if fault is not None:
        return fault
    if (
        len(value) > WORD_CHARACTERS
        and value.isascii()
        and any(len(word) > WORD_CHARACTERS for word in _TOKEN_START.split(value))
    ):
        return f"holds more than {WORD_CHARACTERS} characters without a space, too long for a line"
    return None


def control_fault(value: str) -> str | None:
    """Which control character a value shows or hides, or None. TAB is none."""
    if not value.isprintable() and _CONTROL.search(value):  # the first, since it is quicker
        return "holds a control character or line break"
    if "=?" in value and _CONTROL.search(decode_words(value)):
        return "holds an encoded-word that hides a control character or line break"
    return None


def encode_text(name: str, value: str) -> str:
    """The value of an unstructured field for the wire, still on one line.

    ASCII goes as it is, so that encoded-words of the caller's mean what they meant; other text
    becomes encoded-words. White space around the value has no meaning and goes.
    """
    value = value.strip(" \t")
    if value.isascii():
        return value
    return _encoded_words(value, first=_ENCODED_LINE_CHARACTERS - len(name) - 2)


def encode_mailbox(display: str, address: str) -> str:
    """`name <address>` for an address field (RFC 5322 3.4), still on one line.

    `address` is canonical; beyond ASCII it stays UTF-8 (RFC 6532).
    """
    display = display.strip(" ")
    if not display:
        return address
    if not display.isascii():
        room = _ENCODED_LINE_CHARACTERS - len("Reply-To: ")
        phrase = _encoded_words(display, first=room)
    elif _ATOMS.fullmatch(display):
        phrase = display
    else:
        phrase = '"' + display.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{phrase} <{address}>"


def decode_words(text: str) -> str:
    """The text with its encoded-words decoded, as leniently as any reader might.

    White space between adjacent words goes (RFC 2047 6.2) and adjacent words of one charset are
    joined before they are decoded, since senders do cut characters in two.
    """
    out: list[str] = []
    pending: tuple[str, bytes] | None = None
    at = 0
    while (word := _ENCODED_WORD.search(text, at)) is not None:
        end = text.find("?=", word.end())
        if end < 0:
            break
        charset = word[1].partition("*")[0].lower()  # a language may follow (RFC 2231 5)
        data = _word_bytes(text[word.end() : end], word[2].lower())
        between = text[at : word.start()]
        if pending is not None and not between.strip() and pending[0] == charset:
            pending = (charset, pending[1] + data)
        else:
            adjacent = pending is not None and not between.strip()
            out += [_decoded(pending), "" if adjacent else between]
            pending = (charset, data)
        at = end + 2
    return "".join([*out, _decoded(pending), text[at:]])


def fold(name: str, value: str) -> bytes:
    """The field's line or lines with CRLF, folded before existing white space only.

    Unfolding (RFC 5322 2.2.3) gives the value back exactly.
    """
    line = f"{name}: {value}"
    if len(line) <= LINE_CHARACTERS:
        return line.encode() + b"\r\n"
    lines: list[str] = []
    first, *rest = _TOKEN_START.split(value)
    line = f"{name}: {first}"
    for token in rest:
        if len(line) + len(token) > LINE_CHARACTERS:
            lines.append(line)
            line = token
        else:
            line += token
    lines.append(line)
    return "\r\n".join(lines).encode() + b"\r\n"


def _encoded_words(text: str, *, first: int) -> str:
    """Encoded-words with one space between; the first one has at most `first` characters."""
    data = text.encode()
    words: list[str] = []
    start = 0
    room = max(first, 24)
    while start < len(data):
        end = start + (room - _ENCODED_WORD_FRAME) // 4 * 3
        while end < len(data) and data[end] & 0xC0 == 0x80:  # a character is never cut (RFC 2047 5)
            end -= 1
        words.append(f"=?utf-8?b?{base64.b64encode(data[start:end]).decode()}?=")
        start = end
        room = _ENCODED_WORD_CHARACTERS
    return " ".join(words)


def _word_bytes(text: str, encoding: str) -> bytes:
    raw = text.encode("utf-8", "replace")
    if encoding == "q":
        return binascii.a2b_qp(raw, header=True)
    digits = re.sub(rb"[^A-Za-z0-9+/]", b"", raw)
    whole = digits[: len(digits) - (len(digits) % 4 == 1)]
    return binascii.a2b_base64(whole + b"===")


def _decoded(word: tuple[str, bytes] | None) -> str:
    if word is None:
        return ""
    charset, data = word
    if charset in _SLOW_CHARSETS:
        charset = "latin-1"
    try:
        return data.decode(charset, "replace")
    except (LookupError, ValueError):
        return data.decode("latin-1")
