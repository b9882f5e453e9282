"""Our DKIM signatures, judged by dkimpy: they verify, and what they cover can't be added to."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Iterator
from dataclasses import replace

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailplaned.domain.policy import SendingDomain
from mailplaned.ports import SecretMissing
from mailplaned.transports.dkim import DkimSigner, load_key, signed
from tests.fakes.smtp_kit import FixedSecrets

NOW_US = 1_790_000_000_000_000
DOMAIN = SendingDomain(
    name="acme.example", workspace="acme", dkim_selector="s1", dkim_secret="dkim-acme"
)
MESSAGE = (
    b"From: Ana <ana@acme.example>\r\nTo: bob@there.example\r\nSubject: hello  there\r\n"
    b"Date: Mon, 21 Sep 2026 14:13:20 +0000\r\nMessage-ID: <1@acme.example>\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/plain;\r\n\tcharset=utf-8\r\n"
    b"List-Unsubscribe: <https://acme.example/u/1>\r\n"
    b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nX-Mailplane-Id: msg_1\r\n"
    b"\r\nFirst  line \r\n.\r\n\tlast\r\n\r\n\r\n"
)
Private = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey


def pem(key: Private, password: bytes | None = None) -> str:
    hidden = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden).decode()


RSA = rsa.generate_private_key(65537, 2048)
ED25519 = ed25519.Ed25519PrivateKey.generate()
RECORDS = {
    "rsa": b"v=DKIM1; k=rsa; p="
    + base64.b64encode(
        RSA.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ),
    "ed25519": b"v=DKIM1; k=ed25519; p="
    + base64.b64encode(ED25519.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)),
}
KEYS = {"rsa": pem(RSA), "ed25519": pem(ED25519)}
LOADED = {kind: load_key(kind, value) for kind, value in KEYS.items()}


def verifies(message: bytes, kind: str) -> bool:
    """Whether dkimpy finds a good signature, with our record in place of the DNS."""
    try:
        return bool(dkim.verify(message, dnsfunc=lambda *_, **__: RECORDS[kind]))
    except dkim.DKIMException:
        return False


def sign_directly(message: bytes, kind: str) -> bytes:
    return signed(message, LOADED[kind], b"acme.example", b"s1", NOW_US // 10**6)


@pytest.fixture
def signer() -> Iterator[DkimSigner]:
    made = DkimSigner(FixedSecrets({"dkim-acme": KEYS["rsa"]}))
    yield made
    made.close()


VALUE = st.lists(
    st.sampled_from([b" ", b"  ", b"\t", b"\r\n ", b"\r\n\t", b" \t "])
    | st.text(st.characters(min_codepoint=33, exclude_categories=["Cs", "Cc"])).map(str.encode),
    max_size=8,
).map(b"".join)
NAME = st.sampled_from([b"Subject", b"TO", b"cc", b"List-Unsubscribe", b"X-Other", b"Date"])
HEADER = st.lists(st.tuples(NAME, VALUE), max_size=8)
BODY = st.lists(
    st.sampled_from([b"\r\n", b" ", b"\t", b" \r\n", b"\r\n\r\n", b".", b"\r\n.\r\n", b"=20"])
    | st.binary(max_size=20).map(lambda raw: raw.translate(None, b"\r\n\0")),
    max_size=20,
).map(b"".join)


def blank(value: bytes) -> bool:
    """A folded line of nothing but space is not legal (RFC 5322 §3.2.2), and dkimpy differs."""
    return any(not line.strip() for line in value.split(b"\r\n")[1:])


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(["rsa", "ed25519"]), header=HEADER, body=BODY)
@example(kind="rsa", header=[], body=b"")
@example(kind="ed25519", header=[(b"Subject", b"")], body=b" \t\r\n\r\n")
def test_what_we_sign_verifies(kind: str, header: list[tuple[bytes, bytes]], body: bytes) -> None:
    lines = [b"From: ana@acme.example"]
    lines += [name + b": x" + value for name, value in header if not blank(value)]
    message = b"\r\n".join(lines) + b"\r\n\r\n" + body + b"\r\n"
    ours = sign_directly(message, kind)
    assert ours.endswith(message)
    assert verifies(ours, kind)


ADDED = [
    b"From: Mallory <m@evil.example>",
    b"Subject: other",
    b"To: victim@there.example",
    b"Reply-To: m@evil.example",
    b"Date: Tue, 22 Sep 2026 14:13:20 +0000",
    b"List-Unsubscribe: <https://evil.example>",
    b"List-Unsubscribe-Post: List-Unsubscribe=One-Click",
]


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
@pytest.mark.parametrize("added", ADDED)
@pytest.mark.parametrize("message", [MESSAGE, b"From: ana@acme.example\r\n\r\nbare\r\n"])
def test_a_header_put_in_front_or_behind_breaks_the_signature(
    kind: str, added: bytes, message: bytes
) -> None:
    ours = sign_directly(message, kind)
    head, _, body = ours.partition(b"\r\n\r\n")
    assert verifies(ours, kind)
    assert not verifies(added + b"\r\n" + ours, kind)
    assert not verifies(head + b"\r\n" + added + b"\r\n\r\n" + body, kind)


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
@settings(max_examples=60, deadline=None)
@given(added=st.binary(min_size=1).filter(lambda raw: raw.strip(b" \t\r\n") != b""))
def test_text_put_behind_breaks_the_signature(kind: str, added: bytes) -> None:
    assert not verifies(sign_directly(MESSAGE, kind) + added, kind)


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, len(MESSAGE) - 1), flip=st.integers(1, 127))
def test_a_changed_letter_breaks_the_signature_or_changes_nothing_that_counts(
    at: int, flip: int
) -> None:
    """Only white space, the case of a name and unsigned headers may differ (RFC 6376 §3.4)."""
    changed = MESSAGE[:at] + bytes([MESSAGE[at] ^ flip]) + MESSAGE[at + 1 :]
    ours = sign_directly(MESSAGE, "ed25519")
    if verifies(ours[: -len(MESSAGE)] + changed, "ed25519"):

        def essence(message: bytes) -> bytes:
            kept = re.sub(rb"(?m)^X-Mailplane-Id:.*$|\s", b"", message).lower()
            return kept.replace(b"x-mailplane-id:msg_1", b"")

        unsigned = MESSAGE.index(b"X-Mailplane-Id") <= at < MESSAGE.index(b"\r\n\r\n")
        assert unsigned or essence(changed) == essence(MESSAGE)


async def test_the_signer_signs_with_the_domains_key(signer: DkimSigner) -> None:
    ours = await signer.sign(DOMAIN, MESSAGE, NOW_US)
    assert verifies(ours, "rsa")
    head = ours[: -len(MESSAGE)]
    assert b"t=1790000000;" in head
    assert b"a=rsa-sha256;" in head
    assert b"d=acme.example; s=s1;" in head.replace(b"\r\n", b"")
    assert b" l=" not in head
    assert max(map(len, head.split(b"\r\n"))) <= 78


async def test_signing_at_once_gives_each_its_own(signer: DkimSigner) -> None:
    messages = [MESSAGE + b"%d\r\n" % number for number in range(20)]
    ours = await asyncio.gather(*(signer.sign(DOMAIN, m, NOW_US) for m in messages))
    assert all(o.endswith(m) and verifies(o, "rsa") for o, m in zip(ours, messages, strict=True))


async def test_a_new_value_of_the_secret_is_used_at_once() -> None:
    secrets = FixedSecrets({"dkim-acme": KEYS["rsa"]})
    signer = DkimSigner(secrets)
    assert verifies(await signer.sign(DOMAIN, MESSAGE, NOW_US), "rsa")
    secrets.values["dkim-acme"] = KEYS["ed25519"]
    assert verifies(await signer.sign(DOMAIN, MESSAGE, NOW_US), "ed25519")
    signer.close()


async def test_keys_of_one_name_sign_each_for_its_own_workspace() -> None:
    class Owned:
        def get(self, name: str, workspace: str) -> str | None:
            return KEYS[{"acme": "rsa", "beta": "ed25519"}[workspace]]

    signer = DkimSigner(Owned())
    for workspace, kind in (("acme", "rsa"), ("beta", "ed25519"), ("acme", "rsa")):
        domain = replace(DOMAIN, workspace=workspace)
        assert verifies(await signer.sign(domain, MESSAGE, NOW_US), kind)
    signer.close()


async def test_a_domain_without_a_key_is_left_unsigned(signer: DkimSigner) -> None:
    keyless = SendingDomain(name="acme.example", workspace="acme")
    assert await signer.sign(keyless, MESSAGE, NOW_US) == MESSAGE


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "missing"),
        ("", "no unencrypted PEM"),
        ("-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----", "no unencrypted PEM"),
        (pem(RSA, b"password"), "no unencrypted PEM"),
        (pem(rsa.generate_private_key(65537, 1024)), "1024 bits"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "neither RSA nor Ed25519"),
    ],
)
async def test_a_key_that_cannot_sign_is_refused_with_clear_words(
    value: str | None, words: str
) -> None:
    signer = DkimSigner(FixedSecrets({} if value is None else {"dkim-acme": value}))
    with pytest.raises(SecretMissing, match=words) as caught:
        await signer.sign(DOMAIN, MESSAGE, NOW_US)
    assert "dkim-acme" in str(caught.value)
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None
    signer.close()
