"""One address in, the exact bytes of the wire out.

Suppression, caps, the store and the SMTP envelope must all see the same string, so an address is
made canonical here once, and whatever a lenient parser could read in two ways is refused.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from mailplaned.domain.header_values import decode_words

ADDRESS_BYTES = 254
"""The longest address: a path of 256 octets less its brackets (RFC 5321 4.5.3.1.3)."""

DISPLAY_CHARACTERS = 255
"""The longest display name; our limit."""

_TEXT_CHARACTERS = 1024
_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
_LABEL = r"(?!..--)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_TOP_LABEL = r"(?!..--)(?:[A-Za-z0-9][A-Za-z0-9-]{0,61})?[A-Za-z]"
_PLAIN = re.compile(rf"({_ATEXT}+(?:\.{_ATEXT}+)*)@((?:{_LABEL}\.)+{_TOP_LABEL})")
"""A dot-atom at host names (RFC 5322 3.2.3, RFC 1123 2.1) that needs no IDNA."""

_CONTROL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""C0, DEL, C1, what reorders or breaks lines (Unicode TR 36 and 9), and half surrogate pairs."""

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_SPECIALS = re.compile(r'[()<>\[\]:;@\\,"]')
"""What a display name holds in quotes only (RFC 5322 3.2.3); "." is common without, and allowed."""


class BadAddress(ValueError):
    """The text is not exactly one address that can be sent to; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A display name, empty when there is none, and the address as it goes on the wire.

    `address` keeps its local part as given; its domain is lower-case, in A-labels (RFC 5890).
    """

    display: str
    address: str

    @property
    def utf8(self) -> bool:
        """Whether only a server with SMTPUTF8 can take it (RFC 6531)."""
        return not self.address.isascii()


@lru_cache(maxsize=8192)
def parse_address(text: str) -> Address:
    """The one address in `kim@example.org`, `Kim <kim@…>` or `"Kim, K." <kim@…>`.

    Raises `BadAddress` for anything else: lists, groups, comments, routes, quoted local parts,
    address literals, single-label domains, encoded-words, control and bidirectional characters.
    """
    if len(text) > _TEXT_CHARACTERS:
        raise BadAddress(f"is longer than {_TEXT_CHARACTERS} characters")
    if _CONTROL.search(text):
        raise BadAddress("holds a control or bidirectional character")
    text = text.strip(" ")
    if not text:
        raise BadAddress("is empty")
    if not text.endswith(">"):
        return Address(display="", address=_canonical(text))
    head, bracket, spec = text[:-1].rpartition("<")
    if not bracket:
        raise BadAddress("has a closing bracket without an opening one")
    return Address(display=_display(head.strip(" ")), address=_canonical(spec))


def domain_of(address: str) -> str:
    """The domain of a canonical address."""
    return address.rpartition("@")[2]


def suppression_key(address: str) -> str:
    """What a canonical address is suppressed under: lower-case, in Unicode form NFC.

    A server may tell `Kim` from `kim`, but a person who wants no mail doesn't (RFC 5321 2.4 asks
    senders to keep case, so the wire keeps it).
    """
    return unicodedata.normalize("NFC", address.lower())


def _display(head: str) -> str:
    if head.startswith('"'):
        quoted = _QUOTED.fullmatch(head)
        if quoted is None:
            raise BadAddress("has a display name with unbalanced quotes")
        head = re.sub(r"\\(.)", r"\1", quoted[1])
    elif _SPECIALS.search(head):
        raise BadAddress('must be one address; a display name with ()<>[]:;@\\," needs quotes')
    if len(head) > DISPLAY_CHARACTERS:
        raise BadAddress(f"has a display name of more than {DISPLAY_CHARACTERS} characters")
    return head


def _canonical(spec: str) -> str:
    if "=?" in spec and decode_words(spec) != spec:
        raise BadAddress("holds an encoded-word, which some servers decode to another address")
    plain = _PLAIN.fullmatch(spec) if len(spec) <= ADDRESS_BYTES else None
    if plain is not None:
        return f"{plain[1]}@{plain[2].lower()}"
    local, at, domain = spec.rpartition("@")
    if not at:
        raise BadAddress("has no @")
    if re.search(r'[,;:()<>"\[\]\\@\s]', local):
        raise BadAddress("must be one plain address: no list, group, comment, route or quotes")
    canonical = f"{local}@{_a_labels(local, domain)}"
    if len(canonical.encode()) > ADDRESS_BYTES:
        raise BadAddress(f"is longer than {ADDRESS_BYTES} bytes")
    return canonical


def _a_labels(local: str, domain: str) -> str:
    """The domain in A-labels. email-validator judges both parts, but for one rule of its own.

    It refuses special-use domains such as `.test` and `.local`, which relays of one's own do
    serve, so it is shown `.example` in their place.
    """
    stem, dot, last = domain.rpartition(".")
    special = dot + last.lower() if stem and last.lower() in SPECIAL_USE_DOMAIN_NAMES else ""
    shown = f"{stem}.example" if special else domain
    try:
        result = validate_email(f"{local}@{shown}", check_deliverability=False)
    except EmailNotValidError as error:
        raise BadAddress(f"is not valid: {error}") from error
    return (
        result.ascii_domain.removesuffix(".example") + special if special else result.ascii_domain
    )
