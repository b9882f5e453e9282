"""The list of mailboxes, painted line by line.

Not a DataTable: that one recomputes all visible cells when a single one changes (measured at 25 %
of a core at 4 Hz; this one stays under 1 %). A painted line is kept until its mailbox, which is
immutable, is another object.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar, Final, NamedTuple

from textual.events import Click, Resize
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from mailplane_tui.columns import Cell, Column, columns_for
from mailplane_tui.lines import BLANK, Line, Role, Span, line
from mailplane_tui.model import Link, Model
from mailplane_tui.scrub import fit
from mailplane_tui.widgets.painted import ROLE_CLASSES, Painted
from mailplane_wire.resources import MailboxView


class _Painted(NamedTuple):
    row: MailboxView
    flags: tuple[object, ...]
    strip: Strip


_MARKS: Final = 2
_HEAD: Final = 2


class FleetTable(Painted, ScrollView, can_focus=True, inherit_bindings=False):
    """The mailboxes of the workspace in view, one line each; the head stays in place."""

    COMPONENT_CLASSES: ClassVar[set[str]] = set(ROLE_CLASSES)

    class Opened(Message):
        """A mailbox was double-clicked."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self._model = model
        self._kept: dict[str, _Painted] = {}
        self._cursor_line = -1
        self._order: list[str] | None = None
        self._link = model.link

    # --- what changed ----------------------------------------------------------------------------

    def show_changes(self, dirty: Collection[str]) -> None:
        """Repaint the visible lines of these mailboxes, and no other, unless the order changed."""
        order = self._model.fleet.order
        if order is not self._order or self._link is not self._model.link:
            self._link = self._model.link
            self.show_order()
            return
        top = self.scroll_offset.y
        for line_number in range(top, min(top + self.size.height, len(order))):
            if order[line_number] in dirty:
                self.refresh_line(line_number + _HEAD)

    def show_order(self) -> None:
        """The order, the filter or the workspace changed: fit the scroll range, repaint."""
        order = self._order = self._model.fleet.order
        if len(self._kept) > 2 * len(order) + 100:
            self._kept.clear()
        self.virtual_size = Size(self.scrollable_content_region.width, len(order) + _HEAD)
        self.show_cursor()
        self.refresh()

    def show_cursor(self) -> None:
        """The cursor moved: repaint its old and new line, scroll if it left the screen."""
        before, now = self._cursor_line, self._model.fleet.line_of_cursor()
        self._cursor_line = now
        for line_number in {before, now}:
            self.refresh_line(line_number + _HEAD)
        room = max(1, self.size.height - _HEAD)
        top = self.scroll_offset.y
        if now < top:
            self.scroll_to(y=now, animate=False, immediate=True)
        elif now >= top + room:
            self.scroll_to(y=now - room + 1, animate=False, immediate=True)

    def notify_style_update(self) -> None:
        """The theme changed: nothing painted is good any more."""
        super().notify_style_update()
        self._kept.clear()

    def on_resize(self, event: Resize) -> None:
        """Another width: other columns."""
        del event
        self._kept.clear()
        self.show_order()

    @property
    def page(self) -> int:
        """How many mailboxes fit."""
        return max(1, self.size.height - _HEAD)

    def around(self, pages: int) -> list[str]:
        """The mailboxes on the screen, and those of so many pages above and below."""
        top, more = self.scroll_offset.y, pages * self.page
        return self._model.fleet.order[max(0, top - more) : top + self.page + more]

    def on_click(self, event: Click) -> None:
        """Put the cursor where the mouse is; open on a double click."""
        fleet = self._model.fleet
        line_number = event.y - _HEAD + self.scroll_offset.y
        if event.y >= _HEAD and line_number < len(fleet.order):
            fleet.cursor = fleet.order[line_number]
            self._model.touch()
            self.show_cursor()
            if event.chain == 2:
                self.post_message(self.Opened())

    # --- painting --------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """A line of the screen: head, rule, then the mailboxes from the scroll offset on."""
        width = self.scrollable_content_region.width
        if y == 0:
            return self.paint(self._head(width), width)
        if y == 1:
            rule = self.dashboard.format.glyphs.rule * width
            return self.paint(line((rule, Role.DIM)), width)
        order = self._model.fleet.order
        line_number = y - _HEAD + self.scroll_offset.y
        row = self._model.mailboxes.get(order[line_number]) if line_number < len(order) else None
        if row is None:
            return self.paint(BLANK, width)
        return self._row(row, width)

    def _row(self, row: MailboxView, width: int) -> Strip:
        model = self._model
        cursor = row.address == model.fleet.cursor
        selected = row.address in model.fleet.selected
        pending = row.address in model.pending
        today = model.now.date() if model.now else None
        flags = (width, model.workspace is None, cursor, selected, pending, today)
        kept = self._kept.get(row.address)
        if kept and kept.row is row and kept.flags == flags:
            return kept.strip
        glyphs = self.dashboard.format.glyphs
        spans: list[Span] = [
            (glyphs.cursor if cursor else " ", Role.TITLE),
            (glyphs.selected if selected else " ", Role.KEY),
        ]
        cell = Cell(row=row, text=self.dashboard.format, now=model.now, pending=pending)
        for column, cells in self._columns(width):
            spans.extend(column.draw(cell, cells))
            spans.append((" ", Role.TEXT))
        strip = self.paint(tuple(spans), width, cursor=cursor)
        self._kept[row.address] = _Painted(row, flags, strip)
        return strip

    def _head(self, width: int) -> Line:
        stale = "?" if self._model.link is Link.OFFLINE else ""
        spans: list[Span] = [(" " * _MARKS, Role.DIM)]
        for column, cells in self._columns(width):
            title = column.title + (stale if column.stale else "")
            spans.append((fit(title, cells, right=column.right) + " ", Role.DIM))
        return tuple(spans)

    def _columns(self, width: int) -> list[tuple[Column, int]]:
        return columns_for(width - _MARKS, every_workspace=self._model.workspace is None)
