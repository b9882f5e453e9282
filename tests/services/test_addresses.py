from __future__ import annotations

import contextlib

import pytest
from aiosmtplib.email import quote_address
from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given
from hypothesis import strategies as st

from mailplaned.services import addresses
from mailplaned.services.addresses import (
    Address,
    BadAddress,
    domain_of,
    parse_address,
    suppression_key,
)

GOOD = [
    ("kim@example.org", "", "kim@example.org"),
    ("  kim@example.org ", "", "kim@example.org"),
    ("<kim@example.org>", "", "kim@example.org"),
    ("Kim <kim@example.org>", "Kim", "kim@example.org"),
    ("Kim K. Li <kim@example.org>", "Kim K. Li", "kim@example.org"),
    ('"Kim, K." <kim@example.org>', "Kim, K.", "kim@example.org"),
    (r'"a \"b\" \\ <x@y.test>" <kim@example.org>', r'a "b" \ <x@y.test>', "kim@example.org"),
    ("Zoë <zoe@example.org>", "Zoë", "zoe@example.org"),
    ("Kim+tag@EXAMPLE.Org", "", "Kim+tag@example.org"),
    ("kim@bücher.example", "", "kim@xn--bcher-kva.example"),
    ("kim@BÜCHER.test", "", "kim@xn--bcher-kva.test"),
    ("kim@xn--bcher-kva.example", "", "kim@xn--bcher-kva.example"),
    ("zoë@example.org", "", "zoë@example.org"),
    ("kim@host.invalid", "", "kim@host.invalid"),
    ("kim@host.test", "", "kim@host.test"),
    ("kim@office.local", "", "kim@office.local"),
    ("zoë@office.LOCAL", "", "zoë@office.local"),
    ("o'neil!#$%&*+/=?^_`{|}~-@example.org", "", "o'neil!#$%&*+/=?^_`{|}~-@example.org"),
]

BAD = [
    "",
    " ",
    "kim",
    "@example.org",
    "kim@",
    "kim@localhost",
    "kim@test",
    "kim@.test",
    "kim@example.org.",
    "kim@example..org",
    "kim@-a.example",
    "kim@ab--c.example",
    "kim@xn--a.example",
    "kim@1.2.3.4",
    "kim@[1.2.3.4]",
    "kim@[IPv6:::1]",
    ".kim@example.org",
    "kim.@example.org",
    "k..m@example.org",
    '"kim"@example.org',
    '"kim k"@example.org',
    "kim k@example.org",
    "kim@example.org, li@example.org",
    "a@b, c@d",
    "a@b.test,c@d.test",
    "Kim, K. <kim@example.org>",
    "kim@example.org <li@example.org>",
    "Kim <kim@example.org>, Li <li@example.org>",
    "Kim <kim@example.org> Li",
    "<kim@example.org> <li@example.org>",
    "<<kim@example.org>>",
    "kim@example.org>",
    "<kim@example.org",
    "Team: kim@example.org;",
    "Team: Kim <kim@example.org>;",
    "Team: <kim@example.org>",
    "undisclosed-recipients:;",
    "kim@example.org (Kim)",
    "(Kim) kim@example.org",
    "Kim (K) <kim@example.org>",
    "<@relay.test:kim@example.org>",
    "<@a.test,@b.test:kim@example.org>",
    "kim@example.org@example.net",
    '"Kim <kim@example.org>',
    '"Kim\\" <kim@example.org>',
    '"a\r\nRSET"@x.test',
    "b@x.test\r\nRCPT TO:<c@x.test>",
    "kim@example.org\n",
    "kim\t@example.org",
    "k\x00m@example.org",
    "k\x1bm@example.org",
    "k\x7fm@example.org",
    "k\x9bm@example.org",
    "Kim\x1b[31m <kim@example.org>",
    "Kim\r\nBcc: x@y.test <kim@example.org>",
    "Kim\u202e <kim@example.org>",
    "k\u202em@example.org",
    "k\u200bm@example.org",
    "k\u2028m@example.org",
    "k\ud800m@example.org",
    "kim@exa\u3002\u3002mple.org",
    "kim@example.org SIZE=1",
    "=?utf-8?q?kim?=@example.org",  # some servers decode it, and then it is Kim's
    "=?utf-8?b?a2ltQGV4YW1wbGUub3Jn?=@example.net",
    "Kim <a=?x?Q?=40b?=@example.org>",
    "k" * 243 + "@example.org",
    "ö" * 130 + "@example.org",
    "kim@" + "a" * 64 + ".example",
    "k" * 100_000,
    "<" * 100_000,
    "K" * 300 + " <kim@example.org>",
]


@pytest.mark.parametrize(("text", "display", "address"), GOOD)
def test_one_address_is_read_with_its_display_name(text: str, display: str, address: str) -> None:
    assert parse_address(text) == Address(display=display, address=address)


@pytest.mark.parametrize("text", BAD)
def test_what_could_be_read_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(BadAddress) as caught:
        parse_address(text)
    assert caught.value.reason.isprintable()
    assert len(caught.value.reason) < 1000


@pytest.mark.parametrize("text", [text for text, _, _ in GOOD])
def test_a_canonical_address_is_its_own_canonical_form(text: str) -> None:
    address = parse_address(text).address
    assert parse_address(address).address == address


@pytest.mark.parametrize("text", [text for text, _, _ in GOOD])
def test_the_smtp_client_puts_the_checked_address_on_the_wire(text: str) -> None:
    address = parse_address(text).address
    assert quote_address(address) == f"<{address}>"


def test_only_a_local_part_beyond_ascii_needs_smtputf8() -> None:
    assert parse_address("zoë@example.org").utf8
    assert not parse_address("Zoë <zoe@bücher.example>").utf8


def test_the_longest_address_has_254_bytes() -> None:
    assert len(parse_address("k" * 242 + "@example.org").address) == 254


def test_a_suppression_covers_every_spelling_of_case_and_composition() -> None:
    assert suppression_key("Kim@example.org") == suppression_key("kIM@example.org")
    assert suppression_key("zo\u00eb@example.org") == suppression_key("Zoe\u0308@example.org")
    assert domain_of("kim@example.org") == "example.org"


ALPHABET = "aB9.-_+@ \"'<>(),;:\\[]\r\n\t\x00\x1b\x7fé\u0308\u202e\u3002ß中xn"


@given(st.text(ALPHABET, max_size=40) | st.text(max_size=40))
@example("a@b.c--d.example")
def test_any_text_is_refused_or_survives_the_smtp_client_unchanged(text: str) -> None:
    with contextlib.suppress(BadAddress):
        address = parse_address(text).address
        assert quote_address(address) == f"<{address}>"
        assert parse_address(address) == Address(display="", address=address)
        assert len(address.encode()) <= 254
        assert not set(address) & set('\r\n\t \x00\x1b\x7f<>",')
        assert address.partition("@")[2].isascii()


DOMAIN = st.text("aZ0-.", min_size=1, max_size=30).map(lambda stem: stem + ".example")
LOCAL = st.text("aZ0.!#'+-_~", min_size=1, max_size=30)


@given(LOCAL, st.text("aZ0-.x", min_size=1, max_size=30) | DOMAIN)
def test_the_short_cut_for_plain_addresses_agrees_with_the_library(local: str, domain: str) -> None:
    text = f"{local}@{domain}"
    plain = addresses._PLAIN.fullmatch(text)
    try:
        ascii_domain = validate_email(text, check_deliverability=False).ascii_domain
    except EmailNotValidError:
        assert plain is None
    else:
        assert plain is not None or "xn--" in ascii_domain
        assert parse_address(text).address == f"{local}@{ascii_domain}"
