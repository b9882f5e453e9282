"""`mailplane suppression`: recipients that may not be mailed."""

from __future__ import annotations

from typing import Any

import click

from mailplane_tui.cli.output import say, show_json, show_table
from mailplane_tui.cli.session import Noun, Session, pass_session


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
    made = session.call("POST", "/v1/suppressions", _body(session, address, ground=ground))
    if session.as_json:
        show_json(made)
        return
    say(f"suppressed {made['address']} in {made['workspace'] or 'every workspace'}")
    for message in made.get("in_flight", ()):
        say(f"on the wire already: {message}")


@suppression.command()
@click.argument("address")
@pass_session
def remove(session: Session, address: str) -> None:
    """Mail to ADDRESS may begin again."""
    session.confirm(f"Let mail to {address} begin again?")
    reply = session.call("DELETE", "/v1/suppressions", _body(session, address))
    if session.as_json:
        show_json(reply)
    else:
        say(f"no longer suppressed: {address}")


@suppression.command()
@click.argument("addresses", nargs=-1, required=True)
@pass_session
def check(session: Session, addresses: tuple[str, ...]) -> None:
    """Show which of ADDRESSES are suppressed."""
    body = {"addresses": list(addresses)}
    if session.workspace is not None:
        body["workspace"] = session.workspace  # type: ignore[assignment]
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


def _body(session: Session, address: str, **more: str) -> dict[str, Any]:
    scope = {} if session.workspace is None else {"workspace": session.workspace}
    return {"address": address, **scope, **more}


def _show(found: list[dict[str, Any]]) -> None:
    rows = (
        (
            row["address"],
            row["workspace"] or "(all)",
            row["origin"],
            row["ground"],
            row["actor"],
            row["created_at"],
        )
        for row in found
    )
    show_table(("ADDRESS", "WORKSPACE", "ORIGIN", "GROUND", "BY", "SINCE"), rows)
