"""Hostile replies of a mail server: whatever it says, the attempt ends as it must."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from dataclasses import replace as changed

from aiosmtplib.auth import auth_plain_encode
from hypothesis import strategies as st

from mailplaned.domain.outcomes import Outcome, Report
from mailplaned.transports.smtp import SmtpTransport
from tests.chaos.hostile import inputs
from tests.chaos.hostile.bugs import planted
from tests.chaos.hostile.found import Found, try_each
from tests.chaos.verdict import Measured
from tests.fakes import smtp_kit
from tests.fakes.smtp_raw import TERMINATOR, Line, raw_server

KINDS = (
    "crashes",
    "no outcome",
    "believed without a 250",
    "recipients misread",
    "escapes",
    "secrets repeated",
    "bytes hoarded",
)

RECIPIENTS = ("kim@there.example", "lee@there.example")
SECRETS = (
    smtp_kit.PASSWORD,
    auth_plain_encode(smtp_kit.USER, smtp_kit.PASSWORD).decode(),
)
HELD_BYTES = 16_000_000
"""More than the socket buffers of both sides hold: so much was taken in by the session."""

FLOOD_BYTES = 64_000_000
LANES = 64
"""Attempts at once, since many of them wait for a time-out."""

_PATIENCE_S = 0.15
"""How long either side waits for the other to make sense."""

_TIMEOUTS = changed(
    smtp_kit.QUICK,
    greeting=_PATIENCE_S,
    command=_PATIENCE_S,
    data=_PATIENCE_S,
    block=_PATIENCE_S,
    terminator=_PATIENCE_S,
)


@dataclass(frozen=True)
class Reply:
    """What is written at one turn. `then` says whether the connection is cut, or stays silent."""

    words: bytes
    then: str = "go on"
    flood: bool = False


Script = tuple[Reply, ...]

OPEN: Script = (
    Reply(b"220 there.example ESMTP\r\n"),
    Reply(b"250-there.example\r\n250-8BITMIME\r\n250-AUTH PLAIN\r\n250 SMTPUTF8\r\n"),
    Reply(b"250 2.1.0 ok\r\n"),
    Reply(b"250 2.1.5 ok\r\n"),
    Reply(b"250 2.1.5 ok\r\n"),
    Reply(b"354 go on\r\n"),
    Reply(b"250 2.0.0 taken\r\n"),
)
"""An honest server: greeting, EHLO, MAIL, a recipient, another, DATA, the end of data."""

LOGIN: Script = (*OPEN[:2], Reply(b"235 2.7.0 welcome\r\n"), *OPEN[2:])
"""The same with AUTH before MAIL."""

HEARD = "{heard}"
"""Stands for the line that is answered, in the words of a server that repeats it."""


@dataclass
class Heard:
    """What the server knows of the one attempt it has seen."""

    answers: list[bytes] = field(default_factory=list)
    """What it wrote at each turn."""
    body: bytes = b""
    sent_bytes: int = 0
    """Of a flood, how much was taken off its hands."""
    commands: list[bytes] = field(default_factory=list)


# --- what it says ---------------------------------------------------------------------------------

_CODES = (
    "250", "354", "220", "221", "235", "334", "421", "450", "451", "500", "535", "550", "552",
    "554", "000", "999", "25", "2500", "2 0", "+25", "-50", "２５０", "abc", "", " 250", "\t250",
    "25O", "600",
)  # fmt: skip
_SEPARATORS = (" ", "-", "", "\t", "- ", " -", "_", "\x00", "\xa0")
_ENDS = ("\r\n", "\n", "\r", "", "\r\r\n", "\n\r\n", "\x00\r\n")
_TEXTS = (
    "ok", "2.0.0 ok", "5.1.1 no such user", "4.2.2 full", "5.7.1 \x1b[31mrelay denied", "#5.1.1",
    "9.9.9 ?", "5.1.1.1", "2.1.5 but 5.1.1", "Daily user sending limit exceeded", "x" * 9_000,
    "x" * 600, "SIZE", "SIZE x", "SIZE 99999999999999999999", "AUTH=",
    "AUTH PLAIN", "STARTTLS", "8BITMIME", "é",
)  # fmt: skip


def _line() -> st.SearchStrategy[bytes]:
    said = st.tuples(
        st.sampled_from(_CODES[:14]) | st.sampled_from(_CODES),
        st.sampled_from(_SEPARATORS[:2]) | st.sampled_from(_SEPARATORS),
        st.sampled_from(_TEXTS) | inputs.text(most=2),
        st.sampled_from(_ENDS[:1]) | st.sampled_from(_ENDS),
    ).map(lambda parts: "".join(parts).encode("utf-8", "replace"))
    return said | st.binary(max_size=40) | st.sampled_from([reply.words for reply in LOGIN])


def _reply() -> st.SearchStrategy[Reply]:
    words = st.lists(_line(), min_size=1, max_size=3).map(b"".join)
    then = st.sampled_from(["go on", "go on", "go on", "cut", "reset", "silence"])
    said = st.builds(Reply, words, then)
    flood = st.sampled_from([b"x" * 1_000, b"250-x\r\n" * 200, b"250 ok\r\n" * 200, b"\r\n" * 500])
    return st.integers(0, 199).flatmap(
        lambda number: flood.map(lambda part: Reply(part, flood=True)) if number == 117 else said
    )


def _scripts() -> st.SearchStrategy[Script]:
    """An honest server that is hostile at one turn or two, late ones more often.

    Or it runs ahead of what it is told, or repeats what it was told at AUTH.
    """

    def make(draw: st.DrawFn) -> Script:
        script = list(draw(st.sampled_from((OPEN, LOGIN))))
        end = len(script) - 1
        trick = draw(st.sampled_from(("repeat", "ahead", "ahead", *("none",) * 6)))
        if trick == "repeat":
            code, text = draw(st.sampled_from(_CODES)), draw(inputs.text(HEARD, most=2))
            words = f"{code} {text} {HEARD}\r\n".encode("utf-8", "replace")
            return (*LOGIN[:2], Reply(words), *LOGIN[3:])
        if trick == "ahead":
            at = draw(st.integers(0, end - 1))
            ahead = draw(st.integers(at + 1, end))
            script[at] = Reply(b"".join(reply.words for reply in script[at : ahead + 1]))
            script[end] = Reply(b"550 5.7.1 refused\r\n")
            return tuple(script)
        for _ in range(draw(st.integers(1, 2))):
            at = draw(st.integers(0, end) | st.integers(2, end) | st.just(end))
            script[at] = draw(_reply())
        return tuple(script)

    return st.composite(make)()


# --- the server -----------------------------------------------------------------------------------


class Server:
    """Plays the script in force, on one connection at a time."""

    def __init__(self) -> None:
        self.script = OPEN
        self.heard = Heard()

    async def serve(self, line: Line) -> None:
        """Greet, then answer each turn as the script says."""
        script, heard = self.script, self.heard
        for turn, reply in enumerate(script):
            if turn and not await self._listen(line, heard, last=turn == len(script) - 1):
                return
            said = heard.commands[-1].strip() if heard.commands else b""
            words = reply.words.replace(HEARD.encode(), said)
            heard.answers.append(words)
            if reply.flood:
                await self._flood(line, heard, words)
                return
            line.writer.write(words)
            await line.writer.drain()
            if reply.then == "cut":
                return
            if reply.then == "reset":
                line.rst()
                return
            if reply.then == "silence":
                await line.reader.read(1)
                return
        await line.hear()

    async def _listen(self, line: Line, heard: Heard, *, last: bool) -> bool:
        """Whether a command came, or at the last turn the whole message; not so if it leaves."""
        async with asyncio.timeout(4 * _PATIENCE_S):
            command = await line.hear()
            heard.commands.append(command)
            if command in {b"", b"QUIT\r\n"}:
                return False
            if last:
                heard.body = command + await line.reader.readuntil(TERMINATOR)
        return True

    async def _flood(self, line: Line, heard: Heard, part: bytes) -> None:
        while heard.sent_bytes < FLOOD_BYTES:
            line.writer.write(part * 50)
            await line.writer.drain()
            heard.sent_bytes += 50 * len(part)


# --- the judgement --------------------------------------------------------------------------------


def _judge(found: Found, report: Report, script: Script, heard: Heard) -> None:
    honest = OPEN if len(script) == len(OPEN) else LOGIN
    hostile = [(turn, reply) for turn, reply in enumerate(script) if reply != honest[turn]]
    found.went[str(report.outcome)] += 1
    about = (hostile, report, heard.commands)
    texts = [report.reply.text, *(recipient.reply.text for recipient in report.recipients)]
    if not all(text.isprintable() and len(text) <= 500 for text in texts):
        found.note("escapes", *about)
    outcomes = [report.outcome, *(recipient.outcome for recipient in report.recipients)]
    addressed = tuple(recipient.address for recipient in report.recipients)
    if not all(isinstance(outcome, Outcome) for outcome in outcomes) or addressed != RECIPIENTS:
        found.note("no outcome", *about)
    if any(secret in repr(report) for secret in SECRETS):
        found.note("secrets repeated", *about)
    if heard.sent_bytes > HELD_BYTES:
        found.note("bytes hoarded", heard.sent_bytes, *about)
    if Outcome.ACCEPTED in outcomes and not (heard.body and _plainly(heard.answers[-1], "2")):
        found.note("believed without a 250", *about)
    settled = report.outcome not in {Outcome.ACCEPTED, Outcome.UNKNOWN}
    if heard.body and settled and not _plainly(heard.answers[-1], "45"):
        found.note("believed without a 250", "taken for refused", *about)
    asked = range(len(script) - 4, len(script) - 2)
    for turn, recipient in zip(asked, report.recipients, strict=True):
        if recipient.outcome is Outcome.ACCEPTED and not _plainly(heard.answers[turn], "2"):
            found.note("recipients misread", *about)


def _plainly(answer: bytes, digits: str) -> bool:
    """Whether the first reply in it has one code, of one of these classes, in every line."""
    first = None
    for line in answer.split(b"\n")[:-1]:
        code, separator = line[:3].decode("latin-1"), line[3:4].strip(b"\r")
        if code[:1] not in digits or not re.fullmatch("[0-9]{3}", code) or code != (first or code):
            return False
        first = code
        if separator != b"-":
            return separator in {b"", b" "}
    return False


class Lane:
    """A server of its own, and an attempt at it."""

    def __init__(self) -> None:
        self._server = Server()
        self._listening = raw_server(self._server.serve)

    async def open(self) -> None:
        """Listen."""
        self._port = (await self._listening.__aenter__()).port

    async def close(self) -> None:
        """Listen no more."""
        await self._listening.__aexit__(None, None, None)

    async def judge(self, found: Found, script: Script) -> None:
        """Try once against this script."""
        self._server.script, self._server.heard = script, Heard()
        transport = SmtpTransport(smtp_kit.secrets(), smtp_kit.JumpClock(), timeouts=_TIMEOUTS)
        account = smtp_kit.account(self._port, login=len(script) == len(LOGIN))
        with found.surviving(script):
            report = await transport.send(smtp_kit.envelope(account, *RECIPIENTS))
            _judge(found, report, script, self._server.heard)
        await transport.close()


def measure(cases: int, twins: Sequence[str]) -> Measured:
    """Attempts that ended otherwise than the server's words allow."""
    found = Found(KINDS)
    lanes = [Lane() for _ in range(LANES)]
    waiting: list[Script] = []

    async def judge_all() -> None:
        await asyncio.gather(
            *(lane.judge(found, script) for lane, script in zip(lanes, waiting, strict=False))
        )
        waiting.clear()

    with planted(twins), asyncio.Runner() as runner:
        runner.get_loop().set_exception_handler(
            lambda _, context: found.note("crashes", "loop", context)
        )
        for lane in lanes:
            runner.run(lane.open())

        def check(script: Script) -> None:
            waiting.append(script)
            if len(waiting) == LANES:
                runner.run(judge_all())

        try_each(found, cases, _scripts(), check)
        runner.run(judge_all())
        for lane in lanes:
            runner.run(lane.close())
    return found.measured()
