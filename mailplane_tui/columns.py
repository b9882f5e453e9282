"""The columns of the mailbox list: which there are at a width, and what stands in each. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from mailplane_tui.fleet import tightest
from mailplane_tui.formats import Format
from mailplane_tui.lines import Line, Role, line
from mailplane_tui.scrub import fit
from mailplane_wire.resources import MailboxView

_ADDRESS_MOST: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What a column draws from: a mailbox, and whether an action on it is pending."""

    row: MailboxView
    text: Format
    now: datetime | None
    pending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of `width` cells, or `wide` ones in a table that has room for all wide ones.

    `need` is the narrowest table that has it; the numbers of a `stale` one age with the link.
    """

    title: str
    width: int
    wide: int
    need: int
    draw: Callable[[Cell, int], Line]
    right: bool = False
    stale: bool = True


def columns_for(width: int, *, every_workspace: bool) -> list[tuple[Column, int]]:
    """The columns of a table of that width and their widths; spare room goes to the address."""
    shown = [column for column in COLUMNS if width >= column.need]
    if not every_workspace:
        shown = [column for column in shown if column is not WORKSPACE]
    cells = [column.wide for column in shown]
    if sum(cells) + len(cells) > width:
        cells = [column.width for column in shown]
    spare = width - sum(cells) - len(cells)
    cells[0] += max(0, min(spare, _ADDRESS_MOST - cells[0]))
    return list(zip(shown, cells, strict=True))


def _address(cell: Cell, cells: int) -> Line:
    return line(cell.text.fit(cell.row.address, cells))


def _state(cell: Cell, cells: int) -> Line:
    text, role = cell.text.state(cell.row, pending=cell.pending)
    return line((fit(text, cells), role))


def _today(cell: Cell, cells: int) -> Line:
    return _quota(cell, "day", cells, count=9 if cells < 20 else 12)


def _week(cell: Cell, cells: int) -> Line:
    return _quota(cell, "week", cells, count=0 if cells < 12 else 9)


def _quota(cell: Cell, window: str, cells: int, *, count: int) -> Line:
    text = cell.text
    cap = tightest(cell.row, window)
    if cap is None:
        return line((fit(text.glyphs.none, cells), Role.DIM))
    bar = text.bar(cap, cells - count)
    if not count:
        return bar
    used = text.used(cap, waiting=count > 9)
    return (*bar, (fit(used, count, right=True), Role.TEXT))


def _waiting(cell: Cell, cells: int) -> Line:
    number = cell.row.waiting
    text = str(number) if number else cell.text.glyphs.none
    return line((fit(text, cells, right=True), Role.TEXT if number else Role.DIM))


def _bounces(cell: Cell, cells: int) -> Line:
    text, role = cell.text.bounces(cell.row)
    return line((fit(text, cells, right=True), role))


def _next(cell: Cell, cells: int) -> Line:
    slot = cell.row.next_slot_at
    when = cell.text.when(slot, cell.now)
    return line((fit(when, cells, right=True), Role.TEXT if slot else Role.DIM))


def _path(cell: Cell, cells: int) -> Line:
    return line((cell.text.fit(" " + ",".join(cell.row.paths), cells), Role.DIM))


def _provider(cell: Cell, cells: int) -> Line:
    return line((fit(cell.text.provider(cell.row.provider), cells), Role.DIM))


def _workspace(cell: Cell, cells: int) -> Line:
    return line((cell.text.fit(cell.row.workspace, cells), Role.DIM))


WORKSPACE: Final = Column(
    title="WORKSPACE", width=10, wide=12, need=92, draw=_workspace, stale=False
)

COLUMNS: Final = (
    Column(title="MAILBOX", width=20, wide=24, need=0, draw=_address, stale=False),
    Column(title="STATE", width=10, wide=11, need=30, draw=_state),
    Column(title="TODAY", width=17, wide=25, need=50, draw=_today),
    Column(title="WEEK", width=6, wide=19, need=68, draw=_week),
    Column(title="WAIT", width=5, wide=6, need=56, draw=_waiting, right=True),
    Column(title="BNC%", width=5, wide=5, need=76, draw=_bounces, right=True),
    Column(title="NEXT", width=6, wide=6, need=62, draw=_next, right=True),
    Column(title=" PATH", width=12, wide=12, need=100, draw=_path, stale=False),
    Column(title="PROVIDER", width=8, wide=8, need=110, draw=_provider, stale=False),
    WORKSPACE,
)
"""Left to right. A narrow table loses them in the order of `need`."""
