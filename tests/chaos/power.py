"""The power goes, under load: what was acknowledged is there afterwards (G3)."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Sequence

from tests.chaos.host import host
from tests.chaos.kill import loaded
from tests.chaos.mounts import disk
from tests.chaos.tally import tally
from tests.chaos.verdict import Measured

_DRAIN_S = 0.1
"""For the senders to read the answers that the stopped daemon had already given."""


def measure(cases: int, twins: Sequence[str]) -> Measured:
    """Cut the power that often, and count what is wrong after all of it."""
    seed = random.SystemRandom().getrandbits(32)
    chance = random.Random(seed)
    with disk() as made_disk, host(twins) as made:
        made.state = made_disk.point / "state"
        cuts = 0
        with loaded(made) as (the_sink, load):
            for _ in range(cases):
                load.keep_busy()
                time.sleep(chance.uniform(0.2, 0.8))
                assert made.process is not None
                made.process.send_signal(signal.SIGSTOP)
                time.sleep(_DRAIN_S)
                made_disk.cut()
                made.kill()
                made_disk.unmount()
                made_disk.mount()
                cuts += 1
                made.start()
            load.finish()
            made.drain()
            found = tally(made, the_sink, load)
            differences = len(made.door.get("/v1/ledger/verify")["differences"])
            made.kill()
    return Measured(
        number=found.wrong + differences,
        cases=found.counted(cuts),
        details=f"{found.words}, ledger differences {differences}; seed {seed}",
        more=found.figures,
    )
