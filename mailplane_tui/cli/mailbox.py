"""`mailplane mailbox`: sending identities, their headroom, their pauses, and what the book says."""

from __future__ import annotations

from typing import Any

import click

from mailplane_tui.cli.editing import Table, cap_option, edit_verbs, probe_option
from mailplane_tui.cli.names import ACCOUNTS, MAILBOXES
from mailplane_tui.cli.output import say, show_caps, show_facts, show_json, show_pauses, show_table
from mailplane_tui.cli.pausing import pause_scope, resume_scope
from mailplane_tui.cli.session import Noun, Session, part, pass_session


@click.group(cls=Noun)
def mailbox() -> None:
    """Sending identities."""


@mailbox.command("list")
@pass_session
def list_mailboxes(session: Session) -> None:
    """List the mailboxes with what is left of their tightest cap."""
    found = list(session.items("/v1/mailboxes", workspace=session.workspace))
    if session.as_json:
        show_json({"items": found, "next": None})
        return
    rows = (
        (
            row["address"],
            row["workspace"],
            row["state"],
            _tightest(row["caps"]),
            row["waiting"],
            row["unknown"],
            row["next_slot_at"],
        )
        for row in found
    )
    heads = ("MAILBOX", "WORKSPACE", "STATE", "LEFT", "WAITING", "UNKNOWN", "NEXT SLOT")
    show_table(heads, rows)


@mailbox.command()
@click.argument("address", shell_complete=MAILBOXES)
@pass_session
def show(session: Session, address: str) -> None:
    """Show one mailbox: its state, caps and pauses."""
    row = session.call("GET", f"/v1/mailboxes/{part(address)}")
    if session.as_json:
        show_json(row)
        return
    names = ("address", "name", "workspace", "account", "provider", "paths", "state")
    more = ("state_reason", "waiting", "sending", "unknown", "next_slot_at", "last_reply")
    show_facts((name, row.get(name)) for name in (*names, *more))
    say("")
    show_caps(row["caps"])
    show_pauses(row["pauses"])


pause_scope(mailbox, "mailboxes", "ADDRESS", "a mailbox", MAILBOXES)
resume_scope(mailbox, "mailboxes", "ADDRESS", "a mailbox", MAILBOXES)
edit_verbs(
    mailbox,
    Table(
        name="mailbox",
        collection="mailboxes",
        metavar="ADDRESS",
        what="a mailbox",
        names=MAILBOXES,
    ),
    click.option("--name", metavar="TEXT", help="The display name in From."),
    click.option(
        "--account",
        metavar="NAME",
        shell_complete=ACCOUNTS,
        help="The account that it leaves by.",
    ),
    cap_option("the mailbox"),
    probe_option,
)


def _tightest(caps: list[dict[str, Any]]) -> str | None:
    if not caps:
        return None
    cap = min(caps, key=lambda cap: cap["free"])
    return f"{cap['free']} of {cap['limit']} a {cap['window']}"
