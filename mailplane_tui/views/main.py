"""The main screen: the frame around whichever view is in front."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, cast

from textual import on
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import ContentSwitcher, Input

from mailplane_tui.lines import Line, Role, line
from mailplane_tui.views.base import View
from mailplane_tui.widgets.bars import ExplainStrip, KeyBar, StatusLine, Tabs, TruthBar
from mailplane_tui.widgets.painted import Lines

if TYPE_CHECKING:
    from mailplane_tui.app import Dashboard


class TooSmall(Lines):
    """Shown in place of everything when nothing would be readable."""

    def compose_lines(self, width: int) -> list[Line]:
        """The size there is and the size it takes."""
        size = self.app.size
        text = f"{size.width}x{size.height} is too small; it takes 40x12"
        return [line((text[:width], Role.NEAR))]


class MainScreen(Screen[None]):
    """Truth bar, tabs, status line, the view in front, explanation and keys."""

    def __init__(self, dashboard: Dashboard) -> None:
        super().__init__()
        self._views: dict[str, View] = {}
        for spec in dashboard.views:
            view = spec.make(dashboard)
            view.id = spec.id
            self._views[spec.id] = view
        self.shown = dashboard.views[0].id
        self._frame: list[Lines] = []
        self._lines_of: dict[str, list[Lines]] = {name: [] for name in self._views}
        """The lines around the views and in each: found once, since to look for them takes long."""

    def compose(self) -> ComposeResult:
        """The frame."""
        yield TooSmall()
        yield TruthBar()
        yield Tabs()
        yield StatusLine()
        yield Input(id="filter", compact=True)
        with ContentSwitcher(initial=self.shown):
            yield from self._views.values()
        yield ExplainStrip()
        yield KeyBar()

    @property
    def view(self) -> View:
        """The view in front."""
        return self._views[self.shown]

    def on_mount(self) -> None:
        """Begin in the first view."""
        self._frame = [child for child in self.children if isinstance(child, Lines)]
        self._lines_of = {name: list(view.query(Lines)) for name, view in self._views.items()}
        self.query_one("#filter").display = False
        self.set_class(self.view.explains_itself, "-explains-itself")
        self.view.enter()

    def show_view(self, name: str) -> None:
        """Bring a view to the front."""
        self._close_filter()
        self.shown = name
        self.query_one(ContentSwitcher).current = name
        self.set_class(self.view.explains_itself, "-explains-itself")
        self.view.enter()
        self.update_frame()

    def take(self, dirty: Collection[str]) -> None:
        """The model changed: pass it on to the view in front and to the frame."""
        self.view.take(dirty)
        self.update_frame()

    def update_frame(self) -> None:
        """Make the lines around the view, and those in it, anew."""
        for lines in (*self._frame, *self._lines_of[self.shown]):
            if lines.display:
                lines.update_lines()

    # --- the filter ------------------------------------------------------------------------------

    def do_filter(self) -> None:
        """Open the filter line; it acts at each key."""
        field = self.query_one("#filter", Input)
        field.placeholder = f"filter: {self.view.filter_hint}"
        field.value = self.view.filter_text
        self.query_one(StatusLine).display = False
        field.display = True
        field.focus()

    @on(Input.Changed, "#filter")
    def filter_typed(self, event: Input.Changed) -> None:
        """Filter by what stands there now."""
        if event.input.display:
            self.view.apply_filter(event.value)
            self.update_frame()

    @on(Input.Submitted, "#filter")
    def filter_kept(self) -> None:
        """Keep the filter and go back to the list."""
        self._close_filter()
        self.view.enter()
        self.update_frame()

    def do_back(self) -> None:
        """Close the filter line and clear the filter; the view may have more to clear."""
        self._close_filter()
        self.view.apply_filter("")
        self.view.enter()
        self.update_frame()

    def _close_filter(self) -> None:
        self.query_one("#filter").display = False
        self.query_one(StatusLine).display = True

    @property
    def dashboard(self) -> Dashboard:
        """The app, as what it is."""
        return cast("Dashboard", self.app)
