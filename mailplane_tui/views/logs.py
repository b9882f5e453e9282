"""The audit log and the event log as they grow."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Generic, TypeVar

from textual.app import ComposeResult

from mailplane_tui.lines import Line, Role, Span, line
from mailplane_tui.scrub import mask, mask_all, scrub
from mailplane_tui.views.base import View
from mailplane_tui.widgets.painted import Lines
from mailplane_tui.widgets.tail_view import TailView
from mailplane_wire.resources import AuditView, EventView

if TYPE_CHECKING:
    from mailplane_tui.app import Dashboard

Entry = TypeVar("Entry")


def audit_tail(dashboard: Dashboard) -> TailView[AuditView]:
    """The audit log of the workspace in view; what belongs to no workspace is part of each."""
    model = dashboard.model
    return TailView(
        model.audit,
        belongs=lambda entry: entry.workspace is None or model.shows(entry.workspace),
        word=lambda entry, width: dashboard.format.audit(entry, width, model.mailboxes),
    )


def event_tail(dashboard: Dashboard, mailbox: str | None = None) -> TailView[EventView]:
    """The event log of the workspace in view, or of one mailbox."""
    model = dashboard.model
    return TailView(
        model.events,
        belongs=lambda event: (
            model.shows(event.workspace) if mailbox is None else event.mailbox == mailbox
        ),
        word=lambda event, width: dashboard.format.event(event, width, model.mailboxes),
    )


class LogHead(Lines):
    """The heading of a log's columns, and what to expect while it is empty."""

    def __init__(self, heading: Callable[[int], str], empty: str, tail: TailView[Entry]) -> None:
        super().__init__()
        self._heading = heading
        self._empty = empty
        self._tail = tail

    def compose_lines(self, width: int) -> list[Line]:
        """One line."""
        text = self._heading(width) if self._tail.shown else self._empty
        return [line((f"  {text}", Role.DIM))]


class TailActions(Generic[Entry]):
    """The actions of whatever shows one tail, which it names `_tail`."""

    _tail: TailView[Entry]

    def do_cursor_down(self) -> None:
        """Move down."""
        self._tail.move(1)

    def do_cursor_up(self) -> None:
        """Move up and hold still."""
        self._tail.move(-1)

    def do_cursor_page_down(self) -> None:
        """Move down by a page."""
        self._tail.move(self._tail.page)

    def do_cursor_page_up(self) -> None:
        """Move up by a page and hold still."""
        self._tail.move(-self._tail.page)

    def do_cursor_first(self) -> None:
        """Go to the oldest entry kept."""
        self._tail.move(-self._tail.shown)

    def do_cursor_last(self) -> None:
        """Follow again."""
        self._tail.follow()

    def do_freeze(self) -> None:
        """Hold still, or follow again."""
        if self._tail.following:
            self._tail.freeze()
        else:
            self._tail.follow()


class LogView(TailActions[Entry], View):
    """A tail with its heading; its subclass says which log."""

    def __init__(self, tail: TailView[Entry], heading: Callable[[int], str], empty: str) -> None:
        super().__init__()
        self._tail = tail
        self._head = LogHead(heading, empty, tail)

    def compose(self) -> ComposeResult:
        """Heading and tail."""
        yield self._head
        yield self._tail

    def enter(self) -> None:
        """Choose the entries of the workspace in view, follow, take the keys."""
        self._tail.rebuild()
        self._tail.focus()

    def take(self, dirty: Collection[str]) -> None:
        """Take in new entries."""
        del dirty
        self._tail.take_new()

    def status(self) -> Line:
        """Following or frozen, the filter, how many."""
        pieces: list[str | Span] = [" ", *self._tail.state_line()]
        if self._tail.filter:
            pieces.append((f"    filter: /{scrub(self._tail.filter, 60)}", Role.KEY))
        pieces.append((f"    {self._tail.shown} entries", Role.DIM))
        return line(*pieces)

    @property
    def filter_text(self) -> str:
        """The filter in force."""
        return self._tail.filter

    def apply_filter(self, text: str) -> None:
        """Show only entries that have these words."""
        self._tail.filter = text
        self._tail.rebuild()


class AuditTail(LogView[AuditView]):
    """Every change that a person, a rule, a provider or a file made."""

    def __init__(self, dashboard: Dashboard) -> None:
        super().__init__(
            audit_tail(dashboard),
            dashboard.format.audit_heading,
            "Nothing yet that your role may read. Each pause, edit and refusal will stand here.",
        )

    def explain(self, width: int) -> list[Line]:
        """The entry under the cursor in full."""
        del width
        entry = self._tail.current
        if entry is None:
            return []
        keep = self.dashboard.model.mailboxes
        detail = mask_all(scrub(json.dumps(entry.detail, ensure_ascii=False)), keep)
        return [
            line(
                (f" #{entry.seq}  ", Role.STRONG),
                f"{scrub(entry.actor)}  {scrub(entry.action)}  ",
                mask_all(scrub(entry.target), keep),
            ),
            line(
                (f" {scrub(entry.at, 40)}  workspace {scrub(entry.workspace or 'none')}", Role.DIM)
            ),
            line((f" {detail}", Role.DIM)),
        ]


class EventTail(LogView[EventView]):
    """What happened to messages and mailboxes."""

    def __init__(self, dashboard: Dashboard) -> None:
        super().__init__(
            event_tail(dashboard),
            dashboard.format.event_heading,
            "Nothing happened yet. Each message's way will stand here.",
        )

    def explain(self, width: int) -> list[Line]:
        """The event under the cursor in full, recipients masked."""
        del width
        event = self._tail.current
        if event is None:
            return []
        keep = self.dashboard.model.mailboxes
        detail = mask_all(scrub(json.dumps(event.detail, ensure_ascii=False)), keep)
        return [
            line(
                (f" #{event.seq}  ", Role.STRONG),
                f"{scrub(event.kind)}  {scrub(event.mailbox or '')}  ",
                mask(scrub(event.recipient or "")),
            ),
            line((f" {scrub(event.at, 40)}  {scrub(event.message or '')}", Role.DIM)),
            line((f" {detail}", Role.DIM)),
        ]
