"""The tail of a log: follows until somebody moves up, then holds still and counts what is newer."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final, Generic, TypeVar

from textual.events import Click, MouseScrollDown, MouseScrollUp, Resize
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from mailplane_tui.lines import BLANK, Line, Role, line, plain
from mailplane_tui.model import LOG_LENGTH, Log
from mailplane_tui.widgets.painted import ROLE_CLASSES, Painted

Entry = TypeVar("Entry")

_SEARCH_WIDTH: Final = 200
"""Columns for which an entry is worded when a filter looks at it."""


class TailView(Painted, ScrollView, Generic[Entry], can_focus=True, inherit_bindings=False):
    """Rows of one log that match. `belongs` chooses entries, `word` makes a line of one.

    The rows shown are a copy, so that a still tail doesn't move when the log forgets its oldest.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = set(ROLE_CLASSES)

    def __init__(
        self,
        log: Log[Entry],
        *,
        belongs: Callable[[Entry], bool],
        word: Callable[[Entry, int], Line],
        id: str | None = None,  # noqa: A002 - Textual's name
    ) -> None:
        super().__init__(id=id)
        self._log = log
        self._belongs = belongs
        self._word = word
        self._seen = 0
        self._rows: list[Entry] = []
        self._cursor: int | None = None
        self._newer = 0
        self.filter = ""

    @property
    def following(self) -> bool:
        """Whether new entries appear by themselves."""
        return self._cursor is None

    @property
    def newer(self) -> int:
        """Matching entries that came since the tail was frozen."""
        return self._newer

    @property
    def shown(self) -> int:
        """How many entries are in the list."""
        return len(self._rows)

    @property
    def current(self) -> Entry | None:
        """The entry under the cursor; the newest one while following."""
        if not self._rows:
            return None
        return self._rows[-1 if self._cursor is None else self._cursor]

    # --- what is shown ---------------------------------------------------------------------------

    def rebuild(self) -> None:
        """Choose anew: the filter, the workspace or the mailbox changed. Follows again."""
        self._cursor, self._newer, self._seen = None, 0, 0
        self._rows = []
        self.take_new()
        self._fit()

    def take_new(self) -> None:
        """Take in what the log has got since the last call."""
        if self._seen == self._log.total:
            return
        fresh = [entry for entry in self._log.since(self._seen) if self._matches(entry)]
        self._seen = self._log.total
        if not self.following:
            self._newer += len(fresh)
            return
        if fresh:
            self._rows.extend(fresh)
            del self._rows[:-LOG_LENGTH]
            self._fit()

    def _matches(self, entry: Entry) -> bool:
        if not self._belongs(entry):
            return False
        if not self.filter:
            return True
        text = plain(self._word(entry, _SEARCH_WIDTH)).lower()
        return all(
            (word[1:] not in text) if word.startswith("!") else (word in text)
            for word in self.filter.lower().split()
        )

    def _fit(self) -> None:
        self.virtual_size = Size(self.scrollable_content_region.width, len(self._rows))
        last = len(self._rows) - 1
        self._show(last if self._cursor is None else self._cursor)
        self.refresh()

    def _show(self, row: int) -> None:
        top, height = self.scroll_offset.y, max(1, self.size.height)
        if row < top:
            self.scroll_to(y=row, animate=False, force=True, immediate=True)
        elif row >= top + height:
            self.scroll_to(y=row - height + 1, animate=False, force=True, immediate=True)

    # --- moving ----------------------------------------------------------------------------------

    def freeze(self) -> None:
        """Hold still, with the cursor on the newest entry."""
        if self._rows and self._cursor is None:
            self._cursor = len(self._rows) - 1
            self.refresh()

    def follow(self) -> None:
        """Show the newest entries, those that came in the meantime too."""
        self.rebuild()

    def move(self, steps: int) -> None:
        """Move the cursor; up freezes the tail."""
        if not self._rows or (steps > 0 and self.following):
            return
        start = len(self._rows) - 1 if self._cursor is None else self._cursor
        self._cursor = min(max(start + steps, 0), len(self._rows) - 1)
        self._show(self._cursor)
        self.refresh()

    @property
    def page(self) -> int:
        """How many entries fit."""
        return max(1, self.size.height)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """The wheel moves the cursor, so that it freezes the tail like a key."""
        event.stop()
        event.prevent_default()
        self.move(-3)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """The wheel moves the cursor."""
        event.stop()
        event.prevent_default()
        self.move(3)

    def on_click(self, event: Click) -> None:
        """Freeze, with the cursor where the mouse is."""
        row = event.y + self.scroll_offset.y
        if row < len(self._rows):
            self._cursor = row
            self.refresh()

    def on_resize(self, event: Resize) -> None:
        """Another height: the newest entry, or the cursor, stays in sight."""
        del event
        self._fit()

    # --- painting --------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """One entry."""
        width = self.scrollable_content_region.width
        row = y + self.scroll_offset.y
        if row >= len(self._rows):
            return self.paint(BLANK, width)
        cursor = row == self._cursor
        mark = self.dashboard.format.glyphs.cursor if cursor else " "
        spans = self._word(self._rows[row], width)
        return self.paint((*line((mark + " ", Role.TITLE)), *spans), width, cursor=cursor)

    def state_line(self) -> Line:
        """Following, or frozen and by how many entries behind."""
        glyphs = self.dashboard.format.glyphs
        if self.following:
            return line((f"{glyphs.follow} following", Role.READY))
        return line(
            (f"{glyphs.frozen} frozen", Role.NEAR),
            (f" {glyphs.dot} {self._newer} newer; f or G follows again", Role.TEXT),
        )
