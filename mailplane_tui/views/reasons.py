"""Dialogs that change something: pause, and the two that let mail out again.

Stopping is cheap: Enter does it and `u` takes it back. Letting mail out again is dear: it takes a
reason, and where a rule or a provider stopped it, a key of its own; Enter never does it there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.binding import Binding, BindingType
from textual.events import Key
from textual.widget import Widget
from textual.widgets import Input

from mailplane_tui.explain import needs_acknowledgement, own_pauses
from mailplane_tui.formats import Format
from mailplane_tui.glyphs import STATE_ROLES
from mailplane_tui.lines import BLANK, Line, Role, line
from mailplane_tui.scrub import scrub
from mailplane_tui.views.dialog import Block, Dialog
from mailplane_tui.widgets.painted import Lines
from mailplane_wire.resources import MailboxView

if TYPE_CHECKING:
    from mailplane_tui.app import Dashboard

_ROWS = 6
"""Mailboxes named in a dialog; the others are counted."""

_DEAF_S = 0.2
"""A field takes no character this soon after it opened: a held key is no reason."""

_REASON_LENGTH = 200
_REASONS = ("paused by hand", "vendor outage", "client asked", "bounces", "complaints")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person wrote; `until` only for a pause."""

    reason: str
    until: str | None = None


class ReasonField(Input):
    """A line for a reason, deaf for a moment after it opened."""

    def __init__(self, value: str = "") -> None:
        super().__init__(value, max_length=_REASON_LENGTH, id="reason", compact=True)
        self._deaf_until = 0.0

    def on_mount(self) -> None:
        """Start the moment of deafness."""
        self._deaf_until = self._clock() + _DEAF_S

    def on_key(self, event: Key) -> None:
        """Drop what a held key still sends."""
        if event.is_printable and self._clock() < self._deaf_until:
            event.stop()
            event.prevent_default()

    def _clock(self) -> float:
        return cast("Dashboard", self.app).clock()


class Until(Lines, can_focus=True):
    """How long: left and right choose."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "turn(-1)", show=False),
        Binding("right,space", "turn(1)", show=False),
    ]

    def __init__(self, choices: list[tuple[str, str | None]]) -> None:
        super().__init__()
        self._choices = choices
        self._at = 0

    @property
    def value(self) -> str | None:
        """The time chosen, None for `until I resume it`."""
        return self._choices[self._at][1]

    def compose_lines(self, width: int) -> list[Line]:
        """The choices in a row, the one in force in brackets."""
        del width
        spans = [
            (f"[{word}] ", Role.STRONG if self.has_focus else Role.TEXT)
            if index == self._at
            else (f" {word}  ", Role.DIM)
            for index, (word, _) in enumerate(self._choices)
        ]
        return [(*line((" until    ", Role.DIM)), *spans)]

    def action_turn(self, steps: int) -> None:
        """Choose the next one."""
        self._at = (self._at + steps) % len(self._choices)
        self.update_lines()

    def on_focus(self) -> None:
        """Show that the keys go here."""
        self.call_after_refresh(self.update_lines)

    def on_blur(self) -> None:
        """Show that they no longer do."""
        self.call_after_refresh(self.update_lines)


class PauseDialog(Dialog[Answer]):
    """Asks for a reason and an end; Enter pauses. Captures its mailboxes as it opens."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "suggest(-1)", show=False),
        Binding("down", "suggest(1)", show=False),
        Binding("enter", "submit", show=False),
    ]

    def __init__(self, title: str, rows: list[MailboxView], now: datetime | None) -> None:
        super().__init__(title)
        self._rows = rows
        self._now = now
        self._suggestion = 0
        self._fault = ""

    def parts(self) -> list[Widget]:
        """Which mailboxes, what it means, reason, end, keys."""
        waiting = sum(row.waiting for row in self._rows)
        means = line((f" No new send starts. {waiting} waiting stay queued.", Role.DIM))
        return [
            Block(lambda _: _names(self._rows, self.dashboard.format), _height(self._rows)),
            Block(lambda _: [BLANK, means, BLANK, line((" reason", Role.DIM))], 4),
            ReasonField(_REASONS[0]),
            Until(end_choices(self._now, self.dashboard.format)),
            Block(lambda _: [BLANK, self._keys()], 2),
        ]

    def _keys(self) -> Line:
        if self._fault:
            return line((f" {self._fault}", Role.HELD))
        ascii_only = self.dashboard.format.glyphs.ascii_only
        enter, arrows = ("enter", "up/down") if ascii_only else ("⏎", "↑↓")
        return line(
            (f" {enter} ", Role.KEY), "pause, u undoes   ", (f"{arrows} ", Role.KEY), "reasons   ",
            ("tab ", Role.KEY), "until   ", ("esc ", Role.KEY), "leave",
        )  # fmt: skip

    def action_suggest(self, steps: int) -> None:
        """Put the next usual reason into the field."""
        self._suggestion = (self._suggestion + steps) % len(_REASONS)
        field = self.query_one(ReasonField)
        field.value = _REASONS[self._suggestion]
        field.focus()

    @on(Input.Submitted)
    def action_submit(self) -> None:
        """Pause, if there is a reason."""
        reason = self.query_one(ReasonField).value.strip()
        if not reason:
            self._fault = "a reason is needed: it stays in the audit"
            self.update_blocks()
            return
        self.dismiss(Answer(reason, self.query_one(Until).value))


class Confirm(Lines, can_focus=True):
    """The line that takes the one key which lets mail out again."""

    def __init__(self) -> None:
        super().__init__()
        self.can_focus = False

    def compose_lines(self, width: int) -> list[Line]:
        """What the key does, once it does something."""
        del width
        if self.has_focus:
            return [
                line((" y ", Role.KEY), ("acknowledge and resume", Role.STRONG), "   esc leave")
            ]
        return [line((" first a reason, then Enter, then y", Role.DIM))]

    def on_focus(self) -> None:
        """Now the key works."""
        self.call_after_refresh(self.update_lines)

    def on_blur(self) -> None:
        """Now it doesn't."""
        self.call_after_refresh(self.update_lines)


class ResumeDialog(Dialog[Answer]):
    """Asks why mail may go out again; a rule's or provider's stop needs `y`, not Enter."""

    def __init__(self, rows: list[MailboxView]) -> None:
        count = f"{len(rows)} mailboxes" if len(rows) > 1 else rows[0].address
        super().__init__(f"Resume {count}")
        self._rows = rows
        self.acknowledge = any(needs_acknowledgement(row) for row in rows)
        self._fault = ""

    def parts(self) -> list[Widget]:
        """Which mailboxes with what stops them, reason, confirmation."""
        shown = min(len(self._rows), _ROWS)
        parts: list[Widget] = [
            Block(self._stops, 2 * shown + (len(self._rows) > _ROWS)),
            Block(lambda _: [BLANK, line((" reason to resume", Role.DIM))], 2),
            ReasonField(),
            Block(lambda _: [line((f" {self._fault}", Role.HELD)) if self._fault else BLANK], 1),
        ]
        if self.acknowledge:
            return [*parts, Confirm()]
        return [*parts, Block(lambda _: [self._keys()], 1)]

    def _stops(self, width: int) -> list[Line]:
        del width
        model, text = self.dashboard.model, self.dashboard.format
        lines = []
        for row in self._rows[:_ROWS]:
            state, role = text.state(row)
            lines.append(line(f" {scrub(row.address)}  ", (state, role)))
            lines.append(line((f"   {text.why(row, model.now, model.mailboxes)}", Role.DIM)))
        if len(self._rows) > _ROWS:
            lines.append(line((f" and {len(self._rows) - _ROWS} more", Role.DIM)))
        return lines

    def _keys(self) -> Line:
        enter = "enter" if self.dashboard.format.glyphs.ascii_only else "⏎"
        return line((f" {enter} ", Role.KEY), "resume   ", ("esc ", Role.KEY), "leave as it is")

    @on(Input.Submitted)
    def reason_given(self) -> None:
        """Resume, or go on to the acknowledgement."""
        if not self.query_one(ReasonField).value.strip():
            self._fault = "a reason is needed: it stays in the audit"
            self.update_blocks()
        elif self.acknowledge:
            confirm = self.query_one(Confirm)
            confirm.can_focus = True
            confirm.focus()
        else:
            self._resume()

    def on_key(self, event: Key) -> None:
        """`y` on the confirmation, and only there."""
        if event.key == "y" and isinstance(self.focused, Confirm):
            event.stop()
            self._resume()

    def _resume(self) -> None:
        reason = self.query_one(ReasonField).value.strip()
        if reason:
            self.dismiss(Answer(reason))


class ResumeWorkspaceDialog(Dialog[Answer]):
    """Lets a whole workspace send again: a reason, and its name typed in full."""

    def __init__(self, name: str, mailboxes: int) -> None:
        super().__init__(f"Resume workspace {name}")
        self._workspace = name
        self._mailboxes = mailboxes
        self._fault = ""

    def parts(self) -> list[Widget]:
        """What it means, reason, name, fault or keys."""
        means = f" Lifts the workspace's own pauses; {self._mailboxes} mailboxes may send again."
        ask = line(
            (" type ", Role.DIM),
            (scrub(self._workspace, 60), Role.STRONG),
            (" to confirm", Role.DIM),
        )
        return [
            Block(lambda _: [line((means, Role.DIM)), BLANK, line((" reason", Role.DIM))], 3),
            ReasonField(),
            Block(lambda _: [ask], 1),
            Input(id="name", compact=True),
            Block(lambda _: [line((f" {self._fault}", Role.HELD))], 1),
        ]

    @on(Input.Submitted, "#reason")
    def reason_given(self) -> None:
        """Go on to the name."""
        self.query_one("#name", Input).focus()

    @on(Input.Submitted, "#name")
    def name_given(self, event: Input.Submitted) -> None:
        """Resume if both are there."""
        reason = self.query_one(ReasonField).value.strip()
        if event.value != self._workspace:
            self._fault = "not yet: the name differs"
        elif not reason:
            self._fault = "a reason is needed: it stays in the audit"
        else:
            self.dismiss(Answer(reason))
            return
        self.update_blocks()


def end_choices(now: datetime | None, text: Format) -> list[tuple[str, str | None]]:
    """The ends of a pause on offer, with their times of the wire, none without a time to start."""
    choices: list[tuple[str, str | None]] = [("I resume it", None)]
    if now is None:
        return choices
    local = text.local(now)
    morning = local.replace(hour=8, minute=0, second=0, microsecond=0, tzinfo=None)
    days = (("tomorrow 08:00", 1), ("Monday 08:00", 7 - local.weekday()))
    ends = [("1 h", now + timedelta(hours=1))]
    for word, ahead in days:
        wall = morning + timedelta(days=ahead)
        ends.append((word, wall.replace(tzinfo=text.zone) if text.zone else wall.astimezone()))
    return choices + [(word, _wire(end)) for word, end in ends]


def _wire(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: UP017


def _names(rows: list[MailboxView], text: Format) -> list[Line]:
    sign = f"{text.glyphs.states['paused']} paused"
    lines = []
    for row in rows[:_ROWS]:
        state, role = text.state(row)
        lines.append(
            line(f" {text.fit(row.address, 30)} ", (f"{state:<10}", role), " to ",
                 (sign, STATE_ROLES["paused"]))
        )  # fmt: skip
    if len(rows) > _ROWS:
        lines.append(line((f" and {len(rows) - _ROWS} more", Role.DIM)))
    return lines


def _height(rows: list[MailboxView]) -> int:
    return min(len(rows), _ROWS) + (len(rows) > _ROWS)


def lifts(row: MailboxView, *, acknowledge: bool) -> frozenset[str]:
    """The pauses that have to be gone from the mailbox once it was resumed."""
    if needs_acknowledgement(row) and not acknowledge:
        return frozenset()
    return frozenset(pause.id for pause in own_pauses(row))
