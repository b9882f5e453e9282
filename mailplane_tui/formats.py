"""Turns what the daemon shows into lines for the screen. Pure, and the only place that words it.

Text from outside passes `scrub` here and nowhere else, so that no widget can forget it.
"""

from __future__ import annotations

import re
from collections.abc import Container
from datetime import UTC, datetime, tzinfo
from typing import Final

from mailplane_tui.fleet import bounce_share
from mailplane_tui.glyphs import STATE_ROLES, Glyphs
from mailplane_tui.lines import Line, Role, Span, line
from mailplane_tui.model import parse_time
from mailplane_tui.scrub import fit, mask, mask_all, scrub
from mailplane_wire.resources import AuditView, CapView, EventView, MailboxView, PauseView

PROVIDERS: Final = {
    "smtp": "SMTP", "gmail": "Google", "graph": "M365", "ses": "SES", "mailgun": "Mailgun",
}  # fmt: skip

_EVENT_ROLES: Final = {
    "bounced": Role.HELD, "failed": Role.HELD, "complained": Role.HELD, "rejected": Role.HELD,
    "unknown": Role.UNKNOWN, "deferred": Role.NEAR, "expired": Role.NEAR, "paused": Role.PAUSED,
    "scheduled": Role.WAITING, "held": Role.PAUSED, "suppressed": Role.NEAR,
}  # fmt: skip


class Format:
    """The formatters, with the glyphs and the time zone that they share.

    `zone` None is the time zone of this machine.
    """

    def __init__(self, glyphs: Glyphs, zone: tzinfo | None = None) -> None:
        self.glyphs = glyphs
        self.zone = zone

    # --- small things ----------------------------------------------------------------------------

    def fit(self, text: str, width: int, *, right: bool = False) -> str:
        """Scrubbed text in exactly `width` cells."""
        return fit(scrub(text), width, right=right, ellipsis=self.glyphs.ellipsis)

    def local(self, moment: datetime) -> datetime:
        """The moment in the time zone shown."""
        return moment.astimezone(self.zone)

    def clock(self, text: str | None) -> str:
        """A time of the wire as `14:02:11`, a dash for none."""
        return self.local(parse_time(text)).strftime("%H:%M:%S") if text else self.glyphs.none

    def when(self, text: str | None, now: datetime | None) -> str:
        """A time in six cells: `14:05` today, `Thu 08` or `3 Jan` otherwise, a dash for none."""
        if not text:
            return self.glyphs.none
        moment = self.local(parse_time(text))
        if now is None or moment.date() == self.local(now).date():
            return moment.strftime("%H:%M")
        days = (moment.date() - self.local(now).date()).days
        return moment.strftime("%a %H") if 0 < days < 7 else f"{moment.day} {moment:%b}"

    def moment(self, text: str | None, now: datetime | None) -> str:
        """A time in words: `14:05` today, `Thu 08:00` this week, else with its date."""
        if not text:
            return self.glyphs.none
        moment = self.local(parse_time(text))
        if now is None or moment.date() == self.local(now).date():
            return moment.strftime("%H:%M")
        days = (moment.date() - self.local(now).date()).days
        return moment.strftime("%a %H:%M" if 0 < days < 7 else "%d %b %H:%M")

    def state(self, row: MailboxView, *, pending: bool = False) -> Span:
        """Glyph and word of a mailbox's state, `+1` when there are more pauses than the one."""
        glyphs = self.glyphs
        sign = glyphs.pending if pending else glyphs.states.get(row.state, "?")
        more = f"+{len(row.pauses) - 1}" if len(row.pauses) > 1 else ""
        return f"{sign} {scrub(row.state)}{more}", STATE_ROLES.get(row.state, Role.TEXT)

    def bar(self, cap: CapView | None, width: int) -> Line:
        """A cap as a bar: sent, unknown (capacity at risk), waiting, free."""
        glyphs = self.glyphs
        if cap is None:
            return line((fit(glyphs.none, width, ellipsis=""), Role.DIM))
        sent, unknown, waiting = _shares(cap, width)
        free = width - sent - unknown - waiting
        pieces = (
            (glyphs.sent * sent, Role.SENT),
            (glyphs.unknown * unknown, Role.UNKNOWN),
            (glyphs.waiting * waiting, Role.WAITING),
            (glyphs.free * free, Role.FREE),
        )
        return tuple(piece for piece in pieces if piece[0])

    def used(self, cap: CapView | None, *, waiting: bool = False) -> str:
        """`31/50`, or `31+6/50` with what waits; unknown counts as sent."""
        if cap is None:
            return ""
        plus = f"+{short(cap.waiting)}" if waiting else ""
        return f"{short(cap.sent + cap.unknown)}{plus}/{short(cap.limit)}"

    def bounces(self, row: MailboxView) -> Span:
        """Bounces as a percentage of what was sent in seven days, a dash when nothing was."""
        if not row.sent_7d:
            return self.glyphs.none, Role.DIM
        share = bounce_share(row) * 100
        return f"{share:.1f}", Role.HELD if share >= _BOUNCE_WARNING else Role.TEXT

    def provider(self, name: str) -> str:
        """A provider's name as people write it."""
        return PROVIDERS.get(name) or scrub(name, 20)

    # --- sentences -------------------------------------------------------------------------------

    def why(self, row: MailboxView, now: datetime | None, keep: Container[str]) -> str:
        """One sentence on the mailbox's state."""
        reason = mask_all(scrub(row.state_reason or ""), keep)
        if row.pauses:
            return f"{self.pause(row.pauses[0], now)}"
        return reason or ("can send" if row.state == "ready" else row.state)

    def pause(self, pause: PauseView, now: datetime | None) -> str:
        """Who paused what, since when, until when and why."""
        until = f" until {self.moment(pause.until, now)}" if pause.until else ""
        since = self.moment(pause.created_at, now)
        kind, _, name = pause.scope.partition(":")
        where = "" if kind == "mailbox" else f" with {scrub(kind)} {scrub(name)}".rstrip()
        return f"since {since}{until}{where} by {scrub(pause.actor)}: {scrub(pause.reason)}"

    def cap(self, cap: CapView, now: datetime | None, bar_width: int) -> Line:
        """A cap in full: bar, counts, scope, and when it frees."""
        window = f"{'last ' if cap.kind == 'rolling' else ''}{cap.window}"
        counts = "" if cap.counts == "messages" else " recipients"
        pieces: list[str | Span] = [(fit(window, 10), Role.DIM), *self.bar(cap, bar_width)]
        pieces.append(f" {cap.sent + cap.unknown} of {cap.limit}{counts}")
        kind, _, name = cap.scope.partition(":")
        if kind != "mailbox":
            pieces.append((f" ({scrub(kind)} {scrub(name, 60)})", Role.DIM))
        if cap.unknown:
            pieces.append((f", {cap.unknown} unknown", Role.UNKNOWN))
        if cap.waiting:
            pieces.append((f", {cap.waiting} waiting", Role.WAITING))
        if cap.resets_at:
            verb = "frees" if cap.kind == "rolling" else "resets"
            pieces.append((f", {verb} {self.moment(cap.resets_at, now)}", Role.DIM))
        return line(*pieces)

    # --- logs ------------------------------------------------------------------------------------

    def event_heading(self, width: int) -> str:
        """The heads of the event log's columns."""
        return f"{'TIME':<9} {'EVENT':<12} {'MAILBOX':<{_mailbox(width)}} {'MESSAGE':<8} DETAIL"

    def event(self, event: EventView, width: int, keep: Container[str]) -> Line:
        """One row of the event log; recipients are masked."""
        message = self.glyphs.ellipsis + event.message[-6:] if event.message else ""
        detail = mask_all(scrub(self._detail(event.detail, event.at)), keep)
        if event.recipient:
            detail = f"{mask(scrub(event.recipient))} {detail}"
        role = _EVENT_ROLES.get(event.kind.rpartition(".")[2], Role.TEXT)
        return line(
            (f"{self.clock(event.at):<9} ", Role.DIM),
            (self.fit(event.kind, 12) + " ", role),
            self.fit(event.mailbox or "", _mailbox(width)) + " ",
            (self.fit(message, 8) + " ", Role.DIM),
            detail,
        )

    def audit_heading(self, width: int) -> str:
        """The heads of the audit log's columns."""
        who, action, target = _audit_widths(width)
        return f"{'TIME':<9} {'WHO':<{who}} {'ACTION':<{action}} {'TARGET':<{target}} DETAIL"

    def audit(self, entry: AuditView, width: int, keep: Container[str]) -> Line:
        """One row of the audit log; addresses that aren't mailboxes are masked."""
        who, action, target = _audit_widths(width)
        named = mask_all(scrub(entry.target.removeprefix("mailbox:")), keep)
        return line(
            (f"{self.clock(entry.at):<9} ", Role.DIM),
            self.fit(entry.actor, who) + " ",
            (self.fit(entry.action, action) + " ", Role.STRONG),
            self.fit(named, target) + " ",
            (mask_all(scrub(self._detail(entry.detail, entry.at)), keep), Role.DIM),
        )

    def _detail(self, detail: dict[str, object], at: str) -> str:
        """An entry's detail in one line: the words somebody wrote first, then the rest by name.

        Times are said as seen from `at`, the time of the entry.
        """
        first = [str(detail[key]) for key in _WORDS if detail.get(key)]
        told = _OF_A_CHANGE if "change" in detail else frozenset()
        others = [key for key in detail if key not in {*_WORDS, *told, _WORKLOAD}]
        rest = [self._named(key, detail[key], at) for key in others]
        last = str(detail.get(_WORKLOAD) or "")
        return " ".join(part for part in (*first, *rest, last) if part)

    def _named(self, key: str, value: object, at: str) -> str:
        name, _, unit = key.rpartition("_")
        shown = value
        if unit == "us" and isinstance(value, int):
            moment = datetime.fromtimestamp(value / 1_000_000, UTC)
            key, shown = name, self.moment(moment.isoformat(), parse_time(at))
        elif unit == "at" and isinstance(value, str) and _WIRE_TIME.match(value):
            key, shown = name, self.moment(value, parse_time(at))
        return f"{key}={shown}" if shown not in (None, "", [], {}) else ""


_WIRE_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$")

_WORDS: Final = ("change", "reason", "reply", "outcome")
"""What of an entry's detail is said without its name, before everything else."""

_OF_A_CHANGE: Final = frozenset({"key", "old", "new", "via"})
"""What the words of a change of the book say already."""

_WORKLOAD: Final = "workload"
"""What is said without its name, after everything else."""

_WIDE: Final = 110
"""Columns from which log rows get wider columns."""


def _mailbox(width: int) -> int:
    return 32 if width >= _WIDE else 22


def _audit_widths(width: int) -> tuple[int, int, int]:
    return (16, 18, 34) if width >= _WIDE else (11, 14, 22)


_BOUNCE_WARNING: Final = 5.0
"""Per cent; the rate at which senders are commonly stopped (facts/tui.md's example rule)."""


def short(number: int) -> str:
    """A count in at most five cells: `999`, `9999`, `12k`, `1.2M`."""
    if number < 10_000:
        return str(number)
    return f"{number // 1000}k" if number < 1_000_000 else f"{number / 1_000_000:.1f}M"


def _shares(cap: CapView, width: int) -> list[int]:
    """Cells for sent, unknown and waiting: each that is there gets one, and so does what is free.

    Of what waits, only as much as the cap has room for now; the rest is no part of this window.
    """
    waiting = min(cap.waiting, max(0, cap.limit - cap.sent - cap.unknown))
    parts = (cap.sent, cap.unknown, waiting)
    total = max(cap.limit, sum(parts), 1)
    cells = [max(1, round(part * width / total)) if part else 0 for part in parts]
    room = width if sum(parts) >= cap.limit else width - 1
    while sum(cells) > room and max(cells) > 0:
        cells[cells.index(max(cells))] -= 1
    return cells
