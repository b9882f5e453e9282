"""EIO and SIGKILL at the N-th call that makes something durable, by strace (§3.1 of the faults).

The tracer is the daemon's grandchild (`-D`), so the process that is killed is the daemon itself.
The state lives on through all of it: each case starts on what the one before has left.
"""

from __future__ import annotations

import http.client
import shutil
from collections.abc import Sequence

from tests.chaos.host import Host, host
from tests.chaos.load import Load, book
from tests.chaos.tally import tally
from tests.chaos.verdict import Measured, Skipped
from tests.fakes.process_wait import until
from tests.fakes.sink_process import sink

FAULTS = (
    "fdatasync:error=EIO",
    "pwrite64:signal=SIGKILL",
    "fdatasync:signal=SIGKILL",
    "pwrite64:error=EIO",
)
DEPTH = 30
"""The N-th call, from the first on."""

_ANSWERS = 40
"""How many messages are let in after the start: more calls than `DEPTH` come of them."""


def measure(cases: int, twins: Sequence[str]) -> Measured:
    """One of the faults at the N-th call, N from 1 to 30, and each time a run without fault."""
    if shutil.which("strace") is None:
        raise Skipped("not installed: strace")
    at_start = killed = done = 0
    wrong: list[str] = []
    with host(twins) as made, sink(made.log_path.parent / "sink") as the_sink:
        made.write("workspaces/acme.toml", book(the_sink.port))
        made.start()
        load = Load(made, made.token())
        load.start()
        try:
            for number in range(cases):
                made.kill()
                fault = FAULTS[(number + number // DEPTH) % len(FAULTS)]
                inject = f"{fault}:when={number % DEPTH + 1}"
                call = fault.partition(":")[0]
                made.prefix = ("strace", "-D", "-f", "-qqq", "-o", "/dev/null", "-e",
                               f"trace={call}", "-e", f"inject={inject}")  # fmt: skip
                code = made.try_start()
                load.quota = load.made + _ANSWERS
                if code is not None:
                    at_start += 1
                    if code == 0:
                        wrong.append(f"{inject}: ended as if all were well")
                elif not _gets_through(made, load):
                    killed += 1
                done += 1
                made.prefix = ()
                if made.process is not None:
                    made.kill()
                made.start()
            load.finish()
            made.drain()
            found = tally(made, the_sink, load)
            differences = len(made.door.get("/v1/ledger/verify")["differences"])
        finally:
            load.stop()
    return Measured(
        number=found.wrong + differences + len(wrong),
        cases=found.counted(done),
        details=f"{found.words}, ledger differences {differences}; ended while starting "
        f"{at_start}, killed at work {killed}; {'; '.join(wrong) or 'nothing else'}",
        more=found.figures,
    )


def _gets_through(made: Host, load: Load) -> bool:
    """Whether the daemon lives to answer all of its load."""
    try:
        until(lambda: load.spent() or not made.alive, "answers, or the end", 30)
    except (OSError, http.client.HTTPException):
        return False
    return made.alive
