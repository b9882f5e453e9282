"""kill -9 at random points under load over every door (G2, G5)."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.chaos.files import wider
from tests.chaos.host import Host, host
from tests.chaos.load import Load, book
from tests.chaos.tally import tally
from tests.chaos.verdict import Measured
from tests.fakes.sink_process import Sink, sink


@contextmanager
def loaded(made: Host) -> Iterator[tuple[Sink, Load]]:
    """A started daemon, its sink and its senders."""
    with sink(made.log_path.parent / "sink") as the_sink:
        made.write("workspaces/acme.toml", book(the_sink.port))
        made.start()
        load = Load(made, made.token())
        load.start()
        try:
            yield the_sink, load
        finally:
            load.stop()


def measure(cases: int, twins: Sequence[str]) -> Measured:
    """Kill that often, let it end what it began, and count what is wrong."""
    seed = random.SystemRandom().getrandbits(32)
    chance = random.Random(seed)
    with host(twins) as made, loaded(made) as (the_sink, load):
        kills = 0
        for _ in range(cases):
            load.keep_busy()
            time.sleep(chance.uniform(0.0, 0.35))
            made.kill()
            kills += 1
            made.start()
        load.finish()
        made.drain()
        found = tally(made, the_sink, load)
        differences = len(made.door.get("/v1/ledger/verify")["differences"])
        modes = len(wider(made))
    return Measured(
        number=found.wrong + differences,
        cases=found.counted(kills),
        details=f"{found.words}, ledger differences {differences}; seed {seed}",
        more={**found.figures, "wide_files": modes},
    )
