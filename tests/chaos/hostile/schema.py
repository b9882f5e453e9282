"""What schemathesis makes of the daemon's own description, sent to both of its doors."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.host import host
from tests.chaos.hostile.found import Found
from tests.chaos.verdict import Measured
from tests.fakes.process_daemon import to, workspace
from tests.fakes.sink_process import sink

KINDS = ("crashes", "5xx or not as described", "errors in the log")

_EXAMPLES_SHARE = 100
"""Of so many cases one is the number of random examples for each operation; beside them it tries
the edges of each field, some 3,000 requests that are the same each time."""

_LEAST_EXAMPLES = 10
_CHECKS = (
    "not_a_server_error,response_schema_conformance,status_code_conformance,"
    "content_type_conformance"
)
_GENERATED, _FAULTY = re.compile(r"(\d+) generated"), re.compile(r"(\d+) found \d+ unique fail")


@contextmanager
def forwarded(path: Path) -> Iterator[int]:
    """A port of this host that leads to a Unix socket, since schemathesis speaks TCP only."""
    loop = asyncio.new_event_loop()
    ports: list[int] = []
    ready = threading.Event()
    stop = asyncio.Event()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while part := await reader.read(65536):
                writer.write(part)
                await writer.drain()
        except OSError:
            pass
        writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_in, there_out = await asyncio.open_unix_connection(str(path))
        await asyncio.gather(carry(reader, there_out), carry(there_in, writer))

    async def serve() -> None:
        server = await asyncio.start_server(connect, "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()
        await stop.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    ready.wait(5)
    try:
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(5)
        loop.close()


def _send(found: Found, port: int, *more: str) -> None:
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        f"http://127.0.0.1:{port}/openapi.json",
        "--checks",
        _CHECKS,
        "--phases",
        "examples,coverage,fuzzing",
        "--generation-database",
        "none",
        "--suppress-health-check",
        "all",
        "--no-color",
        *more,
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    generated, faulty = _GENERATED.search(done.stdout), _FAULTY.search(done.stdout)
    if generated is None:
        found.note("crashes", "schemathesis", done.stdout[-600:], done.stderr[-600:])
        return
    found.tried += int(generated[1])
    for _ in range(int(faulty[1]) if faulty else done.returncode):
        found.note("5xx or not as described", done.stdout[:2_000])


def measure(cases: int, twins: Sequence[str]) -> Measured:
    """Answers of 5xx, or that are not what the description says."""
    found = Found(KINDS)
    examples = str(max(_LEAST_EXAMPLES, cases // _EXAMPLES_SHARE))
    seed = 0
    with host(twins) as made, sink(made.log_path.parent / "sink") as the_sink:
        boxes = ["ana@acme.example; caps = [{ limit = 50, per = 'day' }]", "ben@acme.example"]
        tail = '[[path]]\nname = "out"\ntiers = [["ana@acme.example"]]\n'
        made.write("workspaces/acme.toml", workspace(the_sink.port, *boxes, tail=tail))
        made.start()
        made.door.send(to("kim@there.example"))
        token = made.token()
        assert made.port is not None
        with forwarded(made.socket) as port:
            while found.tried < cases and not found.harm:
                seed += 1
                more = ("--max-examples", examples, "--seed", str(seed))
                header = ("--header", f"Authorization: Bearer {token}")
                _send(found, made.port, *more, *header)
                _send(found, port, *more)
        if not made.alive or made.door.get("/v1/ledger/verify")["differences"]:
            found.note("crashes", "it is gone, or its ledger differs")
        for line in made.errors():
            found.note("errors in the log", line)
    return found.measured()
