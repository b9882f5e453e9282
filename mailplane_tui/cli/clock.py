"""`mailplane clock`: what to do when the host's clock has leapt."""

from __future__ import annotations

import click

from mailplane_tui.cli.output import say, show_json
from mailplane_tui.cli.session import Noun, Session, pass_session


@click.group(cls=Noun)
def clock() -> None:
    """The time that caps are counted by."""


@clock.command()
@click.option("--reason", required=True, help="Why; it is kept in the audit log.")
@pass_session
def accept(session: Session, reason: str) -> None:
    """Believe the host's clock, which leapt forward; windows go by it from now on."""
    reply = session.call("POST", "/v1/clock/accept", {"reason": reason})
    if session.as_json:
        show_json(reply)
    else:
        say(f"went forward by {reply['ahead_s']} s")
