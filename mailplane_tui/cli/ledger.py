"""`mailplane ledger`: the tables against memory."""

from __future__ import annotations

import click

from mailplane_tui.cli.output import say, show_json
from mailplane_tui.cli.session import REFUSED, Noun, Session, pass_session


@click.group(cls=Noun)
def ledger() -> None:
    """What was sent or may have been sent."""


@ledger.command()
@pass_session
def verify(session: Session) -> int:
    """Recompute the ledger and compare; exit code 1 when it differs."""
    report = session.call_long("recomputing the ledger", "GET", "/v1/ledger/verify")
    if session.as_json:
        show_json(report)
    else:
        say(f"{report['charges']} charges in {report['scopes']} scopes")
        for difference in report["differences"]:
            say(f"differs: {difference}", "red")
    return REFUSED if report["differences"] else 0
