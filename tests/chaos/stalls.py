"""A network between the daemon and its relay that stalls, cuts and drops.

Where that is possible the daemon and the sink live in a network namespace of their own whose
loopback is slow and loses packets; a proxy between them stalls and cuts connections in any case.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.chaos.host import ROOT, host, sink_in
from tests.chaos.load import LANES, Load, book
from tests.chaos.mounts import need, run
from tests.chaos.tally import tally
from tests.chaos.verdict import Measured, Skipped
from tests.fakes.process_wait import until

CHUNK = 256
"""Bytes that the proxy hands on at a time."""

STALL, CUT = 0.02, 0.01
"""How likely each is, for each chunk."""

SOCKET_LANES = [lane for lane in LANES if lane[0] == "socket"]
"""The shim's port is not to be reached from outside the namespace."""

LONGEST_STALL_S = 0.5
LIFE_S = 8.0
"""How long a connection lives at most."""

_RULES = (
    "add table inet chaos",
    "add chain inet chaos out { type filter hook output priority 0; }",
    "add rule inet chaos out oifname lo tcp dport 1024-65535 numgen random mod 100 < 3 drop",
)
_SHAPE = ("tc", "qdisc", "add", "dev", "lo", "root", "tbf", "rate", "8mbit", "burst", "32kb",
          "latency", "50ms")  # fmt: skip


@contextmanager
def namespace() -> Iterator[tuple[str, ...]]:
    """The command prefix that runs in it. Raises Skipped where there is none to be had."""
    need("ip", "nft", "tc")
    name = f"mp-chaos-{os.getpid()}"
    inside = ("ip", "netns", "exec", name)
    run("ip", "netns", "add", name)
    try:
        run(*inside, "ip", "link", "set", "lo", "up")
        run(*inside, *_SHAPE)
        for rule in _RULES:
            run(*inside, "nft", rule)
        yield inside
    finally:
        run("ip", "netns", "delete", name)


@contextmanager
def _network() -> Iterator[tuple[tuple[str, ...], str]]:
    with contextlib.ExitStack() as stack:
        try:
            inside = stack.enter_context(namespace())
            words = "a slow loopback that drops 3 % of packets, and the proxy"
        except Skipped as why:
            inside, words = (), f"the proxy only, no namespace ({why})"
        yield inside, words


def measure(cases: int, twins: Sequence[str]) -> Measured:
    """That many messages through it."""
    seed = random.SystemRandom().getrandbits(32)
    with (
        _network() as (inside, words),
        host(twins, prefix=inside) as made,
        sink_in(made.log_path.parent / "sink", inside) as the_sink,
        _proxy(inside, the_sink.port, seed) as port,
    ):
        made.write("workspaces/acme.toml", book(port))
        made.start()
        load = Load(made, "", lanes=SOCKET_LANES)
        load.start()
        load.quota = cases
        until(lambda: load.made >= cases, "all of the load", 30)
        load.finish()
        made.drain(180)
        found = tally(made, the_sink, load)
    return Measured(
        number=found.wrong,
        cases=len(load.answered),
        details=f"{found.words}; {words}; seed {seed}",
        more=found.figures,
    )


@contextmanager
def _proxy(inside: Sequence[str], port: int, seed: int) -> Iterator[int]:
    command = [*inside, sys.executable, "-m", "tests.chaos.stalls", str(port), str(seed)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


# --- the proxy -----------------------------------------------------------------------------------


async def _hand_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, chance: random.Random
) -> None:
    while part := await reader.read(CHUNK):
        fate = chance.random()
        if fate < CUT:
            writer.write(part[: chance.randrange(len(part))])
            return
        if fate < CUT + STALL:
            await asyncio.sleep(chance.uniform(0, LONGEST_STALL_S))
        writer.write(part)
        await writer.drain()


async def _serve(port: int, chance: random.Random) -> None:
    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ways: list[asyncio.Task[None]] = []
        try:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(LIFE_S):
                    back, forth = await asyncio.open_connection("127.0.0.1", port)
                    ways.append(asyncio.create_task(_hand_on(reader, forth, chance)))
                    ways.append(asyncio.create_task(_hand_on(back, writer, chance)))
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            if ways:
                forth.close()
            writer.close()

    server = await asyncio.start_server(join, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("seed", type=int)
    arguments = parser.parse_args()
    asyncio.run(_serve(arguments.port, random.Random(arguments.seed)))


if __name__ == "__main__":
    main()
