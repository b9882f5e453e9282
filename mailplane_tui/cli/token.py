"""`mailplane token`: what machines sign in with."""

from __future__ import annotations

from typing import Any

import click

from mailplane_tui.cli.names import MAILBOXES, TOKENS
from mailplane_tui.cli.output import complain, say, show_json, show_table
from mailplane_tui.cli.session import Noun, Session, part, pass_session

_EXPIRES = click.option("--expires", metavar="TIME", help="When it ends (RFC 3339).")


@click.group(cls=Noun)
def token() -> None:
    """Tokens of machines that submit."""


@token.command()
@click.argument("name")
@click.option("--workload", "workloads", multiple=True, help="Only mail of this workload.")
@click.option(
    "--mailbox",
    "mailboxes",
    multiple=True,
    help="Only mail from this mailbox.",
    shell_complete=MAILBOXES,
)
@click.option(
    "--action",
    "actions",
    multiple=True,
    type=click.Choice(["submit", "read", "cancel"]),
    help="Only this action; else all three.",
)
@_EXPIRES
@pass_session
def create(
    session: Session,
    name: str,
    workloads: tuple[str, ...],
    mailboxes: tuple[str, ...],
    actions: tuple[str, ...],
    expires: str | None,
) -> None:
    """Make a token for --workspace or a part of it; it is shown this once."""
    if session.workspace is None:
        raise click.UsageError("a token belongs to a workspace: give --workspace")
    body = {
        "name": name,
        "workspace": session.workspace,
        "workloads": list(workloads) or None,
        "mailboxes": list(mailboxes) or None,
        "actions": list(actions) or None,
        "expires_at": expires,
    }
    _show_new(session, session.call("POST", "/v1/tokens", body))


@token.command("list")
@pass_session
def list_tokens(session: Session) -> None:
    """List the tokens, never their values."""
    found = list(session.items("/v1/tokens", workspace=session.workspace))
    if session.as_json:
        show_json({"items": found, "next": None})
        return
    rows = (
        (
            row["id"],
            row["name"],
            row["workspace"],
            _limits(row),
            row["created_at"],
            row["expires_at"],
            row["last_used_at"],
        )
        for row in found
    )
    show_table(("ID", "NAME", "WORKSPACE", "LIMITED TO", "MADE", "EXPIRES", "LAST USED"), rows)


@token.command()
@click.argument("token_id", metavar="ID", shell_complete=TOKENS)
@click.option("--overlap", default="24h", show_default=True, help="How long the old one goes on.")
@_EXPIRES
@pass_session
def rotate(session: Session, token_id: str, overlap: str, expires: str | None) -> None:
    """Make another token with the same limits; the old one ends after --overlap."""
    body = {"overlap": overlap, "expires_at": expires}
    _show_new(session, session.call("POST", f"/v1/tokens/{part(token_id)}/rotate", body))


@token.command()
@click.argument("token_id", metavar="ID", shell_complete=TOKENS)
@pass_session
def revoke(session: Session, token_id: str) -> None:
    """Make a token worthless at once."""
    session.confirm(f"Revoke token {token_id}? Whoever uses it can't submit any more.")
    reply = session.call("DELETE", f"/v1/tokens/{part(token_id)}")
    if session.as_json:
        show_json(reply)
    else:
        say(f"revoked {token_id}")


def _show_new(session: Session, made: dict[str, Any]) -> None:
    if session.as_json:
        show_json(made)
        return
    say(made["token"])
    complain(f"token {made['id']} for {made['workspace']}; it is not shown again")


def _limits(row: dict[str, Any]) -> str | None:
    names = [name for key in ("workloads", "mailboxes", "actions") for name in row[key] or ()]
    return ", ".join(names) or None
