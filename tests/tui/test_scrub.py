"""Text from outside can't reach the terminal as anything but text."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from mailplane_tui.scrub import fit, mask, mask_all, scrub


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("plain 250 2.0.0 OK", "plain 250 2.0.0 OK"),
        ("Zürich 日本 ✓", "Zürich 日本 ✓"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x1b]52;c;AAAA\x07", "\\x1b]52;c;AAAA\\x07"),
        ("a\r\nb\tc\x00", "a\\x0d\\x0ab\\x09c\\x00"),
        ("\x7f\x9b1m", "\\x7f\\x9b1m"),
        ("abc\u202edef\u2066", "abc\\u202edef\\u2066"),
        ("a\u200bb\u200d\ufeff", "a\\u200bb\\u200d\\ufeff"),
        ("line\u2028sep", "line\\u2028sep"),
        ("tag \U000e0041", "tag \\U000e0041"),
        ("no\u00a0break\u3000wide", "no break wide"),
        ("[/nope] [@click=app.quit]x[/]", "[/nope] [@click=app.quit]x[/]"),
    ],
)
def test_control_and_invisible_characters_become_visible(hostile: str, shown: str) -> None:
    assert scrub(hostile) == shown


@given(st.text())
def test_nothing_scrubbed_holds_a_control_or_format_character(text: str) -> None:
    assert not {unicodedata.category(c) for c in scrub(text)} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


def test_text_is_cut_at_its_limit() -> None:
    assert scrub("x" * 900, 10) == "xxxxxxxxx…"


def test_combining_marks_do_not_pile_up() -> None:
    assert scrub("a" + "\u0301" * 5) == "a" + "\u0301" * 3 + "\\u0301" * 2


@given(st.text(), st.integers(0, 60), st.booleans())
def test_fitted_text_has_exactly_its_width(text: str, width: int, right: bool) -> None:
    assert cell_len(fit(scrub(text), width, right=right)) == width


def test_addresses_are_masked_but_for_our_own() -> None:
    reply = "550 <kim@firm.example> rejected, from ana@acme.example"
    assert mask("kim@firm.example") == "k***@firm.example"
    assert mask_all(reply, {"ana@acme.example"}) == (
        "550 <k***@firm.example> rejected, from ana@acme.example"
    )
