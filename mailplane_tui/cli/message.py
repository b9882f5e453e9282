"""`mailplane message`: what became of a message, and the few things a person may do to it."""

from __future__ import annotations

from typing import Any

import click

from mailplane_tui.cli.names import MAILBOXES, UNKNOWN
from mailplane_tui.cli.output import say, show_facts, show_json, show_table
from mailplane_tui.cli.session import Noun, Session, address, part, pass_session


@click.group(cls=Noun)
def message() -> None:
    """Messages that were handed in."""


@message.command("list")
@click.option("--in", "wanted", metavar="STATE", help="Only messages in this state.")
@click.option(
    "--mailbox",
    metavar="ADDRESS",
    help="Only those of this mailbox.",
    shell_complete=MAILBOXES,
)
@click.option("--recipient", metavar="ADDRESS", help="Only those to this recipient.")
@click.option("--after", metavar="CURSOR", help="The page after this cursor.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@pass_session
def list_messages(
    session: Session,
    wanted: str | None,
    mailbox: str | None,
    recipient: str | None,
    after: str | None,
    limit: int,
) -> None:
    """List one page of messages."""
    path = address(
        "/v1/messages",
        workspace=session.workspace,
        state=wanted,
        mailbox=mailbox,
        recipient=recipient,
        after=after,
        limit=limit,
    )
    page = session.call("GET", path)
    if session.as_json:
        show_json(page)
        return
    rows = (
        (row["id"], row["state"], row["mailbox"], row["workload"], row["slot_at"], row["subject"])
        for row in page["items"]
    )
    show_table(("ID", "STATE", "MAILBOX", "WORKLOAD", "SLOT", "SUBJECT"), rows)
    if page["next"] is not None:
        say(f"more: --after {page['next']}")


@message.command()
@click.argument("message_id", metavar="ID")
@pass_session
def show(session: Session, message_id: str) -> None:
    """Show one message with its recipients, attempts and events."""
    row = session.call("GET", f"/v1/messages/{part(message_id)}")
    if session.as_json:
        show_json(row)
        return
    names = ("id", "state", "reason", "workspace", "mailbox", "workload", "path", "subject")
    more = ("message_id", "created_at", "slot_at", "not_before", "expires_at", "metadata")
    show_facts((name, row.get(name)) for name in (*names, *more))
    say("")
    _show_rows(row["recipients"], ("address", "kind", "state", "reply"))
    _show_rows(row["attempts"], ("number", "begun_at", "outcome", "stage", "charged", "reply"))
    _show_rows(row["events"], ("at", "kind", "recipient", "detail"))


@message.command()
@click.argument("message_id", metavar="ID")
@click.option("--reason", required=True, help="Why; it is kept in the audit log.")
@pass_session
def cancel(session: Session, message_id: str, reason: str) -> None:
    """Cancel a message that has not left yet."""
    reply = session.call("POST", f"/v1/messages/{part(message_id)}/cancel", {"reason": reason})
    _told(session, reply, "canceled")


@message.command()
@click.argument("message_id", metavar="ID", shell_complete=UNKNOWN)
@click.option("--sent", "outcome", flag_value="sent", help="It was delivered.")
@click.option("--not-sent", "outcome", flag_value="not_sent", help="It was not; it may go again.")
@click.option("--reason", required=True, help="How you found out; kept in the audit log.")
@pass_session
def resolve(session: Session, message_id: str, outcome: str | None, reason: str) -> None:
    """Settle a message whose outcome is unknown."""
    if outcome is None:
        raise click.UsageError("say --sent or --not-sent")
    if outcome == "not_sent":
        session.confirm(f"Is it certain that {message_id} was not sent? It may go out again.")
    body = {"outcome": outcome, "reason": reason}
    reply = session.call("POST", f"/v1/messages/{part(message_id)}/resolve", body)
    _told(session, reply, "resolved")


def _told(session: Session, reply: dict[str, Any], done: str) -> None:
    if session.as_json:
        show_json(reply)
    else:
        say(f"{done} {reply['id']}: now {reply['state']}")


def _show_rows(rows: list[dict[str, Any]], names: tuple[str, ...]) -> None:
    if rows:
        show_table(
            [name.upper() for name in names], ([row[name] for name in names] for row in rows)
        )
        say("")
