"""The SMTP transport against connections that break, lie and stall, byte by byte.

The rule under test: not sent before our terminator leaves, unknown from then on, and never twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
import uvloop

from mailplaned.domain.outcomes import Outcome, Stage
from mailplaned.domain.policy import Tls
from mailplaned.transports.smtp import SmtpTransport
from tests.fakes.smtp_kit import (
    CONTENT,
    PASSWORD,
    QUICK,
    SHORT_S,
    USER,
    Authority,
    JumpClock,
    account,
    envelope,
    secrets,
)
from tests.fakes.smtp_raw import Line, RawServer, Script, may_forget, raw_server, stall

MSG, LATER = Outcome.REJECTED_MESSAGE, Outcome.TRANSIENT
UNKNOWN, TAKEN = Outcome.UNKNOWN, Outcome.ACCEPTED
BIG = b"x" * 70 + b"\r\n"
HUGE = BIG * 200_000
"""More than the socket buffers of both sides hold."""
HANG_UP = [Line.fin, Line.rst]
LOOPS = [asyncio.run, uvloop.run]
"""The daemon runs on uvloop where there is one; its sockets fail in their own ways."""

Run = Callable[[Coroutine[Any, Any, None]], None]
TO_DATA = ("250 raw", "250 ok", "250 ok", "354 go")
HELLOS = ["250 raw", "250-raw\r\n250 PIPELINING"]
"""To the second, all commands before the body leave together."""


@pytest.fixture
async def transport() -> AsyncIterator[SmtpTransport]:
    made = SmtpTransport(secrets(), JumpClock(), timeouts=QUICK)
    yield made
    await made.close()


def cut_after(
    bytes_heard: int, hang_up: Callable[[Line], None], server: list[RawServer], hello: str
) -> Script:
    """An honest server whose connection breaks once it has heard so many bytes."""

    async def script(line: Line) -> None:
        replies = iter([hello, *TO_DATA[1:]])
        line.say("220 raw ESMTP")
        pending, in_body = b"", False
        while len(line.heard) < bytes_heard:
            data = await line.reader.read(min(2**16, bytes_heard - len(line.heard)))
            if not data:
                return
            line.heard += data
            pending += data
            if in_body and pending.endswith(b"\r\n.\r\n"):
                server[0].accepted += 1
            while not in_body and b"\r\n" in pending and len(line.heard) < bytes_heard:
                command, _, pending = pending.partition(b"\r\n")
                in_body = command == b"DATA"
                line.say(next(replies))
        hang_up(line)

    return script


async def length_of_a_dialogue(hello: str) -> tuple[int, int]:
    """How many bytes we send in all, and before the body."""
    server: list[RawServer] = []
    timeouts = replace(QUICK, terminator=SHORT_S)
    transport = SmtpTransport(secrets(), JumpClock(), timeouts=timeouts)
    async with raw_server(cut_after(10**6, Line.fin, server, hello)) as raw:
        server.append(raw)
        await transport.send(envelope(account(raw.port)))
        await transport.close()
        heard = bytes(raw.lines[0].heard)
    return len(heard), heard.index(b"DATA\r\n") + len(b"DATA\r\n")


@pytest.mark.parametrize("run", LOOPS)
@pytest.mark.parametrize("hang_up", HANG_UP)
@pytest.mark.parametrize("hello", HELLOS)
def test_a_cut_after_any_byte_is_told_apart_at_the_terminator(
    hello: str, hang_up: Callable[[Line], None], run: Run
) -> None:
    run(cut_after_every_byte(hello, hang_up))


async def cut_after_every_byte(hello: str, hang_up: Callable[[Line], None]) -> None:
    total, before_body = await length_of_a_dialogue(hello)
    for heard in range(total + 1):
        transport = SmtpTransport(secrets(), JumpClock(), timeouts=QUICK)
        server: list[RawServer] = []
        async with raw_server(cut_after(heard, hang_up, server, hello)) as raw:
            server.append(raw)
            report = await transport.send(envelope(account(raw.port)))
            await transport.close()
        assert raw.accepted == (heard == total), heard
        assert len(raw.lines) == 1, heard
        if heard < before_body:
            assert report.outcome is LATER, (heard, report)
        elif heard >= total - len(b".\r\n"):
            assert report.outcome is UNKNOWN, (heard, report)
        else:  # in a body this small the terminator follows at once: it may have left already
            assert report.outcome in {LATER, UNKNOWN}, (heard, report)
        assert (report.outcome is UNKNOWN) == (report.stage is Stage.DOT), (heard, report)


@pytest.mark.parametrize("hang_up", HANG_UP)
async def test_a_drop_right_after_the_354_is_not_sent(
    transport: SmtpTransport, hang_up: Callable[[Line], None]
) -> None:
    async def script(line: Line) -> None:
        await line.dialogue(*TO_DATA)
        hang_up(line)

    async with raw_server(script) as raw:
        report = await transport.send(envelope(account(raw.port)))
        assert (report.outcome, report.stage) == (LATER, Stage.DATA)


@pytest.mark.parametrize("hang_up", HANG_UP)
async def test_a_drop_in_the_middle_of_the_body_is_not_sent(
    transport: SmtpTransport, hang_up: Callable[[Line], None]
) -> None:
    async def script(line: Line) -> None:
        await line.dialogue(*TO_DATA)
        await line.reader.readexactly(100_000)
        hang_up(line)

    async with raw_server(script) as raw:
        report = await transport.send(envelope(account(raw.port), content=HUGE))
        assert (report.outcome, report.stage) == (LATER, Stage.DATA)


async def test_a_server_that_stops_reading_the_body_is_given_up() -> None:
    transport = SmtpTransport(secrets(), JumpClock(), timeouts=replace(QUICK, block=SHORT_S))

    async def script(line: Line) -> None:
        await line.dialogue(*TO_DATA)
        await asyncio.Event().wait()

    async with raw_server(script) as raw:
        report = await transport.send(envelope(account(raw.port), content=HUGE))
        assert (report.outcome, report.stage) == (LATER, Stage.DATA)
        assert "in time" in report.reply.text
        await transport.close()


@pytest.mark.parametrize(
    ("said", "outcome", "stage"),
    [
        ("552 5.3.4 too big", MSG, Stage.DATA),
        ("421 4.3.2 going down", LATER, Stage.DATA),
        ("250 2.0.0 thanks, that is enough", UNKNOWN, Stage.DOT),
    ],
)
async def test_a_reply_before_the_end_of_the_body_ends_it(
    transport: SmtpTransport, said: str, outcome: Outcome, stage: Stage
) -> None:
    async def script(line: Line) -> None:
        await line.dialogue(*TO_DATA)
        await line.reader.readexactly(100_000)
        line.say(said)
        await asyncio.Event().wait()

    async with raw_server(script) as raw:
        report = await transport.send(envelope(account(raw.port), content=HUGE))
        assert (report.outcome, report.stage) == (outcome, stage)
        assert report.reply.text == said[4:]


@pytest.mark.parametrize("said", ["", "25", "250 2.0.0 ok, but no line end", "what?\r\n"])
@pytest.mark.parametrize("hang_up", HANG_UP)
async def test_no_readable_reply_to_the_dot_is_unknown(
    transport: SmtpTransport, said: str, hang_up: Callable[[Line], None]
) -> None:
    async def script(line: Line) -> None:
        await line.dialogue(*TO_DATA)
        await line.hear_body()
        raw.accepted += 1
        line.writer.write(said.encode())
        hang_up(line)

    async with raw_server(script) as raw:
        report = await transport.send(envelope(account(raw.port)))
        assert (report.outcome, report.stage, report.reply.code) == (UNKNOWN, Stage.DOT, 0)
        assert [r.outcome for r in report.recipients] == [UNKNOWN]
        assert raw.accepted == len(raw.lines) == 1


async def test_a_reply_in_pieces_and_lines_is_read_whole(transport: SmtpTransport) -> None:
    async def script(line: Line) -> None:
        await line.dialogue(*TO_DATA)
        await line.hear_body()
        for piece in (b"2", b"50-2.0.0 first\r", b"\n250", b" 2.0.0 last\r\n"):
            line.writer.write(piece)
            await line.writer.drain()
            await asyncio.sleep(0)

    async with raw_server(script) as raw:
        report = await transport.send(envelope(account(raw.port)))
        assert report.outcome is TAKEN
        assert report.reply.text == "2.0.0 first 2.0.0 last"


@pytest.mark.parametrize(
    ("replies", "stage"),
    [
        (("250 raw\r\n250 ok", "250 ok", "550 5.1.1 no", "503 5.5.1 no", "502"), Stage.MAIL),
        (("250 raw", "250 ok\r\n250 ok", "550 5.1.1 no", "503 5.5.1 no", "502"), Stage.RCPT),
        (("250 raw", "250 ok", "250 ok\r\n354 go\r\n250 done", "354 go", "550 no"), Stage.DATA),
        (("250 raw", "250 ok", "250 ok", "354 go\r\n250 done", "550 no"), Stage.DATA),
        (("250 raw", "250 ok", "250 ok", "354 go\r\n250", "550 no"), Stage.DATA),
    ],
)
async def test_a_server_that_answers_what_nobody_asked_gets_no_message(
    transport: SmtpTransport, replies: tuple[str, ...], stage: Stage
) -> None:
    async def script(line: Line) -> None:
        await line.dialogue(*replies[:4])
        raw.accepted += (await line.hear_body()).endswith(b"\r\n.\r\n")
        line.say(replies[4])

    async with raw_server(script) as raw:
        report = await transport.send(envelope(account(raw.port)))
        assert (report.outcome, report.stage) == (LATER, stage)
        assert "out of turn" in report.reply.text
        assert raw.accepted == 0


@pytest.mark.parametrize(
    "said",
    [
        "550-5.7.1 not\r\n250 2.0.0 ok",
        "250-2.0.0 ok\r\n550 5.7.1 not",
        "2500 2.0.0 ok",
        "250_ok",
        "250\x00ok",
    ],
)
async def test_a_reply_to_the_dot_that_can_be_read_in_two_ways_is_unknown(
    transport: SmtpTransport, said: str
) -> None:
    async def script(line: Line) -> None:
        await line.dialogue(*TO_DATA)
        await line.hear_body()
        line.say(said)
        await stall(line)

    async with raw_server(script) as raw:
        report = await transport.send(envelope(account(raw.port)))
        assert (report.outcome, report.stage, report.reply.code) == (UNKNOWN, Stage.DOT, 0)


def test_a_connection_that_the_other_side_has_forgotten_is_given_up_long_before_the_time_out() -> (
    None
):
    if not may_forget():
        pytest.skip("CAP_NET_ADMIN is missing")
    patient = replace(QUICK, greeting=600, terminator=600, silence=1)

    async def forget_at_once(line: Line) -> None:
        line.forget()

    async def forget_the_message(line: Line) -> None:
        await line.dialogue(*TO_DATA)
        await line.hear_body()
        line.forget()

    async def send(script: Script) -> tuple[Outcome, Stage]:
        transport = SmtpTransport(secrets(), JumpClock(), timeouts=patient)
        async with asyncio.timeout(30), raw_server(script) as raw:
            report = await transport.send(envelope(account(raw.port)))
        assert "connection lost" in report.reply.text
        return report.outcome, report.stage

    async def both() -> None:
        early, late = await asyncio.gather(send(forget_at_once), send(forget_the_message))
        assert early == (LATER, Stage.GREETING)
        assert late == (UNKNOWN, Stage.DOT)

    uvloop.run(both())


@pytest.mark.parametrize(
    ("answered", "stage", "limit"),
    [
        (0, Stage.GREETING, "greeting"),
        (1, Stage.GREETING, "command"),
        (2, Stage.MAIL, "command"),
        (3, Stage.RCPT, "command"),
        (4, Stage.DATA, "data"),
        (5, Stage.DOT, "terminator"),
    ],
)
@pytest.mark.parametrize("hello", HELLOS)
async def test_silence_is_waited_for_a_limited_time(
    hello: str, answered: int, stage: Stage, limit: str
) -> None:
    async def script(line: Line) -> None:
        for reply in ("220 raw", hello, *TO_DATA[1:])[:answered]:
            line.say(reply)
            await line.hear()
        await stall(line)

    transport = SmtpTransport(secrets(), JumpClock(), timeouts=replace(QUICK, **{limit: SHORT_S}))
    async with raw_server(script) as raw:
        report = await transport.send(envelope(account(raw.port)))
        assert report.stage is stage
        assert report.outcome is (UNKNOWN if stage is Stage.DOT else LATER)
        assert "in time" in report.reply.text
        assert len(raw.lines) == 1
        await transport.close()


@pytest.mark.parametrize("said", ["what?", "25", "2x0 hm", "250-" + "x" * 9000])
@pytest.mark.parametrize("stage", [Stage.GREETING, Stage.MAIL, Stage.RCPT, Stage.DATA])
@pytest.mark.parametrize("hello", HELLOS)
async def test_rubbish_is_no_reply(
    transport: SmtpTransport, hello: str, said: str, stage: Stage
) -> None:
    good = {Stage.GREETING: 0, Stage.MAIL: 2, Stage.RCPT: 3, Stage.DATA: 4}[stage]

    async def script(line: Line) -> None:
        for reply in ("220 raw", hello, "250 ok", "250 ok")[:good]:
            line.say(reply)
            await line.hear()
        line.say(said)
        await stall(line)

    async with raw_server(script) as raw:
        report = await transport.send(envelope(account(raw.port)))
        assert (report.outcome, report.stage) == (LATER, stage)


async def test_a_stripped_starttls_ends_the_attempt_before_any_secret_leaves(
    transport: SmtpTransport,
) -> None:
    async def script(line: Line) -> None:
        await line.dialogue("250-raw\r\n250 AUTH PLAIN LOGIN")
        while await line.hear():
            line.say("235 2.7.0 welcome")

    async with raw_server(script) as raw:
        on = account(raw.port, tls=Tls.STARTTLS, login=True)
        for report in (await transport.send(envelope(on)), await transport.probe(on)):
            assert (report.outcome, report.stage) == (LATER, Stage.TLS)
            assert "STARTTLS" in report.reply.text
        assert all(bytes(line.heard).startswith(b"EHLO ") for line in raw.lines)
        assert not any(b"AUTH" in line.heard or b"MAIL" in line.heard for line in raw.lines)


async def test_plaintext_slipped_in_after_the_220_is_thrown_away() -> None:
    authority = Authority()
    transport = SmtpTransport(secrets(), JumpClock(), timeouts=QUICK, context=authority.trusting)

    async def script(line: Line) -> None:
        await line.dialogue("250-raw\r\n250 STARTTLS")
        await line.hear()
        line.say("220 go\r\n250-evil\r\n250 AUTH LOGIN\r\n235 in clear")
        await line.start_tls(authority.server)
        for reply in ("250-raw\r\n250 AUTH PLAIN", "535 5.7.8 from inside"):
            await line.hear()
            line.say(reply)
        await stall(line)

    async with raw_server(script) as raw:
        on = account(raw.port, tls=Tls.STARTTLS, login=True)
        report = await transport.send(envelope(on))
        assert (report.outcome, report.stage) == (Outcome.BLOCKED_SENDER, Stage.AUTH)
        assert report.reply.text == "5.7.8 from inside"
        assert b"AUTH PLAIN" in raw.lines[0].heard
        await transport.close()


@pytest.mark.parametrize("run", LOOPS)
def test_the_body_goes_out_through_tls_whole(run: Run) -> None:
    run(send_much_through_tls())


async def send_much_through_tls() -> None:
    authority = Authority()
    transport = SmtpTransport(secrets(), JumpClock(), timeouts=QUICK, context=authority.trusting)
    content = CONTENT + BIG * 30_000
    bodies: list[bytes] = []

    async def script(line: Line) -> None:
        await line.dialogue("250-raw\r\n250 STARTTLS")
        await line.hear()
        line.say("220 go")
        await line.start_tls(authority.server)
        for reply in TO_DATA:
            await line.hear()
            line.say(reply)
        body = bytearray()
        while not body.endswith(b"\r\n.\r\n"):
            body += await line.reader.read(2**16)
        bodies.append(bytes(body))
        line.say("250 2.0.0 ok")
        await line.hear()

    async with raw_server(script) as raw:
        report = await transport.send(
            envelope(account(raw.port, tls=Tls.STARTTLS), content=content)
        )
        assert report.outcome is TAKEN
        assert bodies == [content.replace(b"\r\n.", b"\r\n..") + b".\r\n"]
        await transport.close()


@pytest.mark.parametrize(
    ("echo", "outcome"),
    [
        ('500 5.5.1 command "{}" not recognised', Outcome.BLOCKED_SENDER),
        ("what is {}?", LATER),
        ("500-{}\r\nwhat?", LATER),
    ],
)
async def test_no_report_holds_the_secret_in_any_form(
    transport: SmtpTransport, echo: str, outcome: Outcome
) -> None:
    async def script(line: Line) -> None:
        await line.dialogue("250-raw\r\n250 AUTH PLAIN")
        said = (await line.hear()).decode().strip()
        line.say(echo.format(said))
        await stall(line)

    async with raw_server(script) as raw:
        report = await transport.send(envelope(account(raw.port, login=True)))
        token = bytes(raw.lines[0].heard).split()[-1].decode()
        assert USER not in report.reply.text
        assert token not in repr(report)
        assert PASSWORD not in repr(report)
        assert (report.outcome, report.stage) == (outcome, Stage.AUTH)
