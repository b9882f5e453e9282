"""The base of every widget here: it paints lines of (text, role) and never reads markup."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
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

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._looks: dict[tuple[str, bool], Style] = {}
        """Role, and whether under the cursor: Textual would walk all ancestors for each piece."""

    def notify_style_update(self) -> None:
        """The theme or a class changed."""
        super().notify_style_update()
        self._looks.clear()

    @property
    def dashboard(self) -> Dashboard:
        """The app, as what it is."""
        return cast("Dashboard", self.app)

    def style_of(self, role: str, *, cursor: bool = False) -> Style:
        """The style of a role on this widget's background."""
        found = self._looks.get((role, cursor))
        if found is None:
            found = self.rich_style + self.get_component_rich_style(f"role--{role}", partial=True)
            if cursor:
                found += self.get_component_rich_style("role--cursor", partial=True)
            self._looks[role, cursor] = found
        return found

    def paint(self, spans: Line, width: int, *, cursor: bool = False) -> Strip:
        """A line as a strip of exactly `width` cells."""
        segments = [
            Segment(text, self.style_of(role, cursor=cursor))
            for text, role in fit_line(spans, width)
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
        """Make the lines anew; repaint those that are others than those on screen."""
        width, height = self.size
        lines, before = self.compose_lines(width), self._shown
        self._shown = lines
        if self._shown_width != width or len(lines) != len(before):
            self._shown_width = width
            self.refresh()
        elif changed := [y for y, line in enumerate(lines[:height]) if line != before[y]]:
            self.refresh(*(Region(0, y, width, 1) for y in changed))

    def render_line(self, y: int) -> Strip:
        """One line of the block."""
        width = self.size.width
        if self._shown_width != width:
            self._shown, self._shown_width = self.compose_lines(width), width
        return self.paint(self._shown[y] if y < len(self._shown) else BLANK, width)
