"""What every view is, and the entry that puts one on the screen."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from textual.widget import Widget

from mailplane_tui.lines import Line

if TYPE_CHECKING:
    from mailplane_tui.app import Dashboard


class View(Widget):
    """A view fills the space between status line and explanation.

    It does an action of the registry by having a method `do_<name>`; what it lacks goes on to the
    screen and then to the app.
    """

    filter_hint = "text, !text"
    explains_itself = False
    """Whether it shows, where there is room, what `explain` says: then the strip gives way."""

    @property
    def dashboard(self) -> Dashboard:
        """The app, as what it is."""
        return cast("Dashboard", self.app)

    def status(self) -> Line:
        """The line above the list."""
        raise NotImplementedError

    def explain(self, width: int) -> list[Line]:
        """Up to three lines on what is under the cursor."""
        raise NotImplementedError

    def take(self, dirty: Collection[str]) -> None:
        """The model changed; `dirty` are the mailboxes that did.

        Called at most twice a second, and only while the view is in front.
        """
        raise NotImplementedError

    def around(self, pages: int) -> list[str]:
        """The mailboxes that it shows, and those of so many pages above and below."""
        del pages
        return []

    def enter(self) -> None:
        """The view, or another workspace in it, comes to the front: show it anew, take focus."""
        raise NotImplementedError

    @property
    def filter_text(self) -> str:
        """The filter in force."""
        raise NotImplementedError

    def apply_filter(self, text: str) -> None:
        """Filter by this from now on; called at each key."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewSpec:
    """A view's entry in the table: its id, digit and title, and how to make it."""

    id: str
    key: str
    title: str
    make: Callable[[Dashboard], View]
