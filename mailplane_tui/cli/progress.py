"""A bar on a terminal while long work goes on; where nobody sees it, nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

    from mailplane_tui.cli.session import Session


class Bar:
    """How far the work is. Without a display, as where no terminal is, it does nothing."""

    def __init__(self, words: str, total: int | None, display: Progress | None = None) -> None:
        self._display = display
        if display is not None:
            self._task = display.add_task(words, total=total)

    def advance(self, count: int) -> None:
        """So much more of the total is done."""
        if self._display is not None:
            self._display.advance(self._task, count)

    def go_on(self, words: str) -> None:
        """Other work has begun, of which nobody knows how long it takes."""
        if self._display is not None:
            self._display.remove_task(self._task)
            self._task = self._display.add_task(words, total=None)


@contextmanager
def progress(session: Session, words: str, total: int | None = None) -> Iterator[Bar]:
    """Show on standard error how far it is; without a total only that it goes on."""
    if session.as_json or not sys.stderr.isatty():
        yield Bar(words, total)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if console.is_dumb_terminal:
        yield Bar(words, total)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns,
        console=console,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as display:
        yield Bar(words, total, display)
