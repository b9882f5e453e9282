"""One SMTP session: connected, encrypted as the book says, authenticated, ready for MAIL.

It never falls back: no STARTTLS offered means no session, and credentials leave only over TLS or
to this very host. A secret never gets into a report.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aiosmtplib.auth import auth_plain_encode
from aiosmtplib.errors import SMTPException, SMTPResponseException, SMTPTimeoutError
from aiosmtplib.esmtp import parse_esmtp_extensions
from aiosmtplib.response import SMTPResponse

from mailplaned.domain.outcomes import Outcome, Reply, Stage, classify, parse_reply
from mailplaned.domain.policy import Account, Tls
from mailplaned.domain.windows import SECOND_US
from mailplaned.ports import Secrets
from mailplaned.transports.wire import Wire

READY, AUTHENTICATED, DONE, GO_ON, SEND_BODY, CLOSING = 220, 235, 250, 334, 354, 421
"""RFC 5321 §4.2.3, RFC 4954 §4."""

_TELLTALE_CHARS = 8
"""A reply that repeats this much of a credential is withheld."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long each stage may take, in seconds (RFC 5321 §4.5.3.2; connect, TLS, AUTH: ours).

    `terminator` is long on purpose: giving up early there makes an unknown of a message that the
    server is still filtering. `slot` is the wait for a free connection of the mailbox. `silence`
    ends nothing: after it the other side is asked whether it still knows the connection.
    """

    slot: float = 60.0
    connect: float = 30.0
    greeting: float = 300.0
    tls: float = 60.0
    auth: float = 120.0
    command: float = 300.0
    data: float = 120.0
    block: float = 180.0
    terminator: float = 600.0
    silence: float = 60.0


class Ended(Exception):
    """The attempt ended at a stage, with this evidence and outcome. `hung_up`: without a reply."""

    def __init__(
        self, stage: Stage, reply: Reply, outcome: Outcome | None = None, *, hung_up: bool = False
    ) -> None:
        self.stage = stage
        self.reply = reply
        self.outcome = outcome or classify(stage, reply)
        self.hung_up = hung_up
        super().__init__(f"{stage}: {reply.code} {reply.text}")


def misconfigured(text: str) -> Ended:
    """The book can't be followed: nothing was tried, a person must mend it."""
    return Ended(Stage.CONFIGURE, Reply(text=text), Outcome.BLOCKED_SENDER)


class Session:
    """A connection ready for MAIL. One user at a time."""

    def __init__(self, account: Account, wire: Wire, timeouts: Timeouts) -> None:
        self.account = account
        self.wire = wire
        self.timeouts = timeouts
        self.extensions: dict[str, str] = {}
        self.methods: Sequence[str] = ()
        self.opened_us = 0
        self.messages = 0

    @property
    def reusable(self) -> bool:
        """Whether the connection is up and in step."""
        return self.wire.in_step

    @property
    def certificate_ends_us(self) -> int | None:
        """When the server's certificate ends; None without TLS."""
        transport = self.wire.transport
        found = transport.get_extra_info("peercert") if transport else None
        return ssl.cert_time_to_seconds(found["notAfter"]) * SECOND_US if found else None

    async def ask(self, stage: Stage, *words: bytes, timeout_s: float) -> SMTPResponse:
        """Send a command and return its reply, whatever it says; raise Ended without one."""
        self.keep_step(stage)
        try:
            return await self.wire.execute_command(*words, timeout=timeout_s)
        except (SMTPException, OSError) as error:
            raise silence(stage, error) from error

    def say(self, stage: Stage, commands: Sequence[bytes]) -> None:
        """Send commands at once; `next_reply` gives each one's answer. Raise Ended if it can't."""
        self.keep_step(stage)
        try:
            self.wire.ask(commands)
        except (SMTPException, OSError) as error:
            raise silence(stage, error) from error

    async def next_reply(self, stage: Stage, timeout_s: float) -> Reply:
        """A reply that is due without another command; raise Ended without one."""
        try:
            return _reply(await self.wire.read_response(timeout=timeout_s))
        except (SMTPException, OSError) as error:
            raise silence(stage, error) from error

    async def body(self, body: bytes) -> None:
        """Write a dot-stuffed body; raise Ended when the server refuses it or hangs up midway."""
        self.keep_step(Stage.DATA)
        try:
            await self.wire.write_body(body, self.timeouts.block)
        except (SMTPException, OSError) as error:
            raise silence(Stage.DATA, error) from error
        if self.wire.answered:
            reply = await self.next_reply(Stage.DATA, self.timeouts.block)
            if reply.code // 100 == DONE // 100:
                # It took half a message for a whole one: no reply of its can be believed.
                raise Ended(Stage.DOT, reply, Outcome.UNKNOWN)
            raise Ended(Stage.DATA, reply)

    async def finish(self) -> Reply:
        """Write the terminator and return the reply to it; without one the outcome is unknown."""
        self.keep_step(Stage.DATA)
        try:
            self.wire.terminate()
        except (SMTPException, OSError) as error:
            raise silence(Stage.DATA, error) from error
        return await self.next_reply(Stage.DOT, self.timeouts.terminator)

    def keep_step(self, stage: Stage) -> None:
        """Raise Ended when a reply is there already: it would be taken for another command's."""
        if self.wire.spoken_unasked:
            raise out_of_turn(stage)


def out_of_turn(stage: Stage) -> Ended:
    """The end of an attempt in which it is open which reply answers what."""
    return Ended(stage, Reply(text=f"the server spoke out of turn before {stage}"))


def silence(stage: Stage, error: Exception) -> Ended:
    """The end of an attempt that got no readable reply at this stage."""
    if isinstance(error, SMTPResponseException):
        # At AUTH it may be our own line sent back.
        said = "" if stage is Stage.AUTH else f": {error.message}"
        return Ended(stage, parse_reply(0, f"unreadable reply at {stage}{said}"))
    if isinstance(error, TimeoutError):
        return Ended(stage, Reply(text=f"no reply in time at {stage}"))
    text = f"connection lost at {stage}: {_words(error.__cause__ or error)}"
    return Ended(stage, parse_reply(0, text), hung_up=True)


async def open_session(
    account: Account,
    hello: str,
    *,
    secrets: Secrets,
    context: Callable[[], ssl.SSLContext],
    timeouts: Timeouts,
) -> Session:
    """Connect, greet, encrypt, authenticate. Raises Ended; then nothing stays open."""
    credentials = check_account(account, secrets)
    wire = await _connect(account, context, timeouts)
    session = Session(account, wire, timeouts)
    try:
        await _await_greeting(session)
        await _greet(session, hello)
        if account.tls is Tls.STARTTLS:
            await _start_tls(session, context())
            await _greet(session, hello)
        if credentials is not None:
            await _authenticate(session, *credentials)
    except BaseException:
        wire.cut()
        raise
    return session


def check_account(account: Account, secrets: Secrets) -> tuple[str, str] | None:
    """The credentials to use, None for none. Raises Ended when the book can't be followed."""
    if not account.host:
        raise misconfigured(f"account {account.key} names no host")
    if account.tls is Tls.NONE and not _is_loopback(account.host):
        raise misconfigured(
            f'tls = "none" is for this host only, and {account.host} is not a loopback address'
        )
    if account.username is None and account.secret is None:
        return None
    if account.username is None or account.secret is None:
        missing = "username" if account.username is None else "secret"
        raise misconfigured(f"account {account.key} needs a {missing} to authenticate")
    secret = secrets.get(account.secret, account.workspace)
    if not secret:
        raise misconfigured(
            f'secret "{account.secret}" of account {account.key} is missing or unfit; '
            "mailplane secret list says why"
        )
    return account.username, secret


async def _connect(
    account: Account, context: Callable[[], ssl.SSLContext], timeouts: Timeouts
) -> Wire:
    loop = asyncio.get_running_loop()
    implicit = account.tls is Tls.IMPLICIT
    try:
        async with asyncio.timeout(timeouts.connect):
            _, wire = await loop.create_connection(
                lambda: Wire(loop),
                account.host,
                account.port,
                ssl=context() if implicit else None,
                server_hostname=account.host if implicit else None,
            )
        wire.probe_silence(timeouts.silence)
    except TimeoutError as error:
        text = f"{account.host} did not take the connection in {timeouts.connect:g} s"
        raise Ended(Stage.CONNECT, Reply(text=text)) from error
    except ssl.SSLError as error:
        raise Ended(
            Stage.TLS, parse_reply(0, f"TLS with {account.host}: {_words(error)}")
        ) from error
    except (OSError, UnicodeError) as error:
        text = f"no connection to {account.host}: {_words(error)}"
        raise Ended(Stage.CONNECT, parse_reply(0, text)) from error
    return wire


async def _await_greeting(session: Session) -> None:
    greeting = await session.next_reply(Stage.GREETING, session.timeouts.greeting)
    if greeting.code != READY:
        raise Ended(Stage.GREETING, greeting)


async def _greet(session: Session, hello: str) -> None:
    """EHLO. What a server offered before TLS is forgotten (RFC 3207 §4.2)."""
    response = await session.ask(
        Stage.GREETING, b"EHLO", hello.encode("ascii"), timeout_s=session.timeouts.command
    )
    if response.code != DONE:
        raise Ended(Stage.GREETING, _reply(response))
    session.extensions, session.methods = parse_esmtp_extensions(response.message)


async def _start_tls(session: Session, context: ssl.SSLContext) -> None:
    host, timeouts = session.account.host, session.timeouts
    if "starttls" not in session.extensions:
        raise Ended(Stage.TLS, Reply(text=f"{host} offers no STARTTLS; nothing is sent in clear"))
    try:
        await session.wire.start_tls(context, server_hostname=host, timeout=timeouts.tls)
    except SMTPResponseException as error:
        raise Ended(Stage.TLS, parse_reply(error.code, error.message)) from error
    except SMTPTimeoutError as error:
        raise silence(Stage.TLS, error) from error
    except (SMTPException, OSError) as error:
        raise Ended(Stage.TLS, parse_reply(0, f"TLS with {host}: {_words(error)}")) from error


async def _authenticate(session: Session, username: str, secret: str) -> None:
    """AUTH PLAIN, or LOGIN where that is all there is (RFC 4954; LOGIN has no RFC)."""
    plain = auth_plain_encode(username, secret)
    login = [base64.b64encode(word.encode()) for word in (username, secret)]
    told = (secret, plain.decode("ascii"), login[1].decode("ascii"))

    async def say(*words: bytes) -> Reply:
        response = await session.ask(Stage.AUTH, *words, timeout_s=session.timeouts.auth)
        return _withhold(_reply(response), response.message, told)

    if "plain" in session.methods:
        reply = await say(b"AUTH", b"PLAIN", plain)
    elif "login" in session.methods:
        reply = await say(b"AUTH", b"LOGIN")
        for word in login:
            if reply.code == GO_ON:
                reply = await say(word)
    else:
        text = f"{session.account.host} offers neither AUTH PLAIN nor LOGIN"
        raise Ended(Stage.AUTH, Reply(text=text), Outcome.BLOCKED_SENDER)
    if reply.code != AUTHENTICATED:
        raise Ended(Stage.AUTH, reply)


def _reply(response: SMTPResponse) -> Reply:
    return parse_reply(response.code, response.message)


def _withhold(reply: Reply, message: str, told: Sequence[str]) -> Reply:
    """The reply without its text when that repeats a credential, whole or cut short."""
    if not any(secret[:_TELLTALE_CHARS] in message for secret in told):
        return reply
    text = "(text withheld: it repeated the credentials)"
    return Reply(code=reply.code, enhanced=reply.enhanced, text=text)


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
