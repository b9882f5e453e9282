"""The base of every widget here: it paints lines of (text, role) and never reads markup."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from mailplane_tui.lines import BLANK, Line, Role, fit_line

if TYPE_CHECKING:
    from mailplane_tui.app import Dashboard

    _Base = Widget
else:
    _Base = object

ROLE_CLASSES = frozenset(f"role--{role}" for role in Role) | {"role--cursor"}
"""The `COMPONENT_CLASSES` of whatever is Painted."""


class Painted(_Base):
    """Lets a widget turn lines into strips; the roles' styles come from `app.tcss`.

    A mix-in and no widget: Textual takes style rules from one line of bases only.
    """

    @property
    def dashboard(self) -> Dashboard:
        """The app, as what it is."""
        return cast("Dashboard", self.app)

    def style_of(self, role: str) -> Style:
        """The style of a role on this widget's background."""
        return self.rich_style + self.get_component_rich_style(f"role--{role}", partial=True)

    def paint(self, spans: Line, width: int, *, cursor: bool = False) -> Strip:
        """A line as a strip of exactly `width` cells."""
        over = self.get_component_rich_style("role--cursor", partial=True) if cursor else Style()
        segments = [
            Segment(text, self.style_of(role) + over) for text, role in fit_line(spans, width)
        ]
        return Strip(segments, width)


class Lines(Painted, Widget):
    """A fixed block of lines, made anew by its subclass at each `update_lines`."""

    COMPONENT_CLASSES: ClassVar[set[str]] = set(ROLE_CLASSES)
    DEFAULT_CSS = "Lines { height: 1; }"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._shown: list[Line] = []
        self._shown_width = -1

    def compose_lines(self, width: int) -> list[Line]:
        """What to show at that width; more lines than the widget has are not shown."""
        raise NotImplementedError

    def update_lines(self) -> None:
        """Make the lines anew; repaint if they are others than those on screen."""
        lines = self.compose_lines(self.size.width)
        if lines != self._shown or self._shown_width != self.size.width:
            self._shown, self._shown_width = lines, self.size.width
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line of the block."""
        width = self.size.width
        if self._shown_width != width:
            self._shown, self._shown_width = self.compose_lines(width), width
        return self.paint(self._shown[y] if y < len(self._shown) else BLANK, width)
