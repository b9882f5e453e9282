"""Commands that leave together (RFC 2920): whose reply is whose stays certain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from mailplaned.domain.outcomes import Outcome, Stage
from mailplaned.transports.smtp import SmtpTransport
from mailplaned.transports.transaction import FLIGHT_COMMANDS
from tests.fakes.smtp_kit import QUICK, SHORT_S, JumpClock, account, envelope, secrets
from tests.fakes.smtp_raw import Line, raw_server
from tests.fakes.smtp_server import provider

HELLO = "250-raw\r\n250 PIPELINING"
LATER, TAKEN, BAD = Outcome.TRANSIENT, Outcome.ACCEPTED, Outcome.REJECTED_RECIPIENT


@pytest.fixture
async def transport() -> AsyncIterator[SmtpTransport]:
    made = SmtpTransport(secrets(), JumpClock(), timeouts=QUICK)
    yield made
    await made.close()


@pytest.mark.parametrize(
    "replies",
    [
        ("250 ok\r\n250 ok", "550 5.1.1 no", "503 5.5.1 no"),
        ("250 ok\r\n250 ok", "250 ok", "354 go"),
        ("550 5.7.1 no\r\n250 ok", "503 5.5.1 no", "503 5.5.1 no"),
        ("250 ok", "550 5.1.1 no\r\n550 5.1.1 no", "554 5.5.1 no valid recipients"),
        ("250 ok", "250 ok\r\n354 go\r\n250 done", "354 go"),
        ("250 ok", "250 ok", "354 go\r\n250 done"),
        ("250 ok", "250 ok", "354 go\r\n250"),
        ("250 ok", "250 ok", "554 5.5.1 no\r\n250 done"),
    ],
)
async def test_one_reply_too_many_is_found_when_commands_leave_together(
    transport: SmtpTransport, replies: tuple[str, ...]
) -> None:
    async def script(line: Line) -> None:
        await line.dialogue(HELLO, *replies)
        while command := await line.hear():
            line.say("250 ok" if command == b"RSET\r\n" else "221 bye")
            raw.accepted += command == b".\r\n"

    async with raw_server(script) as raw:
        report = await transport.send(envelope(account(raw.port)))
        assert report.outcome is LATER
        assert [r.outcome for r in report.recipients] == [LATER]
        assert "out of turn" in report.reply.text
        assert raw.accepted == 0


async def test_commands_that_leave_together_are_answered_byte_by_byte(
    transport: SmtpTransport,
) -> None:
    async def script(line: Line) -> None:
        await line.dialogue(HELLO)
        assert [(await line.hear())[:4] for _ in range(4)] == [b"MAIL", b"RCPT", b"RCPT", b"DATA"]
        for octet in b"250-2.1.0\r\n250 ok\r\n550 5.1.1 unknown\r\n250 ok\r\n354 go\r\n":
            line.writer.write(bytes([octet]))
            await line.writer.drain()
            await asyncio.sleep(0)
        await line.hear_body()
        line.say("250 2.0.0 ok")
        await line.hear()

    async with raw_server(script) as raw:
        message = envelope(account(raw.port), "gone@x.example", "b@x.example")
        report = await transport.send(message)
        assert report.outcome is TAKEN
        assert [r.outcome for r in report.recipients] == [BAD, TAKEN]


@pytest.mark.parametrize("hang_up", [Line.fin, Line.rst])
async def test_a_refusal_is_believed_when_the_server_hangs_up_on_it(
    transport: SmtpTransport, hang_up: Callable[[Line], None]
) -> None:
    async def script(line: Line) -> None:
        await line.dialogue(HELLO, "250 ok", "550 5.1.1 unknown", "554 5.5.1 no recipients")
        await line.writer.drain()
        await asyncio.sleep(SHORT_S)
        hang_up(line)

    async with raw_server(script) as raw:
        report = await transport.send(envelope(account(raw.port)))
        assert (report.outcome, report.stage) == (BAD, Stage.RCPT)
        assert len(raw.lines) == 1


async def test_a_body_asked_for_when_nobody_is_left_to_send_to_is_not_sent(
    transport: SmtpTransport,
) -> None:
    async def script(line: Line) -> None:
        await line.dialogue(HELLO, "250 ok", "550 5.1.1 unknown", "354 go")
        line.heard += await line.reader.read()

    async with raw_server(script) as raw:
        report = await transport.send(envelope(account(raw.port)))
        assert (report.outcome, report.stage) == (BAD, Stage.RCPT)
        assert raw.lines[0].heard.endswith(b"DATA\r\n")


async def test_many_recipients_leave_in_flights_and_keep_their_own_answers(
    transport: SmtpTransport,
) -> None:
    everyone = [f"kim{n}@there.example" for n in range(2 * FLIGHT_COMMANDS + 7)]
    gone = set(everyone[::3])
    async with provider(pipelining=True) as relay:
        relay.says |= dict.fromkeys(gone, "550 5.1.1 unknown")
        report = await transport.send(envelope(account(relay.port), *everyone))
        assert report.outcome is TAKEN
        assert {r.address for r in report.recipients if r.outcome is BAD} == gone
        [taken] = relay.accepted
        assert taken.recipients == tuple(a for a in everyone if a not in gone)
