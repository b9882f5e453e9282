"""Bugs planted into this process, which a hostile run has to notice. Nothing of them is product."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from email.utils import parseaddr
from typing import Any

import msgspec
import pytest

from mailplane_tui import scrub
from mailplaned.book import load, source
from mailplaned.domain import header_values, mime
from mailplaned.domain.header_values import fold
from mailplaned.domain.outcomes import Outcome, Reply, Stage, classify
from mailplaned.services import compose, raw_messages
from mailplaned.services.addresses import Address
from mailplaned.transports import session, transaction


def no_header_check(patch: pytest.MonkeyPatch) -> None:
    """Values go into the header as they are, and nobody reads it again."""
    patch.setattr(compose, "value_fault", lambda value, limit: None)
    patch.setattr(mime, "head", lambda fields: b"".join(fold(*field) for field in fields))


def no_second_look(patch: pytest.MonkeyPatch) -> None:
    """What an encoded-word says is not looked at."""
    patch.setattr(header_values, "decode_words", lambda text: text)


def lax_addresses(patch: pytest.MonkeyPatch) -> None:
    """Addresses are read as leniently as `email` reads them."""

    def parse(text: str) -> Address:
        display, address = parseaddr(text)
        return Address(display=display, address=address)

    patch.setattr(compose, "parse_address", parse)
    patch.setattr(raw_messages, "parse_address", parse)


def no_boundary_check(patch: pytest.MonkeyPatch) -> None:
    """Nobody looks whether a boundary occurs in what it bounds."""
    patch.setattr(mime, "_boundary", lambda token, bodies: f"=_{token}_")


def no_line_check(patch: pytest.MonkeyPatch) -> None:
    """CR and LF alone are let through to the wire."""
    patch.setattr(mime, "check_wire", lambda content: None)
    patch.setattr("mailplaned.transports.smtp.fault_of", lambda envelope: None)


def no_dot_stuffing(patch: pytest.MonkeyPatch) -> None:
    """A line with one dot leaves as it is."""
    patch.setattr(transaction, "dot_stuffed", lambda content: content)


def no_shape_check(patch: pytest.MonkeyPatch) -> None:
    """The book is taken for what it should be."""
    patch.setattr(load, "shaped", lambda file, type_: msgspec.convert(file.raw, type_))


def raw_words(patch: pytest.MonkeyPatch) -> None:
    """What a file says is repeated as it stands."""
    patch.setattr(source, "shown", str)


def eager(patch: pytest.MonkeyPatch) -> None:
    """Whatever ends the message counts as taken."""

    def judge(stage: Stage, reply: Reply) -> Outcome:
        return Outcome.ACCEPTED if stage is Stage.DOT else classify(stage, reply)

    patch.setattr(session, "classify", judge)


def out_of_step(patch: pytest.MonkeyPatch) -> None:
    """The next reply that is there is taken for the one that is due."""
    patch.setattr(session.Session, "keep_step", lambda self, stage: None)


def raw_replies(patch: pytest.MonkeyPatch) -> None:
    """A server's words are kept as they came."""
    patch.setattr(session, "parse_reply", lambda code, text: Reply(code=code, text=text))


def no_withholding(patch: pytest.MonkeyPatch) -> None:
    """A server that repeats what it was told at AUTH is quoted in full."""
    patch.setattr(session, "_withhold", lambda reply, message, told: reply)


def no_escaping(patch: pytest.MonkeyPatch) -> None:
    """Control characters are shown as what they are."""
    patch.setattr(scrub, "_escape", chr)


PLANTS: dict[str, Callable[[pytest.MonkeyPatch], Any]] = {
    bug.__name__.replace("_", "-"): bug
    for bug in (
        no_header_check,
        no_second_look,
        lax_addresses,
        no_boundary_check,
        no_line_check,
        no_dot_stuffing,
        no_shape_check,
        raw_words,
        eager,
        out_of_step,
        raw_replies,
        no_withholding,
        no_escaping,
    )
}


@contextmanager
def planted(twins: Sequence[str]) -> Iterator[None]:
    """This process with these bugs in it, and afterwards without."""
    with pytest.MonkeyPatch.context() as patch:
        for twin in twins:
            PLANTS[twin](patch)
        yield
