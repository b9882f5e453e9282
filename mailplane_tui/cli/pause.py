"""`mailplane pause`: durable stops on a mailbox, domain, path, workspace or everything."""

from __future__ import annotations

from typing import Any

import click

from mailplane_tui.cli.names import COLLECTIONS, PAUSES, TO_PAUSE
from mailplane_tui.cli.output import say, show_json, show_table
from mailplane_tui.cli.session import Noun, Session, part, pass_session


@click.group(cls=Noun)
def pause() -> None:
    """Durable stops."""


@pause.command("list")
@pass_session
def list_pauses(session: Session) -> None:
    """List the pauses in force."""
    found = list(session.items("/v1/pauses", workspace=session.workspace))
    if session.as_json:
        show_json({"items": found, "next": None})
        return
    rows = (
        (row["id"], row["scope"], row["actor"], row["created_at"], row["until"], row["reason"])
        for row in found
    )
    show_table(("ID", "SCOPE", "BY", "SINCE", "UNTIL", "REASON"), rows)


@pause.command()
@click.argument("kind", type=click.Choice([*COLLECTIONS, "everything"]))
@click.argument("name", required=False, shell_complete=TO_PAUSE)
@click.option("--reason", required=True, help="Why; it is kept in the audit log.")
@click.option("--until", metavar="TIME", help="When it ends by itself.")
@pass_session
def add(session: Session, kind: str, name: str | None, reason: str, until: str | None) -> None:
    """Stop new attempts: pause add mailbox ana@acme.example --reason "…"."""
    if (name is None) != (kind == "everything"):
        raise click.UsageError("name what to pause; only everything has no name")
    if kind == "everything" and session.workspace is not None:
        raise click.UsageError("everything is every workspace; pause add workspace NAME is one")
    if name is not None:
        session.check_home(COLLECTIONS[kind], name)
        if kind == "path" and session.workspace is not None:
            name = f"{session.workspace}/{name}"  # each workspace names its own paths
    scope: dict[str, Any] = {kind: name or True}
    body = {"scope": scope, "reason": reason} | ({"until": until} if until else {})
    made = session.call("POST", "/v1/pauses", body)
    if session.as_json:
        show_json(made)
    else:
        say(f"paused {made['scope']} as {made['id']}")


@pause.command()
@click.argument("pause_id", metavar="ID", shell_complete=PAUSES)
@click.option("--reason", required=True, help="Why; it is kept in the audit log.")
@click.option("--acknowledge", is_flag=True, help="Lift also what a rule or a provider paused.")
@pass_session
def lift(session: Session, pause_id: str, reason: str, *, acknowledge: bool) -> None:
    """Lift one pause; others on the same thing stay."""
    body = {"reason": reason, "acknowledge": acknowledge}
    reply = session.call("DELETE", f"/v1/pauses/{part(pause_id)}", body)
    if session.as_json:
        show_json(reply)
    else:
        say(f"lifted {pause_id}")
