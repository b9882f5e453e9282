"""The main view: every mailbox of the workspace, trouble first."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from mailplane_tui import explain
from mailplane_tui.fleet import FILTER_KEYS, SORTS
from mailplane_tui.lines import Line, Role, Span, line
from mailplane_tui.model import Link
from mailplane_tui.scrub import scrub
from mailplane_tui.views.base import View
from mailplane_tui.views.logs import audit_tail
from mailplane_tui.views.pick import Choice, PickDialog
from mailplane_tui.widgets.fleet_table import FleetTable
from mailplane_tui.widgets.painted import Lines
from mailplane_wire.resources import MailboxView

if TYPE_CHECKING:
    from mailplane_tui.app import Dashboard


class Welcome(Lines):
    """What to do next when there is no mailbox to show."""

    def compose_lines(self, width: int) -> list[Line]:
        """The next step, as a command or a key."""
        model = self.dashboard.model
        if model.link is Link.NEVER:
            return self._no_daemon(max(20, width - 6))
        if model.mailboxes:
            return self._nothing_here()
        return [
            (),
            line(("   Welcome. Nothing is sent until a mailbox has caps.", Role.STRONG)),
            (),
            line(
                ("   1  ", Role.KEY), "mailplane init", ("   writes a commented example", Role.DIM)
            ),
            line(("   2  ", Role.KEY), "name your domains and mailboxes in workspaces/*.toml"),
            line(
                ("   3  ", Role.KEY), "save; the daemon takes the change by itself and they appear"
            ),
            (),
            line(("   Just looking?  ", Role.DIM), "mailplane demo", ("  sends nothing", Role.DIM)),
        ]

    def _no_daemon(self, width: int) -> list[Line]:
        model = self.dashboard.model
        fault = scrub(model.fault) if model.fault else "connecting"
        retry = f"next try in {model.retry_in_s:.0f} s" if model.retry_in_s is not None else ""
        return [
            (),
            line(("   No daemon yet", Role.STRONG)),
            (),
            *(line(f"   {part}") for part in textwrap.wrap(fault, width, break_on_hyphens=False)),
            (),
            line(("   R ", Role.KEY), "try now   ", ("q ", Role.KEY), f"quit   {retry}"),
        ]

    def _nothing_here(self) -> list[Line]:
        fleet = self.dashboard.model.fleet
        if fleet.filter:
            shown = f'   0 of {fleet.total} match "{scrub(fleet.filter, 60)}"'
            return [(), line(shown), line(("   esc ", Role.KEY), "clears the filter")]
        return [
            (),
            line("   This workspace has no mailbox yet."),
            line(("   w ", Role.KEY), "switches to another workspace"),
        ]


class DetailPane(Lines):
    """All about one mailbox; `subject` says which."""

    def __init__(self, subject: Callable[[], MailboxView | None], *, heading: bool = True) -> None:
        super().__init__()
        self._subject = subject
        self._heading = heading

    def compose_lines(self, width: int) -> list[Line]:
        """As many lines as there is to say."""
        row, model = self._subject(), self.dashboard.model
        if row is None:
            return []
        bar = max(8, min(24, width // 4))
        text = self.dashboard.format
        lines = explain.details(row, text, model.now, model.mailboxes, bar=bar)
        if self._heading:
            lines.insert(0, line((" DETAIL  ", Role.DIM), (scrub(row.address), Role.STRONG)))
        return lines


class AuditHead(Lines):
    """The heading of the audit pane."""

    def __init__(self, state: Callable[[], Line]) -> None:
        super().__init__()
        self._state = state

    def compose_lines(self, width: int) -> list[Line]:
        """The pane's name and whether it follows."""
        del width
        return [(("AUDIT  ", Role.DIM), *self._state())]


class MailboxesView(View):
    """The list, and beside it the detail and the audit tail where there is room."""

    explains_itself = True
    filter_hint = f"text, !text, {', '.join(f'{key}:' for key in FILTER_KEYS)}"

    def __init__(self, dashboard: Dashboard) -> None:
        super().__init__()
        self._model = dashboard.model
        self._table = FleetTable(dashboard.model)
        self._welcome = Welcome()
        self._detail = DetailPane(lambda: self._model.cursor_row)
        self._audit = audit_tail(dashboard)
        self._audit.can_focus = False

    def compose(self) -> ComposeResult:
        """Table or welcome, then the panes."""
        yield self._table
        yield self._welcome
        with Horizontal(id="panes"):
            yield self._detail
            with PaneColumn():
                yield AuditHead(self._audit.state_line)
                yield self._audit

    # --- the view --------------------------------------------------------------------------------

    def enter(self) -> None:
        """Show the list of the workspace in view and take the keys."""
        self._audit.rebuild()
        self._show_list()
        self._table.focus()

    def take(self, dirty: Collection[str]) -> None:
        """Repaint what changed."""
        self._choose()
        self._table.show_changes(dirty)
        self._audit.take_new()

    def around(self, pages: int) -> list[str]:
        """The lines of the list."""
        return self._table.around(pages)

    def _show_list(self) -> None:
        self._choose()
        self._table.show_order()

    def _choose(self) -> None:
        empty = not self._model.fleet.order
        self._table.display = not empty
        self._welcome.display = empty

    def status(self) -> Line:
        """Filter, order, how many are shown and selected."""
        fleet = self._model.fleet
        glyphs = self.dashboard.format.glyphs
        pieces: list[str | Span] = [
            (" filter: ", Role.DIM),
            (f"/{scrub(fleet.filter, 60)}", Role.KEY),
        ]
        if fleet.filter_fault:
            pieces.append((f"  {scrub(fleet.filter_fault, 120)}", Role.HELD))
            return line(*pieces)
        arrow = glyphs.up if fleet.reverse else glyphs.down
        pieces.append((f"     sort: {fleet.sort} {arrow}", Role.DIM))
        pieces.append(f"     {len(fleet.order)} of {fleet.total} shown")
        if fleet.selected:
            pieces.append((f"     {len(fleet.selected)} selected", Role.KEY))
        return line(*pieces)

    def explain(self, width: int) -> list[Line]:
        """Why the mailbox under the cursor is as it is."""
        del width
        row = self._model.cursor_row
        if row is None:
            return []
        return explain.strip(row, self.dashboard.format, self._model.now, self._model.mailboxes)

    @property
    def filter_text(self) -> str:
        """The filter in force."""
        return self._model.fleet.filter

    def apply_filter(self, text: str) -> None:
        """Filter the list."""
        self._model.fleet.set_filter(text)
        self._model.arrange()
        self._show_list()

    # --- actions ---------------------------------------------------------------------------------

    def _move(self, steps: int) -> None:
        self._model.fleet.move(steps)
        self._table.show_cursor()

    def do_cursor_down(self) -> None:
        """Move down."""
        self._move(1)

    def do_cursor_up(self) -> None:
        """Move up."""
        self._move(-1)

    def do_cursor_page_down(self) -> None:
        """Move down by a page."""
        self._move(self._table.page)

    def do_cursor_page_up(self) -> None:
        """Move up by a page."""
        self._move(-self._table.page)

    def do_cursor_first(self) -> None:
        """Go to the first mailbox."""
        self._move(-len(self._model.fleet.order))

    def do_cursor_last(self) -> None:
        """Go to the last mailbox."""
        self._move(len(self._model.fleet.order))

    def do_select(self) -> None:
        """Select the mailbox and go on to the next."""
        self._model.fleet.toggle()
        self._move(1)
        self._table.refresh()

    def do_select_range(self) -> None:
        """Select up to the cursor."""
        self._model.fleet.select_range()
        self._table.refresh()

    def do_select_all(self) -> None:
        """Select all that are shown."""
        self._model.fleet.select_all()
        self._table.refresh()

    def do_select_none(self) -> None:
        """Select nothing."""
        self._model.fleet.selected.clear()
        self._table.refresh()

    def do_back(self) -> None:
        """Clear the selection; without one, the filter."""
        if self._model.fleet.selected:
            self.do_select_none()
        else:
            self.dashboard.main.do_back()

    def do_open(self) -> None:
        """Open the mailbox under the cursor."""
        if self._model.fleet.cursor:
            self.dashboard.open_mailbox(self._model.fleet.cursor)

    def on_fleet_table_opened(self) -> None:
        """Open what was double-clicked."""
        self.do_open()

    def do_sort(self) -> None:
        """Choose the order."""
        choices = [
            Choice(id=name, line=line(title), now=name == self._model.fleet.sort)
            for name, (title, _) in SORTS.items()
        ]
        self.dashboard.push_screen(PickDialog("Sort by", choices), self._sort_by)

    def _sort_by(self, name: str | None) -> None:
        if name is not None:
            self._model.fleet.sort = name
            self._model.arrange()
            self._show_list()

    def do_sort_reverse(self) -> None:
        """Turn the order round."""
        self._model.fleet.reverse = not self._model.fleet.reverse
        self._model.arrange()
        self._show_list()


class PaneColumn(Vertical):
    """The right pane: a heading above its tail."""
