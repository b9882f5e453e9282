"""Verifies an export of the audit log with nothing but the export and the public key.

It trusts neither the daemon that wrote it nor whoever handed it over: it computes every hash anew,
and what it finds wrong it names by the number of the entry. It knows nothing of the daemon.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Final

import msgspec

from mailplane_wire.audit.chain import proven_root
from mailplane_wire.audit.lines import (
    CheckpointView,
    ExportEnd,
    ExportEntry,
    ExportHead,
    ExportLine,
)
from mailplane_wire.audit.report import Report, Seals, as_bytes
from mailplane_wire.audit.whole import check_whole

_decode: Final = msgspec.json.Decoder(ExportLine).decode


def verify(lines: Iterable[bytes], keys: Collection[str]) -> Report:
    """Verify an export; `keys` are the public keys that may have signed it."""
    report = Report()
    decoded = _decoded(lines, report)
    head = next(decoded, None)
    if not isinstance(head, ExportHead):
        report.findings.clear()
        report.add(None, "this is no export of an audit log")
        return report
    report.holds, report.workspace, report.origin = head.holds, head.workspace, head.origin
    report.dropped = head.dropped
    seals = Seals(report, head.origin, keys)
    fault = seals.fault(head.key, head.signature, head.content())
    if fault is not None:
        report.add(None, f"the head of the export {fault}")
    if head.holds == "all":
        check_whole(report, head, seals, decoded)
    else:
        _check_part(report, head, seals, decoded)
    return report


def _decoded(lines: Iterable[bytes], report: Report) -> Iterator[ExportLine]:
    """The lines of an export up to its end, which has to be there."""
    count = 0
    lines = iter(lines)
    for number, line in enumerate(lines, 1):
        try:
            decoded = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            report.add(None, f"line {number} was altered: it is no line of an export")
            continue
        if isinstance(decoded, ExportEnd):
            if decoded.entries != count:
                report.add(None, f"{decoded.entries} entries were written, {count} are here")
            if next(lines, None) is not None:
                report.add(None, f"line {number + 1} was added behind the end")
            return
        count += isinstance(decoded, ExportEntry)
        yield decoded
    report.add(None, "the export has no end: it was cut, or its writing was broken off")


def _check_part(
    report: Report, head: ExportHead, seals: Seals, lines: Iterable[ExportLine]
) -> None:
    """Entries with their proofs; for a workspace also that none of its entries is missing."""
    checkpoint = head.checkpoint
    if checkpoint is None or not seals.take(checkpoint):
        report.add(None, "without a checkpoint that holds nothing here is proven")
        checkpoint = None
    for line in lines:
        if not isinstance(line, ExportEntry):
            report.add(None, "there is a line that does not belong here")
            continue
        if line.proof is None:
            report.add(line.seq, f"entry {line.seq} has no proof: others that it takes are missing")
        elif checkpoint is not None and not _proves(line, line.proof, checkpoint):
            report.add(line.seq, f"entry {line.seq} was altered, or its proof is forged")
        if head.holds == "workspace":
            _follow(line, head, report)
        report.note(line)
    if (report.entries, report.last) != (head.entries, head.last):
        report.add(
            None,
            f"there were {head.entries} entries, the last of them {head.last}; "
            f"here are {report.entries}, the last {report.last}",
        )
    if checkpoint is not None:
        report.checkpoints = 1
        report.cover(checkpoint)


def _proves(entry: ExportEntry, proof: list[str], checkpoint: CheckpointView) -> bool:
    if entry.hash is not None:
        return False  # a proof says nothing of it
    path = [as_bytes(node) for node in proof]
    root = proven_root(entry.leaf(), entry.seq - 1, checkpoint.size, path)
    return root is not None and root.hex() == checkpoint.root


def _follow(entry: ExportEntry, head: ExportHead, report: Report) -> None:
    """Each entry names the one before it in its workspace."""
    before = report.last
    if entry.workspace != head.workspace:
        report.add(entry.seq, f"entry {entry.seq} is of another workspace")
    elif entry.seq <= before:
        report.add(entry.seq, f"entry {entry.seq} stands behind entry {before}: reordered")
    elif entry.before > max(before, head.dropped):
        what = f"entry {entry.before} is missing before entry {entry.seq}: removed"
        report.add(entry.before, what)
    elif before and entry.before != before:
        what = f"entry {before} was inserted: entry {entry.seq} follows {entry.before}"
        report.add(before, what)
