"""How the SMTP transport keeps, lends, replaces and closes its connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from mailplaned.domain.outcomes import Outcome, Stage
from mailplaned.transports.pool import Reuse
from mailplaned.transports.smtp import SmtpTransport
from mailplaned.transports.wire import FAREWELL_S
from tests.fakes.smtp_kit import (
    PASSWORD,
    QUICK,
    SHORT_S,
    USER,
    JumpClock,
    account,
    envelope,
    secrets,
)
from tests.fakes.smtp_raw import Line, raw_server, stall
from tests.fakes.smtp_server import DOT, RCPT, Provider, provider

LATER, TAKEN = Outcome.TRANSIENT, Outcome.ACCEPTED
ONE_MESSAGE = ("250 ok", "250 ok", "354 go")


def made(clock: JumpClock | None = None, reuse: Reuse | None = None) -> SmtpTransport:
    return SmtpTransport(secrets(), clock or JumpClock(), timeouts=QUICK, reuse=reuse)


@pytest.fixture
async def relay() -> AsyncIterator[Provider]:
    async with provider() as running:
        yield running


async def take_one(line: Line) -> None:
    for reply in ONE_MESSAGE:
        await line.hear()
        line.say(reply)
    await line.hear_body()
    line.say("250 2.0.0 taken")


async def test_messages_of_a_mailbox_share_a_connection(relay: Provider) -> None:
    transport = made()
    for _ in range(5):
        assert (await transport.send(envelope(account(relay.port)))).outcome is TAKEN
    assert (len(relay.connections), len(relay.accepted)) == (1, 5)
    await transport.close()


async def test_mailboxes_do_not_share_a_connection(relay: Provider) -> None:
    transport = made()
    for mailbox in ("ana@acme.example", "bo@acme.example"):
        await transport.send(replace(envelope(account(relay.port)), mailbox=mailbox))
    assert len(relay.connections) == 2
    await transport.close()


async def test_a_changed_account_gets_its_own_login() -> None:
    async with provider(users={USER: PASSWORD}) as relay:
        transport = made()
        first = account(relay.port, login=True)
        await transport.send(envelope(first))
        await transport.send(envelope(replace(first)))
        assert len(relay.logins) == 1
        report = await transport.send(envelope(replace(first, username="bo")))
        assert (report.outcome, report.stage) == (Outcome.BLOCKED_SENDER, Stage.AUTH)
        assert len(relay.logins) == 2
        await transport.close()


async def test_no_more_connections_are_open_than_the_account_allows(relay: Provider) -> None:
    timeouts = replace(QUICK, slot=SHORT_S, terminator=4 * SHORT_S)
    transport = SmtpTransport(secrets(), JumpClock(), timeouts=timeouts)
    relay.stall = True
    on = account(relay.port, connections=3)
    attempts = [asyncio.create_task(transport.send(envelope(on))) for _ in range(8)]
    reports = await asyncio.gather(*attempts)
    assert len(relay.connections) == 3
    assert [r.outcome for r in reports].count(Outcome.UNKNOWN) == 3
    waiting = [r for r in reports if r.outcome is LATER]
    assert [r.stage for r in waiting] == [Stage.CONNECT] * 5
    assert all("busy" in r.reply.text for r in waiting)
    await transport.close()


async def test_many_at_once_all_go_through_few_connections(relay: Provider) -> None:
    transport = made()
    on = account(relay.port, connections=2)
    reports = await asyncio.gather(*(transport.send(envelope(on)) for _ in range(30)))
    assert {r.outcome for r in reports} == {TAKEN}
    assert (len(relay.connections), len(relay.accepted)) == (2, 30)
    await transport.close()


async def test_a_connection_serves_so_many_messages_and_no_more(relay: Provider) -> None:
    transport = made(reuse=Reuse(messages=2))
    for _ in range(5):
        await transport.send(envelope(account(relay.port)))
    assert len(relay.connections) == 3
    await transport.close()


async def test_a_connection_serves_so_long_and_no_longer(relay: Provider) -> None:
    clock = JumpClock()
    transport = made(clock)
    await transport.send(envelope(account(relay.port)))
    clock.ahead_us += 301_000_000
    await transport.send(envelope(account(relay.port)))
    assert len(relay.connections) == 2
    await transport.close()


async def test_an_idle_connection_says_quit_and_is_closed() -> None:
    heard = asyncio.Event()

    async def script(line: Line) -> None:
        await line.dialogue("250 raw")
        await take_one(line)
        assert await line.hear() == b"QUIT\r\n"
        line.say("221 bye")
        assert await line.hear() == b""
        heard.set()

    transport = made(reuse=Reuse(idle_s=0.05))
    async with raw_server(script) as raw:
        assert (await transport.send(envelope(account(raw.port)))).outcome is TAKEN
        await asyncio.wait_for(heard.wait(), FAREWELL_S / 2)
    await transport.close()


async def test_a_server_that_ignores_quit_is_left_anyway() -> None:
    async def script(line: Line) -> None:
        await line.dialogue("250 raw")
        await take_one(line)
        await stall(line)

    transport = made()
    async with raw_server(script) as raw:
        assert (await transport.send(envelope(account(raw.port)))).outcome is TAKEN
        await asyncio.wait_for(transport.close(), 4)
        assert raw.lines[0].reader.at_eof() or await raw.lines[0].reader.read() == b""


@pytest.mark.parametrize("farewell", ["", "421 4.4.2 idle too long\r\n"])
@pytest.mark.parametrize("moment", ["while idle", "at MAIL"])
async def test_a_connection_that_the_server_closed_is_replaced_once(
    moment: str, farewell: str
) -> None:
    """A 421 that answers MAIL itself is an answer, and no second try is made."""
    closed = asyncio.Event()

    async def script(line: Line) -> None:
        await line.dialogue("250 raw")
        await take_one(line)
        if len(raw.lines) > 1:
            return
        if moment == "at MAIL":
            await line.hear()
        line.writer.write(farewell.encode())
        line.fin()
        closed.set()

    transport = made()
    async with raw_server(script) as raw:
        assert (await transport.send(envelope(account(raw.port)))).outcome is TAKEN
        if moment == "while idle":
            await closed.wait()
            await asyncio.sleep(0.02)  # lets the farewell arrive
        report = await transport.send(envelope(account(raw.port)))
        if moment == "at MAIL" and farewell:
            assert (report.outcome, report.stage, report.reply.code) == (LATER, Stage.MAIL, 421)
            assert len(raw.lines) == 1
        else:
            assert report.outcome is TAKEN
            assert len(raw.lines) == 2
        await transport.close()


async def test_a_replacement_is_not_replaced_again() -> None:
    async def script(line: Line) -> None:
        await line.dialogue("250 raw")
        if len(raw.lines) == 1:
            await take_one(line)
        await line.hear()

    transport = made()
    async with raw_server(script) as raw:
        assert (await transport.send(envelope(account(raw.port)))).outcome is TAKEN
        report = await transport.send(envelope(account(raw.port)))
        assert (report.outcome, report.stage) == (LATER, Stage.MAIL)
        assert len(raw.lines) == 2
        await transport.close()


@pytest.mark.parametrize("unasked", ["250 2.0.0 and again", "421 4.4.2 soon"])
@pytest.mark.parametrize("moment", ["with the reply", "later"])
async def test_a_connection_on_which_something_came_unasked_is_not_used_again(
    unasked: str, moment: str
) -> None:
    """Every later reply would be read as the one before it: a 354 as the answer to the dot."""
    later = asyncio.Event()

    async def script(line: Line) -> None:
        await line.dialogue("250 raw", *ONE_MESSAGE)
        await line.hear_body()
        line.say("250 2.0.0 taken" + (f"\r\n{unasked}" if moment == "with the reply" else ""))
        if moment == "later":
            await later.wait()
            line.say(unasked)
        await line.hear()

    transport = made()
    async with raw_server(script) as raw:
        assert (await transport.send(envelope(account(raw.port)))).outcome is TAKEN
        later.set()
        await asyncio.sleep(0.02)  # lets it arrive
        assert (await transport.send(envelope(account(raw.port)))).outcome is TAKEN
        await transport.close()
    assert raw.lines[0].heard.count(b"MAIL FROM") == 1


@pytest.mark.parametrize(("answers", "stage"), [(1, Stage.RCPT), (2, Stage.DATA), (3, Stage.DOT)])
async def test_a_kept_connection_lost_after_an_answer_is_not_replaced(
    answers: int, stage: Stage
) -> None:
    async def script(line: Line) -> None:
        await line.dialogue("250 raw")
        await take_one(line)
        for reply in ONE_MESSAGE[:answers]:
            await line.hear()
            line.say(reply)
        await (line.hear_body() if stage is Stage.DOT else line.hear())

    transport = made()
    async with raw_server(script) as raw:
        assert (await transport.send(envelope(account(raw.port)))).outcome is TAKEN
        report = await transport.send(envelope(account(raw.port)))
        outcome = Outcome.UNKNOWN if stage is Stage.DOT else LATER
        assert (report.outcome, report.stage) == (outcome, stage)
        assert len(raw.lines) == 1
        await transport.close()


async def test_a_refused_message_leaves_the_next_one_alone(relay: Provider) -> None:
    transport = made()
    for where in (RCPT, DOT):
        relay.says[where] = "550 5.7.1 no"
        assert (await transport.send(envelope(account(relay.port)))).outcome is not TAKEN
        del relay.says[where]
        assert (await transport.send(envelope(account(relay.port)))).outcome is TAKEN
    assert len(relay.accepted) == 2
    await transport.close()


async def test_waiting_for_a_connection_can_be_cancelled(relay: Provider) -> None:
    transport = made()
    relay.stall = True
    on = account(relay.port, connections=1)
    first = asyncio.create_task(transport.send(envelope(on)))
    await relay.at_dot.wait()
    second = asyncio.create_task(transport.send(envelope(on)))
    await asyncio.sleep(0)
    second.cancel()
    first.cancel()
    await asyncio.wait([first, second])
    relay.stall = False
    assert (await transport.send(envelope(on))).outcome is TAKEN
    await transport.close()


async def test_closing_twice_or_unused_is_nothing(relay: Provider) -> None:
    transport = made()
    await transport.close()
    await transport.send(envelope(account(relay.port)))
    await transport.close()
    await transport.close()
