"""The signs on the screen, in two sets: with Unicode, and in ASCII for other locales."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mailplane_tui.lines import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Glyphs:
    """One set of signs. `states` has one per mailbox state; it never stands without its word."""

    ascii_only: bool
    states: Mapping[str, str]
    sent: str
    unknown: str
    waiting: str
    free: str
    cursor: str
    selected: str
    pending: str
    none: str
    live: str
    lost: str
    follow: str
    frozen: str
    rule: str
    ellipsis: str
    dot: str
    up: str
    down: str


UNICODE: Final = Glyphs(
    ascii_only=False,
    states={"ready": "●", "near": "▲", "full": "◆", "paused": "‖", "held": "■", "error": "✖"},
    sent="█", unknown="▓", waiting="▒", free="·", cursor="▌", selected="x", pending="…", none="—",
    live="●", lost="✖", follow="▶", frozen="▮▮", rule="─", ellipsis="…", dot="·", up="▴", down="▾",
)  # fmt: skip

ASCII: Final = Glyphs(
    ascii_only=True,
    states={"ready": "o", "near": "^", "full": "#", "paused": "=", "held": "!", "error": "x"},
    sent="#", unknown="?", waiting="+", free=".", cursor=">", selected="x", pending="~", none="-",
    live="o", lost="x", follow=">", frozen="||", rule="-", ellipsis="~", dot="-", up="^", down="v",
)  # fmt: skip

STATE_ROLES: Final = {
    "ready": Role.READY,
    "near": Role.NEAR,
    "full": Role.FULL,
    "paused": Role.PAUSED,
    "held": Role.HELD,
    "error": Role.ERROR,
}

SEVERITY: Final = {"error": 0, "held": 1, "paused": 2, "full": 3, "near": 4, "ready": 5}
"""Most in need of a person first."""


def glyphs_for(encoding: str) -> Glyphs:
    """The set for a locale's encoding: Unicode only where it is UTF-8."""
    return UNICODE if encoding.replace("-", "").lower() == "utf8" else ASCII
