"""Makes text from outside fit for a terminal: nothing here may let a control character through.

Subjects, provider replies, reasons and addresses are written by strangers. Whatever the dashboard
or the command line prints of them passes `scrub` first; whatever has to fit a column passes `fit`,
which counts terminal cells instead of characters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container

from rich.cells import cell_len, set_cell_size

LENGTH_LIMIT = 500
"""Characters kept of one text; a provider's reply may be as long as it likes."""

_COMBINING_RUN = 3
"""Combining marks kept in a row; more only smear over the neighbouring lines."""

_ADDRESS = re.compile(r"""([^\s<>@,;:"'()\[\]=]+)@([^\s<>@,;:"'()\[\]=]+)""")


def scrub(text: str, limit: int = LENGTH_LIMIT) -> str:
    r"""The text with every control, bidirectional or invisible character as a visible escape.

    ESC becomes `\x1b`, U+202E becomes `\u202e`; odd spaces become a space. Longer than `limit`
    characters: cut, with `…` as the last one.
    """
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    if text.isascii() and text.isprintable():
        return text
    shown: list[str] = []
    combining = 0
    for character in text:
        category = unicodedata.category(character)
        combining = combining + 1 if category in {"Mn", "Me"} else 0
        if category == "Zs":
            shown.append(" ")
        elif category[0] == "C" or category in {"Zl", "Zp"} or combining > _COMBINING_RUN:
            shown.append(_escape(ord(character)))
        else:
            shown.append(character)
    return "".join(shown)


def fit(text: str, width: int, *, right: bool = False, ellipsis: str = "…") -> str:
    """The text in exactly `width` terminal cells: padded, or cut with an ellipsis."""
    if width <= 0:
        return ""
    cells = cell_len(text)
    if cells > width:
        return set_cell_size(text, width - 1) + ellipsis
    padding = " " * (width - cells)
    return padding + text if right else text + padding


def fit_middle(text: str, width: int, *, ellipsis: str = "…") -> str:
    """The text in at most `width` cells; a longer one loses its middle, not its end."""
    if cell_len(text) <= width:
        return text
    tail = text[-(width * 2 // 3) :]
    while cell_len(tail) > width * 2 // 3:
        tail = tail[1:]
    return set_cell_size(text, max(0, width - cell_len(tail) - 1)) + ellipsis + tail


def mask(address: str) -> str:
    """An address with its local part hidden: `x***@firm.example`."""
    return _ADDRESS.sub(_masked, address)


def mask_all(text: str, keep: Container[str] = ()) -> str:
    """The text with every address in it masked, but for those in `keep`."""
    if "@" not in text:
        return text
    return _ADDRESS.sub(lambda hit: hit[0] if hit[0] in keep else _masked(hit), text)


def _masked(hit: re.Match[str]) -> str:
    return f"{hit[1][0]}***@{hit[2]}"


def _escape(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
