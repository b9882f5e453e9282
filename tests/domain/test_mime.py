from __future__ import annotations

import base64
import binascii
import re
from email import message_from_bytes, policy
from email.message import EmailMessage, Message

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailplaned.domain import mime
from mailplaned.domain.header_values import (
    control_fault,
    decode_words,
    encode_mailbox,
    encode_text,
    fold,
    value_fault,
)

TOKEN = "0123456789abcdef"
LINES = st.text("aé =.-_\t\r\n\x00F>", max_size=300) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=300
)


def normalised(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if text.endswith("\n") else text + "\n"


def decoded(part: Message) -> str:
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content.decode().replace("\r\n", "\n")


def lenient_lines(content: bytes) -> list[bytes]:
    """The header lines as a reader sees them that takes CR and LF alone for line ends."""
    lines = re.split(rb"\r\n|\r|\n", content)
    return lines[: lines.index(b"")]


@given(LINES, LINES, st.lists(st.binary(max_size=200), max_size=3))
@example("x" * 75 + " \n" + "é" * 40, "a" * 77 + " ", [])
@example(".\n..\nFrom x\n", "--=_" + TOKEN + "_a\n", [b""])
@example("=_" + TOKEN + "_", "", [])
def test_text_html_and_files_come_out_as_they_went_in(
    text: str, html: str, files: list[bytes]
) -> None:
    attachments = [
        mime.Attachment(name=f"{n}.bin", type="application/pdf", content=content)
        for n, content in enumerate(files)
    ]
    content = mime.build(
        [("Subject", "s")], text=text, html=html, attachments=attachments, token=TOKEN
    )
    assert mime.check_wire(content) is None
    assert mime.structure_fault(content) is None
    message = message_from_bytes(content)
    leaves = [part for part in message.walk() if not part.is_multipart()]
    assert decoded(leaves[0]) == normalised(text)
    assert decoded(leaves[1]) == normalised(html)
    assert [part.get_payload(decode=True) for part in leaves[2:]] == files
    assert [part.get_filename() for part in leaves[2:]] == [a.name for a in attachments]
    assert not any(part.defects for part in message.walk())
    assert all(len(line) <= 78 for line in content.split(b"\r\n"))


@pytest.mark.parametrize(
    ("text", "html", "files", "kinds"),
    [
        ("t", None, 0, ["text/plain"]),
        (None, "h", 0, ["text/html"]),
        ("t", "h", 0, ["multipart/alternative", "text/plain", "text/html"]),
        ("t", None, 1, ["multipart/mixed", "text/plain", "image/png"]),
        (
            "t",
            "h",
            2,
            [
                "multipart/mixed",
                "multipart/alternative",
                "text/plain",
                "text/html",
                "image/png",
                "image/png",
            ],
        ),
    ],
)
def test_the_structure_is_as_simple_as_the_parts_allow(
    text: str | None, html: str | None, files: int, kinds: list[str]
) -> None:
    picture = mime.Attachment(name="a.png", type="image/png", content=b"\x89PNG")
    content = mime.build([], text=text, html=html, attachments=[picture] * files, token=TOKEN)
    assert [part.get_content_type() for part in message_from_bytes(content).walk()] == kinds


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("plain\n", "7bit"),
        ("x" * 78, "7bit"),
        ("x" * 79, "quoted-printable"),
        ("é", "quoted-printable"),
        ("nul \x00", "quoted-printable"),
        ("", "7bit"),
    ],
)
def test_text_is_quoted_only_when_it_must_be(text: str, encoding: str) -> None:
    content = mime.build([], text=text, html=None, attachments=[], token=TOKEN)
    assert message_from_bytes(content)["Content-Transfer-Encoding"] == encoding


@given(LINES)
@example("a\x0bb\x0cc\x1cd\x85e\u2028f")
@example("a\r\n\r\r\nb")
def test_a_text_goes_as_it_is_when_each_line_is_short_and_printable(text: str) -> None:
    lines = normalised(text).replace("\n", "\r\n").encode()
    plain = re.fullmatch(rb"(?:[\t -~]{0,78}\r\n)*", lines) is not None
    content = mime.build([], text=text, html=None, attachments=[], token=TOKEN)
    head, _, body = content.partition(b"\r\n\r\n")
    assert head.endswith(b"7bit" if plain else b"quoted-printable")
    assert body == (lines if plain else binascii.b2a_qp(lines, istext=True))


@pytest.mark.parametrize(
    "name",
    [
        "a.pdf",
        "with space.pdf",
        'quote".pdf',
        "€ rates.pdf",
        "many words " * 15 + ".pdf",
        "x" * 250 + ".pdf",
        "=?utf-8?q?a?=.pdf",
        "a;b='%20.pdf",
    ],
)
def test_a_file_keeps_its_name(name: str) -> None:
    attachment = mime.Attachment(name=name, type="text/csv; charset=utf-8", content=b"a;b")
    content = mime.build([], text="t", html=None, attachments=[attachment], token=TOKEN)
    part = list(message_from_bytes(content).walk())[2]
    assert part.get_filename() == name
    assert part.get_content_charset() == "utf-8"


@pytest.mark.parametrize("value", ["a\r\nBcc: x@y.test", "a\nb", "a\rb", "a\r\n b", "a\r\n\r\nb"])
def test_a_value_with_a_line_break_never_becomes_a_header(value: str) -> None:
    with pytest.raises(mime.MisassembledError):
        mime.head([("X-A", value)])


@pytest.mark.parametrize("name", ["X A", "X:A", "", "X\r\nBcc", "é"])
def test_a_name_that_is_none_never_becomes_a_header(name: str) -> None:
    with pytest.raises(mime.MisassembledError):
        mime.head([(name, "v")])


def test_a_line_too_long_for_smtp_never_leaves() -> None:
    with pytest.raises(mime.MisassembledError):
        mime.build([("X-A", "x" * 999)], text="t", html=None, attachments=[], token=TOKEN)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"a\r\n", None),
        (b"\r\n", None),
        (b"x" * 998 + b"\r\n", None),
        (b"a\r\n.\r\n\r\n", None),
        (b"", "the last line does not end in CRLF"),
        (b"a", "the last line does not end in CRLF"),
        (b"x" * 998, "the last line does not end in CRLF"),
        (b"a\r\n" + b"x" * 999 + b"\r\n", "line 2 is longer than 998 octets"),
        (b"a\nb\r\n", "line 1 holds an LF without CR"),
        (b"a\r\nb\rc\r\n", "line 2 holds a CR without LF"),
        (b"a\r\n\r\r\n", "line 2 holds a CR without LF"),
        (b"a\r", "line 1 holds a CR without LF"),
        (b"a\r\n\x00\r\n", "line 2 holds a NUL"),
    ],
)
def test_only_what_smtp_can_carry_passes(content: bytes, fault: str | None) -> None:
    assert mime.check_wire(content) == fault


@given(st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b"\x00", b"a", b"x" * 500])).map(b"".join))
def test_the_wire_check_agrees_with_its_definition(content: bytes) -> None:
    lines = content.split(b"\r\n")
    clean = all(len(line) <= 998 and not set(line) & set(b"\r\n\x00") for line in lines)
    assert (mime.check_wire(content) is None) == (clean and len(lines) > 1 and lines[-1] == b"")


def test_fields_are_split_with_their_folds() -> None:
    content = b"A: 1\r\nB:\t2\r\n  3\r\nC:\r\n\r\nD: body\r\n"
    assert mime.header_fields(content) == [(b"A", b" 1"), (b"B", b"\t2\r\n  3"), (b"C", b"")]
    assert mime.unfold(b"\t2\r\n  3") == b"2  3"


@pytest.mark.parametrize(
    "content",
    [
        b" a: b\r\n",
        b"From x\r\n",
        b"A : b\r\n",
        b": b\r\n",
        b"A: b",
        b"A: b\nB: c\r\n",
        b"A: b\r\n \r\nB: c\r\n",
        b"A: b\r\n\t\r\n\r\n",
        b"\xc3\xa9: b\r\n",
    ],
)
def test_a_header_block_with_a_foreign_line_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="malformed"):
        mime.header_fields(content)


TWO_WAYS = (
    b"Content-Type: multipart/x; b=c; boundary=a\r\n\r\n--a\r\n\r\n--c\r\n\r\n--c--\r\n--a--\r\n"
)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"A: b\r\n\r\ntext\r\n", None),
        (b"\r\ntext\r\n", None),
        (b"Content-Type: multipart/mixed\r\n\r\n--a\r\n\r\n--a--\r\n", "without a boundary"),
        (b"Content-Type: multipart/mixed; boundary=a\r\n\r\ntext\r\n", "without parts"),
        (b"Content-Type: multipart/mixed; boundary=a\r\n", "without parts"),
        (b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a--\r\n", "without parts"),
        (b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\nb\r\n", "does not end"),
        (b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nb\r\n--a--\r\n", "malformed"),
        (b'Content-Type: Multipart/x;\r\n Boundary="a b"\r\n\r\n--a b\r\n\r\n--a b--\r\n', None),
        (b"Content-Type: multipart/x; boundary=a\r\n\r\n--a\r\n--a--\r\n", "does not end"),
        (b"Content-Type: a/b\r\nContent-type: multipart/x\r\n\r\n", "two Content-Type"),
        (TWO_WAYS.replace(b"b=", b"boundary="), "two boundaries"),
        (TWO_WAYS.replace(b"b=c", b'x="; boundary=c"'), "two boundaries"),
        (TWO_WAYS.replace(b"=a\r\n", b"=a\r\n b\r\n"), "boundary and more"),
        (TWO_WAYS.replace(b"=a\r\n", b'="a"b\r\n'), "boundary and more"),
        (TWO_WAYS.replace(b"=a\r\n", b'="a" ;\r\n d=e\r\n'), None),
        (TWO_WAYS, None),
        (b"Content-Transfer-Encoding: 8bit\r\n" + TWO_WAYS, None),
        (b"Content-Transfer-Encoding: Base64\r\n" + TWO_WAYS, "multipart that is encoded"),
        (
            b"Content-Type: multipart/mixed; boundary=a\r\n\r\n"
            + b"--a\r\n\r\nb\r\n" * 101
            + b"--a--\r\n",
            "more than 100 parts",
        ),
    ],
)
def test_a_broken_mime_structure_is_named(body: bytes, fault: str | None) -> None:
    found = mime.structure_fault(body)
    assert (found is None) if fault is None else (found is not None and fault in found)


def nested(levels: int) -> bytes:
    content = b"Content-Type: text/plain\r\n\r\nend\r\n"
    for level in range(levels):
        name = b"b%d" % level
        opening = b"Content-Type: multipart/mixed; boundary=" + name + b"\r\n\r\n--" + name
        content = opening + b"\r\n" + content + b"\r\n--" + name + b"--\r\n"
    return content


def test_a_thousand_nested_multiparts_are_refused_without_recursion() -> None:
    assert mime.structure_fault(nested(20)) is None
    assert mime.structure_fault(nested(21)) == "nests deeper than 20 levels"
    assert mime.structure_fault(nested(2000)) == "nests deeper than 20 levels"


PIECES = [b"--a", b"--a--", b"--b", b"--b--", b"", b"text", b"Content-Type: text/plain"]
INNER = b"Content-Type: multipart/mixed; boundary=b"


@given(st.lists(st.sampled_from([*PIECES, INNER]), max_size=14))
def test_whatever_the_standard_parser_finds_broken_is_refused(lines: list[bytes]) -> None:
    head = b"Content-Type: multipart/mixed; boundary=a\r\n\r\n"
    content = head + b"\r\n".join([*lines, b""])
    found = {
        type(defect).__name__
        for part in message_from_bytes(content).walk()
        for defect in part.defects
    }
    if found:
        assert mime.structure_fault(content) is not None


@given(LINES.filter(lambda text: control_fault(text) is None and "=?" not in text))
def test_text_survives_encoding_folding_and_another_parser(text: str) -> None:
    value = encode_text("Subject", text)
    lines = fold("Subject", value)
    assert all(len(line) <= 76 or text.isascii() for line in lines.split(b"\r\n"))
    assert lines.isascii()
    assert decode_words(mime.unfold(lines.partition(b":")[2]).decode()) == text.strip(" \t")
    if not text.isascii():
        message = message_from_bytes(lines + b"\r\n", policy=policy.default)
        assert str(message["Subject"]).strip() == text.strip(" \t").strip()


@given(st.text("é中😀", min_size=20, max_size=200))
def test_each_encoded_word_holds_whole_characters(text: str) -> None:
    words = encode_text("Subject", text).split(" ")
    assert all(len(word) <= 75 for word in words)
    alone = [base64.b64decode(word[10:-2]).decode() for word in words]
    assert "".join(alone) == text


@given(st.text("a b\t", min_size=1, max_size=600))
def test_folding_is_undone_by_unfolding(text: str) -> None:
    value = text.strip(" \t")
    lines = fold("X-Name", value)
    assert lines.replace(b"\r\n", b"") == b"X-Name: " + value.encode()
    assert all(line.strip() for line in lines.split(b"\r\n")[:-1])


@pytest.mark.parametrize(
    ("display", "wire"),
    [
        ("", "kim@example.org"),
        ("Kim", "Kim <kim@example.org>"),
        ("Kim, K.", '"Kim, K." <kim@example.org>'),
        ('a "b" \\', '"a \\"b\\" \\\\" <kim@example.org>'),
        ("Zoë", "=?utf-8?b?Wm/Dqw==?= <kim@example.org>"),
    ],
)
def test_a_display_name_is_quoted_or_encoded(display: str, wire: str) -> None:
    assert encode_mailbox(display, "kim@example.org") == wire
    parsed = EmailMessage()
    parsed["To"] = wire
    assert parsed["To"].addresses[0].display_name == display
    assert parsed["To"].addresses[0].addr_spec == "kim@example.org"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("none", "none"),
        ("=?utf-8?q?a_b=C3=A9?=", "a bé"),
        ("x =?utf-8?b?YQ==?= =?UTF-8?B?Yg==?= y", "x ab y"),
        ("=?utf-8?q?=C3?= =?utf-8?q?=A9?=", "é"),
        ("=?utf-8*en?q?a?=", "a"),
        ("=?utf-8?b?YQ?=", "a"),
        ("=?utf-8?q?open", "=?utf-8?q?open"),
        ("=?nonsense?q?a?=", "a"),
        ("=?iso-2022-jp?b?GyRCJCIbKEI=?=", "あ"),
        ("=?idna?q?xn--a?=", "xn--a"),
    ],
)
def test_encoded_words_are_read_leniently(text: str, plain: str) -> None:
    assert decode_words(text) == plain


@pytest.mark.parametrize(
    "value",
    [
        "a\r\nb",
        "a\nb",
        "a\rb",
        "a\x00b",
        "a\x1bb",
        "a\x7fb",
        "a\x85b",
        "a\x9bb",
        "a\ud800b",
        "=?utf-8?q?a=0ABcc=3A_e=40x?=",
        "=?utf-8?q?a=0d?=",
        "=?utf-8?Q?a=00?=",
        "=?utf-8?b?YQpCY2M6IGU=?=",
        "=?utf-8?b?YQpCY2M6IGU?=",
        "=?us-ascii?q?a?= =?us-ascii?q?=0A?=",
        "=?utf-8?q?a =0A b?=",
        "=?utf-8?q?a?b=0A?=",
        "=?utf-8?q?=C2?= =?utf-8?q?=85?=",
        "=?utf-16-be?b?AAo=?=",
        "=?unicode_escape?q?\\n?=",
        "=??q?=0A?=",
        "é =?utf-8?q?=0A?=",
        "x" * 901,
        "a" + " " * 901 + "b",
        "x " * 5000,
    ],
)
def test_a_hostile_value_is_refused(value: str) -> None:
    assert value_fault(value, limit=8192) is not None


@pytest.mark.parametrize("value", ["", "a\tb", "=?utf-8?q?a?=", "\u202eabc", "=?", "é" * 4000])
def test_an_ordinary_value_is_not(value: str) -> None:
    assert value_fault(value, limit=8192) is None
