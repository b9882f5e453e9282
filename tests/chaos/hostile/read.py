"""A message as others read it: three parsers that share nothing with ours."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from email import message_from_string, policy
from email._policybase import Policy
from email.errors import MessageError
from email.header import decode_header
from email.headerregistry import AddressHeader
from email.message import Message
from email.utils import getaddresses

import dkim

from tests.chaos.hostile.found import Found

Names = Counter[bytes]
"""Header names in small letters, and how often each."""

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def judge_header(found: Found, content: bytes, asked: Names) -> None:
    """Note every field that was not asked for, whoever reads it."""
    readings = {
        "email": names(key.encode("ascii", "replace") for key in _parsed(content)),
        "dkim": names(_dkim_names(content)),
        "lenient": names(line.partition(b":")[0] for line in _lenient_lines(content)),
    }
    for reader, seen in readings.items():
        if seen != asked:
            found.note("injected headers", reader, seen - asked, asked - seen, content)
    for name, value in _parsed(content).items():
        if hides_control(value):
            found.note("injected headers", "decoded", name, value)


def judge_addresses(found: Found, content: bytes, name: str, asked: Sequence[str]) -> None:
    """Note when a header names others than these, to a strict reader or to a lenient one."""
    values = _parsed(content).get_all(name, [])
    modern = _parsed(content, policy.default).get_all(name, [])
    readings = {
        "getaddresses": [address for _, address in getaddresses([_unfolded(v) for v in values])],
        "email.policy": [
            address.addr_spec
            for value in modern
            if isinstance(value, AddressHeader)
            for address in value.addresses
        ],
    }
    for reader, seen in readings.items():
        if len(seen) > len(asked):
            found.note("injected recipients", reader, seen, asked, values)
        elif seen != list(asked):
            found.note("altered addresses", reader, seen, asked, values)


def hides_control(value: object) -> bool:
    """Whether `email` decodes a control character out of a value."""
    return _CONTROL.search(_decoded(value)) is not None


def _parsed(content: bytes, rules: Policy = policy.compat32) -> Message:
    """The header as `email` reads it that takes bytes beyond ASCII for UTF-8 (RFC 6532)."""
    header = content.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")
    return message_from_string(header + "\r\n\r\n", policy=rules)


def names(found: Iterable[bytes]) -> Names:
    """The names as they are compared."""
    return Counter(name.lower() for name in found)


def _dkim_names(content: bytes) -> list[bytes]:
    try:
        return [name for name, _ in dkim.rfc822_parse(content)[0]]
    except dkim.MessageFormatError:
        return []


def _lenient_lines(content: bytes) -> list[bytes]:
    """The lines of the header to a reader that takes CR and LF alone for line ends."""
    lines = re.split(rb"\r\n|\r|\n", content)
    header = lines[: lines.index(b"")] if b"" in lines else lines
    return [line for line in header if not line.startswith((b" ", b"\t"))]


def _unfolded(value: object) -> str:
    """A value on one line."""
    return re.sub(r"\r?\n(?=[ \t])", "", str(value))


def _decoded(value: object) -> str:
    """A value with its encoded-words decoded by `email`."""
    text = _unfolded(value)
    try:
        return "".join(
            part if isinstance(part, str) else part.decode(charset or "ascii", "replace")
            for part, charset in decode_header(text)
        )
    except (MessageError, LookupError, ValueError):  # it can't be decoded
        return text
