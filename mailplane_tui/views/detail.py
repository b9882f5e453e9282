"""One mailbox in full: state, caps, unfinished messages and its events as they come."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.app import ComposeResult
from textual.screen import Screen

from mailplane_tui import calls
from mailplane_tui.lines import Line, Role, line, spread
from mailplane_tui.scrub import scrub
from mailplane_tui.views.dialog import Block
from mailplane_tui.views.logs import TailActions, event_tail
from mailplane_tui.views.mailboxes import DetailPane
from mailplane_tui.widgets.bars import KeyBar, TruthBar
from mailplane_tui.widgets.painted import Lines
from mailplane_wire.resources import EventView, MailboxView, MessageView

if TYPE_CHECKING:
    from mailplane_tui.app import Dashboard

_TALL = 32
_MESSAGES = 10
_MESSAGES_SHORT = 3


class Messages(Block):
    """The block of unfinished messages."""


class DetailScreen(TailActions[EventView], Screen[None]):
    """Opened with Enter on a mailbox; `[` and `]` go to its neighbours in the list."""

    def __init__(self, dashboard: Dashboard, address: str) -> None:
        super().__init__()
        self.address = address
        self._dashboard = dashboard
        self._messages: list[MessageView] | str = "asking the daemon"
        self._tail = event_tail(dashboard, address)

    @property
    def dashboard(self) -> Dashboard:
        """The app, as what it is."""
        return cast("Dashboard", self.app)

    @property
    def row(self) -> MailboxView | None:
        """The mailbox, None once it was removed."""
        return self._dashboard.model.mailboxes.get(self.address)

    def compose(self) -> ComposeResult:
        """Truth bar, where one is, the facts, messages, events, keys."""
        yield TruthBar()
        yield Block(lambda width: [self._where(width), self._rule(width)], 2)
        yield DetailPane(lambda: self.row, heading=False)
        yield Messages(self._message_lines, 3)
        yield Block(lambda width: [self._rule(width), self._events_head()], 2)
        yield self._tail
        yield KeyBar("detail")

    def on_mount(self) -> None:
        """Ask for what the stream doesn't carry, and take the keys."""
        self._open(self.address)
        self._tail.focus()

    def take(self, dirty: Collection[str]) -> None:
        """The model changed."""
        del dirty
        self._tail.take_new()
        self.update_lines()

    def update_lines(self) -> None:
        """Make all lines anew; the two blocks that grow get the height they need."""
        for lines in self.query(Lines):
            lines.update_lines()
            if isinstance(lines, DetailPane | Messages):
                lines.styles.height = len(lines.compose_lines(self.size.width))

    # --- lines -----------------------------------------------------------------------------------

    def _where(self, width: int) -> Line:
        gone = "" if self.row else "  (no longer there)"
        left = line(
            (" Mailboxes > ", Role.DIM), (scrub(self.address), Role.STRONG), (gone, Role.NEAR)
        )
        keys = line(("esc ", Role.KEY), "back  ", ("[ ] ", Role.KEY), "neighbours ")
        return spread(left, keys, width)

    def _rule(self, width: int) -> Line:
        return line((self._dashboard.format.glyphs.rule * width, Role.DIM))

    def _events_head(self) -> Line:
        return (*line((" EVENTS  ", Role.DIM)), *self._tail.state_line())

    def _message_lines(self, width: int) -> list[Line]:
        head = [self._rule(width), line((" UNFINISHED MESSAGES, oldest first", Role.DIM))]
        if isinstance(self._messages, str):
            return [*head, line((f"  {scrub(self._messages)}", Role.DIM))]
        if not self._messages:
            return [*head, line(("  none", Role.DIM))]
        text = self._dashboard.format
        now = self._dashboard.model.now
        room = _MESSAGES if self.size.height >= _TALL else _MESSAGES_SHORT
        for message in self._messages[:room]:
            when = text.when(message.slot_at or message.updated_at, now)
            head.append(
                line(
                    (f"  {when:<6}  ", Role.DIM),
                    (text.fit(message.state, 10), Role.STRONG),
                    f" {text.fit(message.workload, 14)} ",
                    scrub(message.subject),
                )
            )
        return head

    # --- loading ---------------------------------------------------------------------------------

    def _open(self, address: str) -> None:
        self.address = address
        self._messages = "asking the daemon"
        self._tail.rebuild()
        job = partial(calls.open_messages, self._dashboard.client, address, _MESSAGES)
        self._dashboard.in_background(job, partial(self._loaded, address))
        self.update_lines()

    def _loaded(self, address: str, messages: list[MessageView] | str) -> None:
        if address == self.address and self.is_mounted:
            self._messages = messages
            self.update_lines()

    # --- actions ---------------------------------------------------------------------------------

    def do_back(self) -> None:
        """Back to the list, with the cursor on this mailbox."""
        fleet = self._dashboard.model.fleet
        if fleet.line_of(self.address) is not None:
            fleet.cursor = self.address
        self.dismiss(None)

    def do_next(self) -> None:
        """The mailbox below."""
        self._step(1)

    def do_previous(self) -> None:
        """The mailbox above."""
        self._step(-1)

    def _step(self, steps: int) -> None:
        fleet = self._dashboard.model.fleet
        at = fleet.line_of(self.address)
        if at is not None and 0 <= at + steps < len(fleet.order):
            self._open(fleet.order[at + steps])
