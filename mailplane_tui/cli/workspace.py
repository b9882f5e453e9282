"""`mailplane workspace`: clients and brands."""

from __future__ import annotations

from typing import Any

import click

from mailplane_tui.cli.editing import Table, cap_option, edit_verbs, the_item
from mailplane_tui.cli.names import WORKSPACES
from mailplane_tui.cli.output import show_facts, show_json, show_pauses, show_table
from mailplane_tui.cli.pausing import pause_scope, resume_scope
from mailplane_tui.cli.session import Noun, Session, pass_session

_TABLE = Table(
    name="workspace",
    collection="workspaces",
    metavar="NAME",
    what="a workspace",
    names=WORKSPACES,
)


@click.group(cls=Noun)
def workspace() -> None:
    """Clients or brands."""


@workspace.command("list")
@pass_session
def list_workspaces(session: Session) -> None:
    """List the workspaces with their mailboxes by state."""
    found = list(session.items("/v1/workspaces", workspace=session.workspace))
    if session.as_json:
        show_json({"items": found, "next": None})
        return
    rows = (
        (
            row["name"],
            row["title"],
            row["mailboxes"],
            _states(row),
            row["waiting"],
            row["unknown"],
        )
        for row in found
    )
    show_table(("WORKSPACE", "TITLE", "MAILBOXES", "STATES", "WAITING", "UNKNOWN"), rows)


@workspace.command()
@click.argument("name", shell_complete=WORKSPACES)
@pass_session
def show(session: Session, name: str) -> None:
    """Show one workspace: its mailboxes by state and its pauses."""
    row = the_item(session, _TABLE, name)
    if session.as_json:
        show_json(row)
        return
    show_facts((key, row[key]) for key in ("name", "title", "mailboxes", "waiting", "unknown"))
    show_facts([("states", _states(row))])
    show_pauses(row["pauses"])


pause_scope(workspace, "workspaces", "NAME", "a workspace", WORKSPACES)
resume_scope(workspace, "workspaces", "NAME", "a workspace", WORKSPACES)
edit_verbs(workspace, _TABLE, cap_option("all that the workspace sends"))


def _states(row: dict[str, Any]) -> list[str]:
    return [f"{count} {state}" for state, count in row["states"].items() if count]
