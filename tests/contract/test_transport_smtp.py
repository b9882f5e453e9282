"""The SMTP transport against an honest provider (aiosmtpd) that refuses as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from mailplaned.domain.outcomes import Outcome, Stage
from mailplaned.domain.policy import Account, Tls
from mailplaned.transports.smtp import SmtpTransport
from tests.fakes.smtp_kit import (
    CONTENT,
    PASSWORD,
    QUICK,
    SHORT_S,
    USER,
    Authority,
    FixedSecrets,
    JumpClock,
    account,
    envelope,
    secrets,
)
from tests.fakes.smtp_server import AUTH, DATA, DOT, MAIL, RCPT, provider

BAD, MSG, BLOCKED = Outcome.REJECTED_RECIPIENT, Outcome.REJECTED_MESSAGE, Outcome.BLOCKED_SENDER
QUOTA, LATER, UNKNOWN, TAKEN = Outcome.QUOTA, Outcome.TRANSIENT, Outcome.UNKNOWN, Outcome.ACCEPTED


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(params=[False, True], ids=["one by one", "together"])
def pipelining(request: pytest.FixtureRequest) -> bool:
    """Whether the relay lets the commands before a body leave together."""
    return bool(request.param)


@pytest.fixture
async def transport(authority: Authority) -> AsyncIterator[SmtpTransport]:
    made = SmtpTransport(secrets(), JumpClock(), timeouts=QUICK, context=authority.trusting)
    yield made
    await made.close()


async def test_a_message_arrives_byte_for_byte(transport: SmtpTransport, pipelining: bool) -> None:
    async with provider(pipelining=pipelining) as relay:
        report = await transport.send(envelope(account(relay.port), "b@x.example", "c@x.example"))
        assert (report.outcome, report.stage) == (TAKEN, Stage.DOT)
        assert report.reply.text == "2.0.0 queued as 1"
        assert report.peer == f"127.0.0.1:{relay.port}"
        assert [r.outcome for r in report.recipients] == [TAKEN, TAKEN]
        [taken] = relay.accepted
        assert (taken.sender, taken.recipients) == (USER, ("b@x.example", "c@x.example"))
        assert taken.content == CONTENT
        assert taken.options == (f"SIZE={len(CONTENT)}",)


@pytest.mark.parametrize(
    "content",
    [b".\r\n", b"..\r\n.\r\n\r\n.", b"\r\n.\r\n", b"a\r\n" * 100_000, b".x\r\n" * 30_000],
)
async def test_dots_never_end_a_message_early(transport: SmtpTransport, content: bytes) -> None:
    content = content if content.endswith(b"\r\n") else content + b"\r\n"
    async with provider() as relay:
        report = await transport.send(envelope(account(relay.port), content=content))
        assert report.outcome is TAKEN
        assert [taken.content for taken in relay.accepted] == [content]


async def test_eight_bit_content_and_addresses_are_announced(
    transport: SmtpTransport, pipelining: bool
) -> None:
    content = "Subject: grüße\r\n\r\nä\r\n".encode()
    async with provider(pipelining=pipelining) as relay:
        message = envelope(account(relay.port), "jürgen@bücher.example", content=content, utf8=True)
        assert (await transport.send(message)).outcome is TAKEN
        [taken] = relay.accepted
        assert taken.recipients == ("jürgen@bücher.example",)
        assert set(taken.options) == {f"SIZE={len(content)}", "BODY=8BITMIME", "SMTPUTF8"}


async def test_a_relay_without_smtputf8_is_not_given_what_it_cannot_take(
    transport: SmtpTransport,
) -> None:
    async with provider(utf8=False) as relay:
        report = await transport.send(envelope(account(relay.port), "ü@x.example", utf8=True))
        assert (report.outcome, report.stage) == (MSG, Stage.MAIL)
        assert "SMTPUTF8" in report.reply.text
        assert not relay.accepted


@pytest.mark.parametrize(
    ("where", "said", "outcome", "stage"),
    [
        (MAIL, "421 4.7.0 try later", LATER, Stage.MAIL),
        (MAIL, "451 4.3.0 try later", LATER, Stage.MAIL),
        (MAIL, "550 5.4.5 Daily user sending limit exceeded", QUOTA, Stage.MAIL),
        (MAIL, "552 5.3.4 too big", MSG, Stage.MAIL),
        (MAIL, "554 5.7.1 not you", BLOCKED, Stage.MAIL),
        (RCPT, "421 4.3.2 closing", LATER, Stage.RCPT),
        (RCPT, "451 4.7.1 greylisted", LATER, Stage.RCPT),
        (RCPT, "550 5.1.1 unknown", BAD, Stage.RCPT),
        (RCPT, "552 5.2.2 full", LATER, Stage.RCPT),
        (RCPT, "554 5.7.1 policy", MSG, Stage.RCPT),
        (DATA, "421 4.3.2 closing", LATER, Stage.DATA),
        (DATA, "451 4.3.0 later", LATER, Stage.DATA),
        (DATA, "550 5.7.1 no", MSG, Stage.DATA),
        (DATA, "554 5.5.1 no valid recipients", MSG, Stage.DATA),
        (DOT, "421 4.3.2 closing", LATER, Stage.DOT),
        (DOT, "451 4.3.0 later", LATER, Stage.DOT),
        (DOT, "550 5.7.26 unauthenticated", MSG, Stage.DOT),
        (DOT, "552 5.2.2 Submission quota exceeded", QUOTA, Stage.DOT),
        (DOT, "554 5.6.0 content", MSG, Stage.DOT),
        (DOT, "251 2.1.5 will forward", TAKEN, Stage.DOT),
    ],
)
async def test_a_refusal_is_reported_with_its_stage_and_words(
    transport: SmtpTransport,
    pipelining: bool,
    where: str,
    said: str,
    outcome: Outcome,
    stage: Stage,
) -> None:
    async with provider(pipelining=pipelining) as relay:
        relay.says[where] = said
        report = await transport.send(envelope(account(relay.port)))
        assert (report.outcome, report.stage) == (outcome, stage)
        assert f"{report.reply.code} {report.reply.text}" == said
        assert [r.outcome for r in report.recipients] == [outcome]
        assert len(relay.accepted) == (outcome is TAKEN)
        relay.says.clear()  # whatever was said, the mailbox can go on
        assert (await transport.send(envelope(account(relay.port)))).outcome is TAKEN


async def test_refused_recipients_keep_their_own_answers(
    transport: SmtpTransport, pipelining: bool
) -> None:
    async with provider(pipelining=pipelining) as relay:
        relay.says["gone@x.example"] = "550 5.1.1 unknown"
        relay.says["full@x.example"] = "452 4.2.2 full"
        report = await transport.send(
            envelope(account(relay.port), "gone@x.example", "b@x.example", "full@x.example")
        )
        assert report.outcome is TAKEN
        assert [r.outcome for r in report.recipients] == [BAD, TAKEN, LATER]
        assert [r.reply.code for r in report.recipients] == [550, 250, 452]
        assert [taken.recipients for taken in relay.accepted] == [("b@x.example",)]


async def test_all_refused_for_different_reasons_leaves_the_hopeful_one(
    transport: SmtpTransport,
    pipelining: bool,
) -> None:
    async with provider(pipelining=pipelining) as relay:
        relay.says["gone@x.example"] = "550 5.1.1 unknown"
        relay.says["full@x.example"] = "452 4.2.2 full"
        report = await transport.send(
            envelope(account(relay.port), "gone@x.example", "full@x.example")
        )
        assert (report.outcome, report.stage) == (LATER, Stage.RCPT)
        assert report.reply.text == "4.2.2 full"
        assert [r.outcome for r in report.recipients] == [BAD, LATER]


async def test_a_421_in_the_middle_of_the_recipients_is_kept(
    transport: SmtpTransport, pipelining: bool
) -> None:
    async with provider(pipelining=pipelining) as relay:
        relay.says["gone@x.example"] = "550 5.1.1 unknown"
        relay.says["c@x.example"] = "421 4.7.0 that will do"
        report = await transport.send(
            envelope(
                account(relay.port), "gone@x.example", "b@x.example", "c@x.example", "d@x.example"
            )
        )
        assert (report.outcome, report.stage) == (LATER, Stage.RCPT)
        assert report.reply.text == "4.7.0 that will do"
        assert [r.outcome for r in report.recipients] == [BAD, LATER, LATER, LATER]
        assert not relay.accepted


async def test_a_bad_recipient_named_after_the_dot_condemns_nobody_of_several(
    transport: SmtpTransport,
    pipelining: bool,
) -> None:
    async with provider(pipelining=pipelining) as relay:
        relay.says[DOT] = "550 5.1.1 one of them is unknown"
        report = await transport.send(envelope(account(relay.port), "b@x.example", "c@x.example"))
        assert [r.outcome for r in report.recipients] == [MSG, MSG]


@pytest.mark.parametrize("tls", [Tls.STARTTLS, Tls.IMPLICIT])
@pytest.mark.parametrize("method", ["PLAIN", "LOGIN"])
async def test_credentials_travel_inside_tls(
    authority: Authority, transport: SmtpTransport, tls: Tls, method: str
) -> None:
    async with provider(
        users={USER: PASSWORD},
        context=authority.server,
        implicit=tls is Tls.IMPLICIT,
        methods=(method,),
    ) as relay:
        on = account(relay.port, tls=tls, login=True)
        assert (await transport.send(envelope(on))).outcome is TAKEN
        assert relay.logins == [(method, True)]
        probed = await transport.probe(on)
        assert (probed.outcome, probed.stage, probed.recipients) == (TAKEN, Stage.AUTH, ())
        ends_us = probed.certificate_ends_us
        assert ends_us is not None
        assert ends_us > TODAY_US


@pytest.mark.parametrize("tls", [Tls.STARTTLS, Tls.IMPLICIT])
@pytest.mark.parametrize("flaw", ["wrong name", "unknown authority"])
async def test_a_certificate_that_does_not_verify_ends_the_attempt(tls: Tls, flaw: str) -> None:
    theirs = Authority("elsewhere.example") if flaw == "wrong name" else Authority()
    trusted = theirs if flaw == "wrong name" else Authority()
    transport = SmtpTransport(secrets(), JumpClock(), timeouts=QUICK, context=trusted.trusting)
    async with provider(
        users={USER: PASSWORD}, context=theirs.server, implicit=tls is Tls.IMPLICIT
    ) as relay:
        report = await transport.send(envelope(account(relay.port, tls=tls, login=True)))
        assert (report.outcome, report.stage) == (LATER, Stage.TLS)
        assert "certificate" in report.reply.text.lower()
        assert not relay.logins
        await transport.close()


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ("535 5.7.8 Username and Password not accepted", BLOCKED),
        ("550 5.7.30 Basic authentication is not supported", BLOCKED),
        ("454 4.7.0 Too many login attempts", LATER),
    ],
)
async def test_a_refused_login_says_whether_a_person_is_needed(
    transport: SmtpTransport, said: str, outcome: Outcome
) -> None:
    async with provider(users={USER: PASSWORD}) as relay:
        relay.says[AUTH] = said
        on = account(relay.port, login=True)
        for report in (await transport.send(envelope(on)), await transport.probe(on)):
            assert (report.outcome, report.stage) == (outcome, Stage.AUTH)
            assert report.reply.text == said[4:]


async def test_a_server_that_echoes_credentials_does_not_get_them_into_a_report(
    transport: SmtpTransport,
) -> None:
    async with provider(users={USER: PASSWORD}) as relay:
        relay.says[AUTH] = f"535 5.7.8 no {PASSWORD}"
        report = await transport.probe(account(relay.port, login=True))
        assert report.reply.enhanced == "5.7.8"
        assert "withheld" in report.reply.text
        assert PASSWORD[:8] not in repr(report)


TODAY_US = 1_790_000_000_000_000


NOT_FOLLOWED: list[tuple[str, Callable[[Account], Account]]] = [
    ("relay-password", lambda on: replace(on, username="ana", secret="relay-password")),
    ("secret", lambda on: replace(on, username="ana")),
    ("username", lambda on: replace(on, secret="relay-password")),
    ("host", lambda on: replace(on, host="")),
    ("loopback", lambda on: replace(on, host="192.0.2.1")),
    ("loopback", lambda on: replace(on, host="127.0.0.1.example")),
]


@pytest.mark.parametrize(("word", "change"), NOT_FOLLOWED)
async def test_a_book_that_cannot_be_followed_needs_a_person(
    word: str, change: Callable[[Account], Account]
) -> None:
    transport = SmtpTransport(FixedSecrets({}), JumpClock(), timeouts=QUICK)
    report = await transport.send(envelope(change(account(1))))
    assert (report.outcome, report.stage) == (BLOCKED, Stage.CONFIGURE)
    assert word in report.reply.text
    await transport.close()


async def test_a_server_that_offers_no_known_login_needs_a_person(
    transport: SmtpTransport,
) -> None:
    async with provider(users={USER: PASSWORD}, methods=()) as relay:
        report = await transport.send(envelope(account(relay.port, login=True)))
        assert (report.outcome, report.stage) == (BLOCKED, Stage.AUTH)


@pytest.mark.parametrize(
    "change",
    [
        {"content": b"Subject: x\n\r\n"},
        {"content": b"Subject: x\r\r\n"},
        {"content": b"Subject: x\r\n.\nRSET\r\n"},
        {"content": b"Subject: x"},
        {"content": b"Subject: \0\r\n"},
        {"content": b""},
        {"recipients": ()},
        {"recipients": ("",)},
        {"recipients": ("a@b.example, c@d.example",)},
        {"recipients": ('"a\r\nRSET"@x.example',)},
        {"recipients": ("b@x.example\r\nRCPT TO:<c@x.example>",)},
        {"recipients": ("b@x.example> SIZE=1",)},
        {"recipients": ("b\x1b@x.example",)},
        {"recipients": ("Bob <b@x.example>",)},
        {"recipients": ("ü@x.example",)},
        {"recipients": ("good@x.example", "b @x.example")},
        {"sender": "a@b.example> BODY=8BITMIME"},
    ],
)
async def test_bytes_that_could_become_something_else_are_not_sent(
    transport: SmtpTransport, change: dict[str, object]
) -> None:
    async with provider() as relay:
        message = replace(envelope(account(relay.port)), **change)  # type: ignore[arg-type]
        report = await transport.send(message)
        assert (report.outcome, report.stage) == (MSG, Stage.CONFIGURE)
        assert report.reply.text
        assert not relay.connections


async def test_ehlo_names_the_senders_domain_or_what_was_set() -> None:
    async with provider() as relay:
        for hello, expected in ((None, "acme.example"), ("out.acme.example", "out.acme.example")):
            transport = SmtpTransport(secrets(), JumpClock(), timeouts=QUICK, hello=hello)
            await transport.send(envelope(account(relay.port)))
            assert relay.hellos.pop() == expected
            await transport.close()


async def test_a_loss_after_the_dot_is_unknown(transport: SmtpTransport) -> None:
    async with provider() as relay:
        relay.drop = True
        report = await transport.send(envelope(account(relay.port)))
        assert (report.outcome, report.stage, report.reply.code) == (UNKNOWN, Stage.DOT, 0)
        assert len(relay.accepted) == 1


async def test_silence_after_the_dot_is_unknown() -> None:
    timeouts = replace(QUICK, terminator=SHORT_S)
    transport = SmtpTransport(secrets(), JumpClock(), timeouts=timeouts)
    async with provider() as relay:
        relay.stall = True
        report = await transport.send(envelope(account(relay.port)))
        assert (report.outcome, report.stage, report.reply.code) == (UNKNOWN, Stage.DOT, 0)
        assert "in time" in report.reply.text
        assert len(relay.accepted) == 1
        await transport.close()


async def test_cancelling_after_the_dot_closes_the_connection(transport: SmtpTransport) -> None:
    async with provider() as relay:
        relay.stall = True
        sending = asyncio.create_task(transport.send(envelope(account(relay.port))))
        await relay.at_dot.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        relay.stall = False
        report = await transport.send(envelope(account(relay.port)))
        assert report.outcome is TAKEN
        assert len(relay.connections) == 2


async def test_a_relay_that_is_not_there_is_tried_later(transport: SmtpTransport) -> None:
    async with provider() as relay:
        port = relay.port
    report = await transport.send(envelope(account(port)))
    assert (report.outcome, report.stage) == (LATER, Stage.CONNECT)
