"""Which mailboxes a workspace's list shows and in which order; cursor and selection by address.

Pure: rows come in as arguments. The cursor is pinned to an address, never to a line, so that a
list that sorts itself anew never puts another mailbox under a person's finger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from mailplane_tui.glyphs import SEVERITY
from mailplane_wire.resources import CapView, MailboxView

Matcher = Callable[[MailboxView], bool]
SortKey = Callable[[MailboxView], tuple[object, ...]]

FILTER_KEYS: Final[dict[str, Callable[[MailboxView], Iterable[str]]]] = {
    "state": lambda row: (row.state,),
    "domain": lambda row: (row.domain,),
    "path": lambda row: row.paths,
    "provider": lambda row: (row.provider,),
    "account": lambda row: (row.account,),
    "workspace": lambda row: (row.workspace,),
}


class FilterError(ValueError):
    """A filter that means nothing; the text says what would."""


def parse_filter(text: str) -> Matcher:
    """What a filter lets through: every word has to match.

    `text` is part of the address, name or reason; `key:a,b` is one of the values; `!` in front
    turns a word round. Raises FilterError for a key that doesn't exist.
    """
    tests = [_word(word) for word in text.lower().split() if word != "!"]
    if not tests:
        return lambda _: True

    def matches(row: MailboxView) -> bool:
        return all(test(row) for test in tests)

    return matches


def _word(word: str) -> Matcher:
    if word.startswith("!"):
        inner = _word(word[1:])
        return lambda row: not inner(row)
    key, colon, values = word.partition(":")
    if not colon:
        return lambda row: (
            word in row.address.lower()
            or word in row.name.lower()
            or word in (row.state_reason or "").lower()
        )
    if key not in FILTER_KEYS:
        raise FilterError(f"no filter key '{key}'; there are {', '.join(FILTER_KEYS)}")
    read = FILTER_KEYS[key]
    wanted = [value for value in values.split(",") if value]
    return lambda row: any(value.lower().startswith(want) for value in read(row) for want in wanted)


def tightest(row: MailboxView, window: str) -> CapView | None:
    """The cap of that window (`hour`, `day`, `week`) that leaves the least; None without one."""
    caps = [cap for cap in row.caps if cap.window == window]
    return min(caps, key=lambda cap: (cap.free, cap.free / max(1, cap.limit)), default=None)


def used_share(cap: CapView | None) -> float:
    """How much of a cap is taken, from 0 to 1, what waits included."""
    return 0.0 if cap is None else 1 - cap.free / max(1, cap.limit)


def bounce_share(row: MailboxView) -> float:
    """Bounces per sent recipient over seven days; 0 where nothing was sent."""
    return row.bounced_7d / row.sent_7d if row.sent_7d else 0.0


SORTS: Final[dict[str, tuple[str, SortKey]]] = {
    "state": ("state, most severe first", lambda row: (SEVERITY.get(row.state, 0), row.address)),
    "address": ("address", lambda row: (row.address,)),
    "today": ("today, fullest first", lambda r: (-used_share(tightest(r, "day")), r.address)),
    "week": ("week, fullest first", lambda r: (-used_share(tightest(r, "week")), r.address)),
    "waiting": ("waiting, most first", lambda row: (-row.waiting, row.address)),
    "bounces": ("bounces, most first", lambda row: (-bounce_share(row), row.address)),
    "next": ("next slot, soonest first", lambda row: (row.next_slot_at or "~", row.address)),
}
"""Name → what it says on screen, and the order."""


class Fleet:
    """One workspace's list: filter, order, cursor and selection. Kept while another is shown."""

    def __init__(self) -> None:
        self.filter = ""
        self.filter_fault: str | None = None
        self.sort = "state"
        self.reverse = False
        self.order: list[str] = []
        """The addresses shown, top down; another list object whenever it changed."""
        self.total = 0
        self.selected: set[str] = set()
        self.cursor: str | None = None
        self._matches: Matcher = parse_filter("")
        self._lines: dict[str, int] = {}

    def set_filter(self, text: str) -> None:
        """Filter by `text` from the next `arrange` on; a bad filter keeps the one before."""
        try:
            self._matches = parse_filter(text)
        except FilterError as fault:
            self.filter_fault = str(fault)
            return
        self.filter, self.filter_fault = text, None

    def arrange(self, rows: Mapping[str, MailboxView], workspace: str | None) -> None:
        """Filter and sort anew; the cursor stays on its mailbox, or else on its line."""
        line = self.line_of_cursor()
        members = [row for row in rows.values() if workspace in (None, row.workspace)]
        shown = [row for row in members if self._matches(row)]
        shown.sort(key=SORTS[self.sort][1], reverse=self.reverse)
        self._set_order([row.address for row in shown], line)
        self.total = len(members)
        self.selected.intersection_update(self._lines)

    def moves(self, before: MailboxView, now: MailboxView) -> bool:
        """Whether a change gives a mailbox another place, or makes it appear or go."""
        matches, key = self._matches, SORTS[self.sort][1]
        shown = matches(now)
        return shown != matches(before) or (shown and key(now) != key(before))

    def _set_order(self, order: list[str], line: int) -> None:
        if order != self.order:
            self.order = order
        self._lines = {address: index for index, address in enumerate(order)}
        if self.cursor not in self._lines:
            self.cursor = order[min(line, len(order) - 1)] if order else None

    def line_of(self, address: str) -> int | None:
        """The line a mailbox is on; None when it isn't shown."""
        return self._lines.get(address)

    def line_of_cursor(self) -> int:
        """The cursor's line, 0 without one."""
        return self._lines.get(self.cursor, 0) if self.cursor else 0

    def move(self, steps: int) -> None:
        """Move the cursor, stopping at both ends."""
        if self.order:
            line = min(max(self.line_of_cursor() + steps, 0), len(self.order) - 1)
            self.cursor = self.order[line]

    def targets(self) -> list[str]:
        """What an action is about: the selection in the order shown, else the cursor's mailbox."""
        if self.selected:
            return [address for address in self.order if address in self.selected]
        return [self.cursor] if self.cursor else []

    def toggle(self) -> None:
        """Select the mailbox under the cursor, or no longer."""
        if self.cursor:
            self.selected ^= {self.cursor}

    def select_range(self) -> None:
        """Select from the selected mailbox nearest to the cursor up to the cursor."""
        here = self.line_of_cursor()
        lines = [self._lines[address] for address in self.selected if address in self._lines]
        start = min(lines, key=lambda line: abs(line - here), default=here)
        low, high = sorted((start, here))
        self.selected.update(self.order[low : high + 1])

    def select_all(self) -> None:
        """Select everything that is shown."""
        self.selected = set(self.order)
