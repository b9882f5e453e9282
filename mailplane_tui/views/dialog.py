"""The frame of every dialog: a box in the middle with a title and its keys at the foot."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget

from mailplane_tui.lines import Line
from mailplane_tui.scrub import scrub
from mailplane_tui.widgets.painted import Lines

if TYPE_CHECKING:
    from mailplane_tui.app import Dashboard

Result = TypeVar("Result")


class Block(Lines):
    """Lines that a dialog gives, as high as they are many."""

    def __init__(self, make: Callable[[int], list[Line]], height: int) -> None:
        super().__init__()
        self._make = make
        self.styles.height = height

    def compose_lines(self, width: int) -> list[Line]:
        """The dialog's lines."""
        return self._make(width)


class Dialog(ModalScreen[Result | None]):
    """A modal box. Escape leaves everything as it is."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", show=False)]

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title

    def compose(self) -> ComposeResult:
        """The box with what the subclass puts in."""
        box = Vertical(*self.parts(), id="dialog")
        box.border_title = Content(f" {scrub(self._title, 100)} ")
        yield box

    def parts(self) -> list[Widget]:
        """What is in the box."""
        raise NotImplementedError

    def update_blocks(self) -> None:
        """Make the dialog's lines anew."""
        for block in self.query(Block):
            block.update_lines()

    def action_leave(self) -> None:
        """Close without doing anything."""
        self.dismiss(None)

    @property
    def dashboard(self) -> Dashboard:
        """The app, as what it is."""
        return cast("Dashboard", self.app)
