"""A second opinion: Postfix's smtp-sink, which shares no line of Python with us."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mailplaned.domain.outcomes import Outcome, Stage
from mailplaned.domain.policy import Tls
from mailplaned.transports.smtp import SmtpTransport
from tests.fakes.smtp_kit import CONTENT, QUICK, Authority, JumpClock, account, envelope, secrets
from tests.fakes.smtp_server import provider

SINK = shutil.which("smtp-sink", path=os.defpath + ":/usr/sbin")
pytestmark = pytest.mark.skipif(SINK is None, reason="smtp-sink (package postfix) is not here")
LATER, UNKNOWN, TAKEN = Outcome.TRANSIENT, Outcome.UNKNOWN, Outcome.ACCEPTED


@asynccontextmanager
async def sink(folder: Path, *options: str) -> AsyncIterator[int]:
    """A running smtp-sink's port. It writes what it takes into the folder."""
    assert SINK is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    root = ("-u", "root") if os.getuid() == 0 else ()
    process = await asyncio.create_subprocess_exec(
        SINK, *root, "-d", "taken.%M.", *options, f"127.0.0.1:{port}", "16", cwd=folder
    )
    try:
        for _ in range(200):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)
                continue
            writer.close()
            await writer.wait_closed()
            break
        yield port
    finally:
        process.terminate()
        await process.wait()


def read_all(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.iterdir()]


@pytest.mark.parametrize(
    ("options", "outcome", "stage"),
    [
        ((), TAKEN, Stage.DOT),
        (("-q", "."), UNKNOWN, Stage.DOT),
        (("-Q", "."), LATER, Stage.DOT),
        (("-f", "."), Outcome.REJECTED_MESSAGE, Stage.DOT),
        (("-r", "."), LATER, Stage.DOT),
        (("-q", "data"), LATER, Stage.DATA),
        (("-f", "data"), Outcome.REJECTED_MESSAGE, Stage.DATA),
        (("-r", "rcpt"), LATER, Stage.RCPT),
        (("-q", "rcpt"), LATER, Stage.RCPT),
        (("-Q", "mail"), LATER, Stage.MAIL),
        (("-f", "mail"), Outcome.BLOCKED_SENDER, Stage.MAIL),
        (("-q", "connect"), LATER, Stage.GREETING),
        (("-f", "ehlo"), Outcome.BLOCKED_SENDER, Stage.GREETING),
    ],
)
async def test_smtp_sink_sees_what_we_report(
    tmp_path: Path, options: tuple[str, ...], outcome: Outcome, stage: Stage
) -> None:
    transport = SmtpTransport(secrets(), JumpClock(), timeouts=QUICK)
    async with sink(tmp_path, *options) as port:
        for _ in range(2):
            report = await transport.send(envelope(account(port)))
            assert (report.outcome, report.stage) == (outcome, stage), report
        await transport.close()
    taken = read_all(tmp_path)
    if outcome is TAKEN:
        assert len(taken) == 2
        # It keeps the lines as its own host would, behind headers of its own.
        expected = CONTENT.replace(b"\r\n", b"\n")
        assert all(expected in message.replace(b"\r\n", b"\n") for message in taken), taken


async def test_a_private_authority_is_honoured_through_ssl_cert_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL reads the variable when the context is made, which the default does."""
    authority = Authority()
    bundle = tmp_path / "ca.pem"
    authority.root.cert_pem.write_to_path(bundle)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    transport = SmtpTransport(secrets(), JumpClock(), timeouts=QUICK)
    async with provider(context=authority.server) as relay:
        report = await transport.send(envelope(account(relay.port, tls=Tls.STARTTLS)))
        assert report.outcome is TAKEN
        await transport.close()
    assert ssl.create_default_context().verify_mode is ssl.CERT_REQUIRED
