"""Verifies a whole log: the chain, the tree, and what checkpoints inside and outside say of both.

Where the chain breaks it looks around and says what was done: a row altered, removed, inserted,
moved. It takes up the chain again behind that, so that one fault is told once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Final

import msgspec

from mailplane_wire.audit.chain import genesis, link_hash, push, root_of
from mailplane_wire.audit.lines import (
    CheckpointView,
    ExportCheckpoint,
    ExportEntry,
    ExportHead,
    ExportKept,
    ExportLine,
)
from mailplane_wire.audit.report import Report, Seals, as_bytes, named

_LOOK: Final = 64
"""How many entries behind a fault are looked at to say what happened."""


def check_whole(
    report: Report, head: ExportHead, seals: Seals, lines: Iterator[ExportLine]
) -> None:
    """Check all lines after the head."""
    first = _check_checkpoints(report, seals, lines)
    entries = _Entries(report, first, lines)
    chain = _Chain(report, head, seals)
    while (entry := entries.next()) is not None:
        chain.check(entry, entries)
        report.note(entry)
    chain.end()


def _check_checkpoints(
    report: Report, seals: Seals, lines: Iterator[ExportLine]
) -> ExportLine | None:
    """Take the checkpoints, compare table and file; the first line behind them."""
    table: list[int] = []
    kept: list[int] = []
    number = 0
    behind = None
    for line in lines:
        if isinstance(line, ExportCheckpoint):
            _in_order(report, table, line.checkpoint.size, named(line.checkpoint))
            seals.take(line.checkpoint)
        elif isinstance(line, ExportKept):
            number += 1
            name = f"line {number} of the file outside the database"
            if line.number != number:
                report.add(None, f"{name} is called line {line.number}")
            try:
                checkpoint = msgspec.json.decode(line.text, type=CheckpointView)
            except (msgspec.DecodeError, UnicodeError, RecursionError):
                report.add(None, f"{name} was altered: it is no checkpoint")
                continue
            _in_order(report, kept, checkpoint.size, name)
            seals.take(checkpoint, name)
        else:
            behind = line
            break
    if cut := sorted(set(table) - set(kept)):
        how = "its end was cut" if cut[0] > max(kept, default=0) else "lines were removed"
        report.add(
            None,
            f"the file outside the database lacks {len(cut)} of the checkpoints, "
            f"the first that of {cut[0]} entries: {how}",
        )
    if lost := sorted(set(kept) - set(table)):
        report.add(
            None,
            f"the database lacks {len(lost)} of the checkpoints that the file outside has, the "
            f"first that of {lost[0]} entries: they were removed, or it was put back to an "
            "earlier state",
        )
    report.checkpoints = len(seals.good)
    return behind


def _in_order(report: Report, sizes: list[int], size: int, name: str) -> None:
    """Note the next checkpoint; each is larger than the one before."""
    if sizes and size <= sizes[-1]:
        report.add(None, f"{name} stands behind a checkpoint of {sizes[-1]} entries")
    sizes.append(size)


class _Entries:
    """The entries in the order of their lines, with a look at those that follow."""

    def __init__(
        self, report: Report, first: ExportLine | None, rest: Iterator[ExportLine]
    ) -> None:
        self._report = report
        self._rest = rest
        self._ahead: deque[ExportEntry] = deque()
        self._take(first)

    def next(self) -> ExportEntry | None:
        """The next one."""
        self.ahead(1)
        return self._ahead.popleft() if self._ahead else None

    def ahead(self, count: int) -> list[ExportEntry]:
        """Those that follow, at most so many."""
        while len(self._ahead) < count and (line := next(self._rest, None)) is not None:
            self._take(line)
        return list(islice(self._ahead, count))

    def _take(self, line: ExportLine | None) -> None:
        if isinstance(line, ExportEntry):
            self._ahead.append(line)
        elif line is not None:
            self._report.add(None, "there is a line that does not belong here")


class _Chain:
    """How far the log has been checked."""

    def __init__(self, report: Report, head: ExportHead, seals: Seals) -> None:
        self._report = report
        self._seals = seals
        self._seq = head.dropped
        self._link = genesis(head.origin)
        """The hash of the entry before."""
        self._frontier: list[bytes] | None = []
        """None once an entry is missing or not its own: the tree can't be computed any more."""
        self._since = head.dropped
        """The size of the last checkpoint that was met."""
        self._shift = 0
        """By how much entries are numbered too high."""
        self._moved: dict[int, bytes] = {}
        """Hashes of entries whose place another one has taken, by number."""
        if head.dropped:
            self._begin_behind(head)

    def _begin_behind(self, head: ExportHead) -> None:
        """Retention has dropped entries: the log goes on behind a checkpoint."""
        base = head.base
        if base is None or base.size != head.dropped or not self._seals.take(base):
            self._report.add(None, f"entries 1 to {head.dropped} are gone without a checkpoint")
            self._frontier = None
            return
        self._link = bytes.fromhex(base.head)
        self._frontier = [bytes.fromhex(node) for node in base.frontier]
        self._report.cover(base)

    def check(self, entry: ExportEntry, entries: _Entries) -> None:
        """The next entry."""
        seq = entry.seq - self._shift
        if seq in self._moved:
            self._advance(seq, entry, self._moved.pop(seq))
        elif seq != self._seq + 1:
            self._misplaced(seq, entry, entries)
        elif (link := link_hash(self._link, entry.leaf(seq))).hex() == entry.hash:
            if entry.proof is not None:
                self._report.add(seq, f"a proof was added to entry {seq}")
            self._advance(seq, entry, link)
        else:
            self._diagnose(seq, entry, entries.ahead(_LOOK))

    def end(self) -> None:
        """What checkpoints speak of has to be there."""
        largest = max(self._seals.good, default=0)
        if largest > self._seq:
            how = (
                "removed from the end, or the database was put back to an earlier state; "
                f"{named(self._seals.good[largest])} speaks of them"
            )
            self._missing(self._seq + 1, largest, how)

    def _advance(self, seq: int, entry: ExportEntry, link: bytes) -> None:
        """The entry has this number and hash; compare with the checkpoint of this size."""
        self._seq, self._link = seq, link
        if self._frontier is not None:
            push(self._frontier, seq - 1, entry.leaf(seq))
        checkpoint = self._seals.good.get(seq)
        if checkpoint is None:
            return
        since, self._since = self._since + 1, seq
        if checkpoint.head != link.hex():
            self._report.add(
                since,
                f"an entry from {since} to {seq} was altered and all hashes after it computed "
                f"anew: {named(checkpoint)} has another",
            )
        elif self._frontier is not None and root_of(self._frontier).hex() != checkpoint.root:
            self._report.add(since, f"{named(checkpoint)} has another root")
        else:
            self._report.cover(checkpoint)

    def _misplaced(self, seq: int, entry: ExportEntry, entries: _Entries) -> None:
        expected = self._seq + 1
        self._frontier = None
        if seq < expected:
            self._report.add(seq, f"entry {seq} stands behind entry {self._seq}: reordered")
            return
        if any(other.seq - self._shift == expected for other in entries.ahead(_LOOK)):
            self._report.add(expected, f"entry {expected} stands behind entry {seq}: reordered")
        else:
            self._missing(expected, seq - 1, "removed")
        # The hash before it is not there to check it by; what follows it is checked by its own.
        self._seq, self._link = seq, as_bytes(entry.hash or "")

    def _missing(self, first: int, last: int, how: str) -> None:
        which = f"entry {first} is" if first == last else f"entries {first} to {last} are"
        self._report.add(first, f"{which} missing: {how}")

    def _diagnose(self, seq: int, entry: ExportEntry, ahead: list[ExportEntry]) -> None:
        """Say what was done, when an entry does not follow from the one before."""
        self._frontier = None
        if self._was_elsewhere(seq, entry, ahead) or self._was_renumbered(seq, entry, ahead):
            return
        what = "was altered" if ahead else "was altered or inserted"
        before = f", or entry {seq - 1} together with its hash" if seq > 1 else ""
        self._report.add(seq, f"entry {seq} {what}{before}")
        self._advance(seq, entry, as_bytes(entry.hash or ""))

    def _was_elsewhere(self, seq: int, entry: ExportEntry, ahead: list[ExportEntry]) -> bool:
        """Whether the entry that belongs here stands further behind."""
        for at, other in enumerate(ahead):
            link = link_hash(self._link, other.leaf(seq))
            if link.hex() not in (other.hash, entry.hash):
                continue
            place = other.seq - self._shift
            previous = as_bytes(ahead[at - 1].hash or "") if at else link
            moved = link_hash(previous, entry.leaf(place))
            if moved.hex() in (entry.hash, other.hash):
                what = f"entries {seq} and {place} stand in each other's place: reordered"
                self._report.add(seq, what)
                self._moved[place] = moved
                self._advance(seq, other, link)
            else:
                what = f"entry {entry.seq} was inserted, and those after it numbered anew"
                self._report.add(entry.seq, what)
                self._shift += 1
            return True
        return False

    def _was_renumbered(self, seq: int, entry: ExportEntry, ahead: list[ExportEntry]) -> bool:
        """Whether entries were removed and those after them numbered anew."""
        for following in ahead[:1]:
            for count in range(1, _LOOK):
                link = link_hash(as_bytes(entry.hash or ""), following.leaf(seq + 1 + count))
                if link.hex() == following.hash:
                    self._missing(seq, seq + count - 1, "removed, and those after numbered anew")
                    self._shift -= count
                    self._seq, self._link = seq + count, as_bytes(entry.hash or "")
                    return True
        return False
