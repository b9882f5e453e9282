"""`mailplane book`: which book is in force."""

from __future__ import annotations

import click

from mailplane_tui.cli.output import say, show_facts, show_json
from mailplane_tui.cli.session import Noun, Session, pass_session


@click.group(cls=Noun)
def book() -> None:
    """The operator's files: what should be true."""


@book.command()
@pass_session
def status(session: Session) -> None:
    """Show the book in force, what of it is not acted on, and why a newer one is not in force."""
    found = session.call("GET", "/v1/health").get("book")
    if session.as_json:
        show_json(found)
        return
    if found is None:
        say("no book is in force yet")
        return
    show_facts([("hash", found["hash"]), ("applied", found["applied_at"])])
    for problem in found["problems"]:
        say(f"problem: {problem}")
    for notice in found["notices"]:
        say(f"notice: {notice}")
