"""`mailplane token`: what machines sign in with."""

from __future__ import annotations

import click

from mailplane_tui.cli.output import complain, say, show_json, show_table
from mailplane_tui.cli.session import Noun, Session, part, pass_session


@click.group(cls=Noun)
def token() -> None:
    """Tokens of machines that submit."""


@token.command()
@click.argument("name")
@pass_session
def create(session: Session, name: str) -> None:
    """Make a token for --workspace; it is shown this once."""
    if session.workspace is None:
        raise click.UsageError("a token belongs to a workspace: give --workspace")
    made = session.call("POST", "/v1/tokens", {"name": name, "workspace": session.workspace})
    if session.as_json:
        show_json(made)
        return
    say(made["token"])
    complain(f"token {made['id']} for {made['workspace']}; it is not shown again")


@token.command("list")
@pass_session
def list_tokens(session: Session) -> None:
    """List the tokens, never their values."""
    found = list(session.items("/v1/tokens", workspace=session.workspace))
    if session.as_json:
        show_json({"items": found, "next": None})
        return
    rows = (
        (row["id"], row["name"], row["workspace"], row["created_at"], row["last_used_at"])
        for row in found
    )
    show_table(("ID", "NAME", "WORKSPACE", "MADE", "LAST USED"), rows)


@token.command()
@click.argument("token_id", metavar="ID")
@pass_session
def revoke(session: Session, token_id: str) -> None:
    """Make a token worthless at once."""
    session.confirm(f"Revoke token {token_id}? Whoever uses it can't submit any more.")
    reply = session.call("DELETE", f"/v1/tokens/{part(token_id)}")
    if session.as_json:
        show_json(reply)
    else:
        say(f"revoked {token_id}")
