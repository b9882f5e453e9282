"""`mailplane suppression`: recipients that may not be mailed."""

from __future__ import annotations

from typing import Any

import click

from mailplane_tui.cli.output import say, show_json, show_table
from mailplane_tui.cli.session import Noun, Session, part, pass_session


@click.group(cls=Noun)
def suppression() -> None:
    """Recipients that may not be mailed."""


@suppression.command()
@click.argument("address")
@click.option("--ground", default="request", show_default=True, help="The legal ground.")
@pass_session
def add(session: Session, address: str, ground: str) -> None:
    """Mail to ADDRESS (a@b, or @b for a domain) may no longer begin.

    Without --workspace it holds for all of them.
    """
    body: dict[str, Any] = {"address": address, "ground": ground}
    if session.workspace is not None:
        body["workspace"] = session.workspace
    made = session.call("POST", "/v1/suppressions", body)
    if session.as_json:
        show_json(made)
        return
    say(f"suppressed {made['address']} in {made['workspace'] or 'every workspace'}")
    for message in made.get("in_flight", ()):
        say(f"on the wire already: {message}")


@suppression.command()
@click.argument("suppression_id", metavar="ID")
@click.option("--reason", required=True, help="Why; it is kept in the audit log.")
@pass_session
def remove(session: Session, suppression_id: str, reason: str) -> None:
    """Lift a suppression; check shows its ID."""
    session.confirm(f"Lift {suppression_id}? Mail to that recipient may begin again.")
    path = f"/v1/suppressions/{part(suppression_id)}"
    reply = session.call("DELETE", path, {"reason": reason})
    if session.as_json:
        show_json(reply)
    else:
        say(f"no longer suppressed: {reply['address']}")


@suppression.command()
@click.argument("addresses", nargs=-1, required=True)
@pass_session
def check(session: Session, addresses: tuple[str, ...]) -> None:
    """Show which of ADDRESSES are suppressed."""
    body: dict[str, Any] = {"addresses": list(addresses)}
    if session.workspace is not None:
        body["workspace"] = session.workspace
    reply = session.call("POST", "/v1/suppressions/check", body)
    if session.as_json:
        show_json(reply)
    else:
        _show(reply["items"])


@suppression.command("list")
@pass_session
def list_suppressions(session: Session) -> None:
    """List the suppressions."""
    found = list(session.items("/v1/suppressions", workspace=session.workspace))
    if session.as_json:
        show_json({"items": found, "next": None})
    else:
        _show(found)


def _show(found: list[dict[str, Any]]) -> None:
    rows = (
        (
            row["id"],
            row["address"],
            row["workspace"] or "(all)",
            row["origin"],
            row["ground"],
            row["actor"],
            row["created_at"],
        )
        for row in found
    )
    show_table(("ID", "ADDRESS", "WORKSPACE", "ORIGIN", "GROUND", "BY", "SINCE"), rows)
