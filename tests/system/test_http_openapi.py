"""The description is true: judged by openapi-spec-validator, and by schemathesis on both doors."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from tests.fakes.process_daemon import Daemon, daemon, short_folder, to, workspace
from tests.fakes.sink_process import sink

EXAMPLES = 20
SECONDS = 60
CHECKS = (
    "not_a_server_error,response_schema_conformance,status_code_conformance,"
    "content_type_conformance"
)


@pytest.fixture(scope="module")
def running() -> Iterator[Daemon]:
    with short_folder() as folder, sink(folder / "sink") as provider, daemon(folder) as made:
        boxes = ["ana@acme.example; caps = [{ limit = 50, per = 'day' }]", "ben@acme.example"]
        tail = '[[path]]\nname = "out"\ntiers = [["ana@acme.example"]]\n'
        made.write("workspaces/acme.toml", workspace(provider.port, *boxes, tail=tail))
        made.start()
        made.door.send(to("kim@there.example"))
        yield made


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


def schemathesis(port: int, *more: str) -> str:
    """Its verdict; fails with its words when it has found something."""
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        f"http://127.0.0.1:{port}/openapi.json",
        "--checks",
        CHECKS,
        "--max-examples",
        str(EXAMPLES),
        "--phases",
        "examples,coverage,fuzzing",
        "--generation-database",
        "none",
        "--seed",
        "1",
        "--suppress-health-check",
        "all",
        "--no-color",
        *more,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout


def test_both_descriptions_are_openapi(running: Daemon) -> None:
    for door in (running.door, running.shim(running.token())):
        described: dict[str, Any] = door.get("/openapi.json")
        assert described["openapi"].startswith("3.1")
        validate(described)


def test_the_shims_description_names_no_route_of_the_operator(running: Daemon) -> None:
    shim = running.shim(running.token()).get("/openapi.json")["paths"]
    operator = running.door.get("/openapi.json")["paths"]
    assert shim.keys() < operator.keys()
    assert not [path for path in shim if re.search("pause|token|audit|resolve|stream", path)]


@pytest.mark.slow
def test_schemathesis_finds_no_fault_in_the_shim(running: Daemon) -> None:
    words = schemathesis(running.shim_port, "--header", f"Authorization: Bearer {running.token()}")
    print(words[-700:])
    assert running.door.get("/v1/ledger/verify")["differences"] == []


@pytest.mark.slow
def test_schemathesis_finds_no_fault_in_the_operators_socket(running: Daemon) -> None:
    with forwarded(running.socket) as port:
        words = schemathesis(port)
    print(words[-700:])
    assert running.door.get("/v1/ledger/verify")["differences"] == []
    assert not [line for line in running.log() if line["level"] in {"error", "critical"}]
