"""Text as an attacker writes it: what ends a line, a header or a body, and what hides that."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from hypothesis import strategies as st

EVIL = "evil@injected.example"
"""Nobody asks for mail to this address: where it is a recipient, it was smuggled in."""

LINE_ENDS = ("\r\n", "\n", "\r", "\r\r\n", "\n\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029")

TERMINALS = (
    "\x1b[31m",
    "\x1b[2J",
    "\x1b]0;owned\x07",
    "\x1b]52;c;AAAA\x07",
    "\x1b]8;;https://evil.example\x1b\\",
    "\x1bP1$r0m\x1b\\",
    "\x1b",
    "\x07",
    "\x08",
    "\x7f",
    "\x9b31m",
    "\x9d0;x\x9c",
    "\u202e",
    "\u2066",
    "\u200f",
    "\u061c",
    "\u200b",
    "\ufeff",
    "\U000e0041",
    "\u00ad",
    "a\u0301\u0301\u0301\u0301\u0301\u0301",
    "[bold red]",
    "[/]",
    "[/nope]",
    "[@click=app.quit]x[/]",
    "[link=https://evil.example]x[/link]",
    "\\[",
    ":warning:",
)
"""What steers a terminal, what reorders or hides text, and Rich's markup."""

HIDDEN = (
    f"=?utf-8?q?=0D=0ABcc:_{EVIL}?=",
    f"=?utf-8?q?x=0ABcc:=20{EVIL}?=",
    "=?utf-8?b?" + base64.b64encode(f"\r\nBcc: {EVIL}".encode()).decode() + "?=",
    "=?utf-16?b?" + base64.b64encode(f"\r\nBcc: {EVIL}".encode("utf-16")).decode() + "?=",
    f"=?utf-8?q?=22=2C_=3C{EVIL.replace('@', '=40')}=3E?=",
    f"=?utf-8?q?{EVIL.replace('@', '=40')}=2C?=",
    "=?utf-8?q?=1B[31m?=",
    "=?utf-7?q?+AA0ACg-Bcc:?=",
    "=?utf-8?q?a?= =?utf-8?q?=0A?=",
    "=?",
    "?=",
    "=?utf-8?b?",
    "%0d%0aBcc:%20" + EVIL,
    "\\r\\nBcc: " + EVIL,
)
"""What becomes hostile when somebody decodes it."""

SMUGGLED = (
    f"\r\nBcc: {EVIL}",
    f"\nBcc: {EVIL}",
    f"\rBcc: {EVIL}",
    f"\r\n Bcc: {EVIL}",
    f"\r\n\r\nBcc: {EVIL}",
    f"\r\nRCPT TO:<{EVIL}>\r\n",
    f"> RCPT TO:<{EVIL}",
    f">\r\nRCPT TO:<{EVIL}",
    f", {EVIL}",
    f",{EVIL}",
    f"; {EVIL}",
    f"<{EVIL}>",
    f'", <{EVIL}>, "',
    f"({EVIL})",
    f" {EVIL}",
    EVIL,
    "\r\nX-Injected: yes",
    "\nX-Injected: yes",
    "\r\nContent-Type: multipart/mixed; boundary=evil\r\n",
)
"""What becomes a field or a recipient where it is not checked."""

ENDS_OF_DATA = tuple(
    f"{before}.{after}MAIL FROM:<{EVIL}>\r\nRCPT TO:<{EVIL}>\r\nDATA\r\nSubject: smuggled\r\n\r\nx"
    for before in ("\r\n", "\n", "\r", "\r\r\n", "\n\n")
    for after in ("\r\n", "\n", "\r", "\r\r\n")
)
"""Every spelling that some server took for the end of a message (SMTP smuggling, 2023)."""

ODD = (
    "",
    " ",
    "\t",
    "  ",
    "\x00",
    "\ud800",
    "\udfff",
    "é",
    "中",
    "😀",
    "ß",
    "İ",
    "\u0308",
    ".",
    "..",
    "@",
    ":",
    ";",
    ",",
    "<",
    ">",
    "(",
    ")",
    "[",
    "]",
    '"',
    '\\"',
    "\\",
    "'",
    "=",
    "=3D",
    "--",
    "kim@there.example",
    "Kim",
    "x" * 80,
    "y" * 1_000,
    "long words " * 120,
)

PIECES: Sequence[str] = (*LINE_ENDS, *TERMINALS, *HIDDEN, *SMUGGLED, *ODD)


def text(*more: str, most: int = 6) -> st.SearchStrategy[str]:
    """One piece, `more` among them, or several with whatever characters there are in between."""
    piece = st.sampled_from((*PIECES, *more))
    plain = st.text(max_size=6) | st.text("aZ 0.-_", max_size=6)
    alone = st.tuples(st.sampled_from(("", "", "hello ")), piece).map("".join)
    return alone | st.lists(piece | plain, max_size=most).map("".join)


def mutated(seeds: st.SearchStrategy[str], *more: str) -> st.SearchStrategy[str]:
    """A fair text with something put in or over a part of it, hostile or not, or left as it is."""
    put = text(*more, most=2) | st.text("aZ0.-_+=?!#'é中 ", min_size=1, max_size=3)

    def change(draw: st.DrawFn) -> str:
        given = draw(seeds)
        for _ in range(draw(st.integers(0, 2))):
            at = draw(st.integers(0, len(given)))
            over = draw(st.integers(0, 3))
            given = given[:at] + draw(put) + given[at + over :]
        return given

    return st.composite(change)()
