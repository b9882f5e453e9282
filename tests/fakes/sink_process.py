"""Starts `sink_server` as a process, tells it what to do, and reads its ledger."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fakes.process_wait import until

_SCRIPT = Path(__file__).with_name("sink_server.py")


@dataclass(frozen=True)
class Taken:
    """A message that the sink took, whatever it answered. `at` is in seconds since the epoch."""

    id: str | None
    sender: str
    recipients: tuple[str, ...]
    at: float
    connection: int
    content: bytes


class Sink:
    """A running sink."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self._ledger = folder / "ledger.jsonl"
        self._control = folder / "control.json"

    def control(self, **values: Any) -> None:
        """Change how it behaves, from its next look on: `delay_s`, `password`, `released`."""
        fresh = self._control.with_suffix(".new")
        fresh.write_text(json.dumps(values))
        fresh.replace(self._control)

    def taken(self) -> list[Taken]:
        """Its ledger, whole lines only."""
        lines = self._ledger.read_bytes().split(b"\n")[:-1]
        return [
            Taken(
                id=line["id"],
                sender=line["sender"],
                recipients=tuple(line["recipients"]),
                at=line["at"],
                connection=line["connection"],
                content=line["content"].encode("latin-1"),
            )
            for line in map(json.loads, lines)
        ]

    def count(self) -> int:
        """How many messages it has taken."""
        return self._ledger.read_bytes().count(b"\n")

    def by_sender(self) -> Counter[str]:
        """How many messages it has taken from each mailbox."""
        return Counter(taken.sender for taken in self.taken())

    def settled(self, count: int, within_s: float = 20) -> list[Taken]:
        """The ledger once it holds that many messages."""
        until(lambda: self.count() >= count, f"{count} messages at the sink", within_s)
        return self.taken()


@contextmanager
def sink(folder: Path) -> Iterator[Sink]:
    """A sink with its files in a folder."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, str(_SCRIPT), str(folder / "ledger.jsonl")]
    process = subprocess.Popen([*command, str(folder / "control.json")], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield Sink(folder, int(process.stdout.readline()))
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()
