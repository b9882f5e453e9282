"""`mailplane workspace`: clients and brands."""

from __future__ import annotations

import click

from mailplane_tui.cli.names import WORKSPACES
from mailplane_tui.cli.output import show_json, show_table
from mailplane_tui.cli.pausing import pause_scope, resume_scope
from mailplane_tui.cli.session import Noun, Session, pass_session


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
            [f"{count} {state}" for state, count in row["states"].items() if count],
            row["waiting"],
            row["unknown"],
        )
        for row in found
    )
    show_table(("WORKSPACE", "TITLE", "MAILBOXES", "STATES", "WAITING", "UNKNOWN"), rows)


pause_scope(workspace, "workspaces", "NAME", "a workspace", WORKSPACES)
resume_scope(workspace, "workspaces", "NAME", "a workspace", WORKSPACES)
