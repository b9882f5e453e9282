"""`mailplane people`: who may do what, where."""

from __future__ import annotations

from typing import Any

import click

from mailplane_tui.cli.editing import book_edit, send_edit
from mailplane_tui.cli.names import PEOPLE, WORKSPACES
from mailplane_tui.cli.output import show_json, show_table
from mailplane_tui.cli.session import Noun, Session, pass_session

_IN = click.option(
    "--in",
    "workspaces",
    multiple=True,
    metavar="WORKSPACE",
    shell_complete=WORKSPACES,
    help="The role in this workspace only; more of them are one entry.",
)


@click.group(cls=Noun)
def people() -> None:
    """People of this host and their roles."""


@people.command("list")
@pass_session
def list_people(session: Session) -> None:
    """List the people and what they are where."""
    found = [
        row
        for row in session.items("/v1/people")
        if session.workspace is None
        or session.workspace in (row["workspaces"] or [session.workspace])
    ]
    if session.as_json:
        show_json({"items": found, "next": None})
        return
    rows = (
        (row["name"], row["role"], row["workspaces"] or "all", row["unix_user"], row["uid"])
        for row in found
    )
    show_table(("NAME", "ROLE", "WORKSPACES", "UNIX USER", "UID"), rows)


@people.command("set")
@click.argument("name", shell_complete=PEOPLE)
@click.option(
    "--role",
    required=True,
    type=click.Choice(["owner", "admin", "operator", "auditor", "viewer"]),
    help="What the person may do.",
)
@click.option("--unix-user", metavar="USER", help="Who that is on this host, by name.")
@click.option("--uid", type=click.IntRange(min=0), help="Who that is on this host, by number.")
@_IN
@pass_session
def change(
    session: Session,
    name: str,
    role: str,
    unix_user: str | None,
    uid: int | None,
    workspaces: tuple[str, ...],
) -> int:
    """Give a person a role; one who is new needs a Unix user."""
    if unix_user is not None and uid is not None:
        raise click.UsageError("give --unix-user or --uid, not both")
    values: dict[str, Any] = {"role": role}
    if unix_user is not None or uid is not None:
        values |= {"unix_user": unix_user, "uid": uid}
    edit = book_edit("set", "member", name, values | _only_in(session, workspaces))
    return send_edit(session, None, edit)


@people.command()
@click.argument("name", shell_complete=PEOPLE)
@_IN
@pass_session
def remove(session: Session, name: str, workspaces: tuple[str, ...]) -> int:
    """Take a person, or one role of theirs, out of the book."""
    values = _only_in(session, workspaces)
    session.confirm(f"Take {name} out of the people who may come in?")
    return send_edit(session, None, book_edit("remove", "member", name, values))


def _only_in(session: Session, workspaces: tuple[str, ...]) -> dict[str, Any]:
    """Which of a person's entries is meant; where none is named, that is for the daemon to say."""
    names = dict.fromkeys((*workspaces, *([session.workspace] if session.workspace else ())))
    return {"workspaces": list(names)} if names else {}
