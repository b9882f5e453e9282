"""DKIM signatures (RFC 6376, RFC 8463) for the domains whose key we hold.

Own canonicalisation over `cryptography`: the libraries sign RSA ten times slower. Content has only
CRLF line ends (Envelope's contract); it is signed as it goes on the wire, before dot-stuffing.
There is never an `l=`, which would let text be appended under our signature.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mailplaned.domain.policy import SendingDomain
from mailplaned.ports import SecretMissing, Secrets

OVERSIGNED = (
    b"from",
    b"subject",
    b"to",
    b"reply-to",
    b"date",
    b"list-unsubscribe",
    b"list-unsubscribe-post",
)
"""Named once more in `h=` than they occur, so that adding one breaks the signature (§8.15)."""

SIGNED = (*OVERSIGNED, b"cc", b"message-id", b"mime-version", b"content-type")
"""The headers that are signed wherever they occur."""

RSA_BITS = 2048
"""RFC 8301 §3.2 asks for it; shorter keys are refused by large receivers."""

THREADS = 2
"""RSA leaves the interpreter lock, so signing runs beside the event loop."""

LINE_CHARS = 76
"""Where a folded line of the signature ends (RFC 5322 §2.1.1 allows 78)."""

_WHITESPACE_RUN = re.compile(rb"[ \t]{2,}|\t")


@dataclass(frozen=True, slots=True)
class _Key:
    """A private key with the algorithm's name in `a=`."""

    value: str
    algorithm: str
    sign: Callable[[bytes], bytes]


class DkimSigner:
    """Implements ports.Signer with threads of its own; `close` ends them."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._keys: dict[tuple[str, str], _Key] = {}
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="dkim")

    async def sign(self, domain: SendingDomain, content: bytes, now_us: int) -> bytes:
        """The message with a signature in front; unchanged when the domain has no key.

        Raises SecretMissing when the key isn't there, isn't a PEM key of RSA or Ed25519, or is
        an RSA key of less than 2048 bits.
        """
        if domain.dkim_selector is None or domain.dkim_secret is None:
            return content
        value = self._secrets.get(domain.dkim_secret, domain.workspace)
        if value is None:
            raise SecretMissing(f'DKIM key "{domain.dkim_secret}" of {domain.name} is missing')
        named = domain.dkim_secret, domain.workspace
        key = self._keys.get(named)
        if key is None or key.value != value:
            key = self._keys[named] = load_key(domain.dkim_secret, value)
        return await asyncio.get_running_loop().run_in_executor(
            self._threads,
            signed,
            content,
            key,
            domain.name.encode("idna"),
            domain.dkim_selector.encode("idna"),
            now_us // 1_000_000,
        )

    def close(self) -> None:
        """End the threads; no signing is under way any more."""
        self._threads.shutdown()


def load_key(name: str, value: str) -> _Key:
    """The key in a PEM text; `name` is for the words of SecretMissing, which never quote it."""
    try:
        key = load_pem_private_key(value.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # `from None`: the parser's words may quote the key.
        raise SecretMissing(f'DKIM key "{name}" is no unencrypted PEM private key') from None
    if isinstance(key, Ed25519PrivateKey):
        # RFC 8463 §3: the key signs the SHA-256 of the data.
        return _Key(value, "ed25519-sha256", lambda data: key.sign(hashlib.sha256(data).digest()))
    if not isinstance(key, RSAPrivateKey):
        raise SecretMissing(f'DKIM key "{name}" is neither RSA nor Ed25519')
    if key.key_size < RSA_BITS:
        raise SecretMissing(
            f'DKIM key "{name}" has {key.key_size} bits; RSA keys need {RSA_BITS} or more'
        )
    return _Key(value, "rsa-sha256", lambda data: key.sign(data, padding.PKCS1v15(), SHA256()))


def signed(content: bytes, key: _Key, domain: bytes, selector: bytes, now_s: int) -> bytes:
    """The message with its DKIM-Signature in front."""
    head, _, body = content.partition(b"\r\n\r\n")
    names, fields = _select(_parse(head))
    body_hash = base64.b64encode(hashlib.sha256(relaxed_body(body)).digest())
    unsigned = _folded(
        b"DKIM-Signature: v=1;",
        b"a=%s;" % key.algorithm.encode(),
        b"c=relaxed/relaxed;",
        b"d=%s;" % domain,
        b"s=%s;" % selector,
        b"t=%d;" % now_s,
        *_list_of(names),
        b"bh=%s;" % body_hash,
        b"b=",
    )
    fields.append(relaxed_header(b"dkim-signature", unsigned.partition(b":")[2]))
    signature = base64.b64encode(key.sign(b"\r\n".join(fields)))
    lines = [signature[at : at + LINE_CHARS] for at in range(0, len(signature), LINE_CHARS)]
    return b"%s\r\n %s\r\n%s" % (unsigned, b"\r\n ".join(lines), content)


def relaxed_header(name: bytes, value: bytes) -> bytes:
    """A header field in relaxed form, without its line end (RFC 6376 §3.4.2)."""
    unfolded = value.replace(b"\r\n", b"")
    return name.lower() + b":" + _WHITESPACE_RUN.sub(b" ", unfolded).strip(b" ")


def relaxed_body(body: bytes) -> bytes:
    """A body in relaxed form (RFC 6376 §3.4.4)."""
    if not body.endswith(b"\r\n"):
        body += b"\r\n"
    reduced = _WHITESPACE_RUN.sub(b" ", body).replace(b" \r\n", b"\r\n")
    stripped = reduced.rstrip(b"\r\n")
    return stripped + b"\r\n" if stripped else b""


def _parse(head: bytes) -> list[tuple[bytes, bytes]]:
    """The header's fields in order: lower-case name, value still folded."""
    fields: list[tuple[bytes, bytes]] = []
    for field in re.split(rb"\r\n(?![ \t])", head):
        name, _, value = field.partition(b":")
        fields.append((name.rstrip(b" \t").lower(), value))
    return fields


def _select(header: Sequence[tuple[bytes, bytes]]) -> tuple[list[bytes], list[bytes]]:
    """What `h=` names, and the fields to hash: each name from the bottom up (RFC 6376 §5.4.2)."""
    values: dict[bytes, list[bytes]] = {}
    for name, value in header:
        values.setdefault(name, []).append(value)
    names: list[bytes] = []
    fields: list[bytes] = []
    for name in SIGNED:
        found = values.get(name, [])
        names += [name] * (len(found) + (name in OVERSIGNED))
        fields += [relaxed_header(name, value) for value in reversed(found)]
    return names, fields


def _list_of(names: Sequence[bytes]) -> list[bytes]:
    """`h=` in words that may be folded between: whitespace is free around its colons (§3.5)."""
    words = [b"h=" + names[0], *names[1:]]
    return [*(word + b":" for word in words[:-1]), words[-1] + b";"]


def _folded(*words: bytes) -> bytes:
    """The words with a space between, folded where a line gets long."""
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + 1 + len(word) > LINE_CHARS:
            lines.append(b" " + word)
        else:
            lines[-1] += b" " + word
    return b"\r\n".join(lines)
