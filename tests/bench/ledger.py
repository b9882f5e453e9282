"""A week's ledger of a busy house: 10,000 mailboxes, fifty a day each. Reported, not judged."""

from __future__ import annotations

from pathlib import Path

from tests.bench.figures import Report, Scale, say, spread
from tests.bench.filled import fill_ledger
from tests.bench.growth import restart, sizes_of
from tests.bench.ours import Book, policy_of
from tests.fakes.process_daemon import daemon


def measure_ledger(folder: Path, scale: Scale) -> Report:
    """Start-up and memory with the charges of a week to count."""
    with daemon(folder) as made:
        Book(workspaces=20, each=max(1, scale.mailboxes // 20)).write(made, 25)
        fill_ledger(made.state, policy_of(made), scale.charges)
        say(f"  {scale.charges:,} charges")
        starts = restart(made, scale.rounds)
        support = {"charges": scale.charges, "start_s": spread(starts), **sizes_of(made)}
    return Report(support={"ledger_week": support})
