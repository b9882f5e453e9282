"""A line of the screen as plain data: pieces of text, each with the role that gives it a style.

Formatters make lines, widgets paint them. A role is never markup, so no text from outside can
become a style or an action.
"""

from __future__ import annotations

from enum import StrEnum

from rich.cells import cell_len

from mailplane_tui.scrub import fit


class Role(StrEnum):
    """What a piece of text means; the theme says what it looks like."""

    TEXT = "text"
    DIM = "dim"
    STRONG = "strong"
    TITLE = "title"
    KEY = "key"
    READY = "ready"
    NEAR = "near"
    FULL = "full"
    PAUSED = "paused"
    HELD = "held"
    ERROR = "error"
    SENT = "sent"
    UNKNOWN = "unknown"
    WAITING = "waiting"
    FREE = "free"


Span = tuple[str, Role]
Line = tuple[Span, ...]

BLANK: Line = ()


def line(*pieces: str | Span) -> Line:
    """A line from pieces; a bare string has the role TEXT."""
    return tuple((piece, Role.TEXT) if isinstance(piece, str) else piece for piece in pieces)


def width_of(spans: Line) -> int:
    """The line's width in terminal cells."""
    return sum(cell_len(text) for text, _ in spans)


def plain(spans: Line) -> str:
    """The line's text without roles."""
    return "".join(text for text, _ in spans)


def fit_line(spans: Line, width: int) -> Line:
    """The line in exactly `width` cells: padded, or cut with an ellipsis."""
    room = width
    kept: list[Span] = []
    for text, role in spans:
        cells = cell_len(text)
        if cells > room:
            kept.append((fit(text, room), role))
            return tuple(kept)
        kept.append((text, role))
        room -= cells
    kept.append((" " * room, Role.TEXT))
    return tuple(kept)


def spread(left: Line, right: Line, width: int) -> Line:
    """One line with `left` at its left and `right` at its right edge; `left` gives way."""
    room = max(0, width - width_of(right))
    return fit_line((*fit_line(left, room), *right), width)
