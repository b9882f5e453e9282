"""`mailplane event tail` and `mailplane audit tail`: what happened, and who changed what."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import click

from mailplane_tui.cli.output import say, show_json
from mailplane_tui.cli.session import UNREACHABLE, Failure, Noun, Session, address, pass_session

_LAST: Final = 20
"""Rows shown when no starting point is given."""

_Row = dict[str, Any]


@click.group(cls=Noun)
def event() -> None:
    """What happened to messages."""


@click.group(cls=Noun)
def audit() -> None:
    """Who changed what."""


@event.command("tail")
@click.option("--after", type=int, metavar="CURSOR", help="Begin after this event.")
@click.option("--follow", "-f", is_flag=True, help="Go on with new ones as they come.")
@pass_session
def tail_events(session: Session, after: int | None, *, follow: bool) -> None:
    """Show the last events; with --json one object a line."""
    _tail(session, "event", after, _event_line, follow=follow)


@audit.command("tail")
@click.option("--after", type=int, metavar="SEQ", help="Begin after this entry.")
@click.option("--follow", "-f", is_flag=True, help="Go on with new ones as they come.")
@click.option("--identities", is_flag=True, help="Only what changes a sending identity.")
@pass_session
def tail_audit(session: Session, after: int | None, *, follow: bool, identities: bool) -> None:
    """Show the last audit entries; with --json one object a line.

    Sending identities are mailboxes, domains, accounts, paths, workspaces, and their secrets.
    """
    about = "identities" if identities else None
    _tail(session, "audit", after, audit_line, follow=follow, about=about)


def _tail(
    session: Session,
    log: str,
    after: int | None,
    line: Callable[[_Row], str],
    *,
    follow: bool,
    about: str | None = None,
) -> None:
    path, place = ("/v1/events", "cursor") if log == "event" else ("/v1/audit", "seq")
    live = _live(session, log) if follow else iter(())
    next(live, None)  # the stream begins before the log is read: nothing falls between the two
    found: Iterable[_Row]
    if about is not None:
        found = session.items(path, after=after, workspace=session.workspace, about=about)
        found = found if after is not None else deque(found, _LAST)
    elif after is None:
        page = address(path, last=_LAST, workspace=session.workspace)
        found = session.call("GET", page)["items"]
    else:
        found = session.items(path, after=after, workspace=session.workspace)
    shown = 0
    try:
        for row in found:
            shown = row[place]
            show(session, row, line)
        for row in live:
            if row[place] > shown and _is_about(row, about):
                show(session, row, line)
    except KeyboardInterrupt:
        return


def _is_about(row: _Row, about: str | None) -> bool:
    from mailplane_wire.audit.lines import IDENTITY_ACTIONS

    return about is None or row["action"] in IDENTITY_ACTIONS


def _live(session: Session, log: str) -> Iterator[_Row]:
    """An empty row once the stream has begun, then each new row of the log."""
    import msgspec

    from mailplane_wire.resources import LogAudit, LogEvent, Snapshot

    with session.failing():
        for _, message in session.client().stream(workspace=session.workspace):
            if isinstance(message, Snapshot):
                yield {}
            elif isinstance(message, LogEvent) and log == "event":
                yield msgspec.to_builtins(message.event)
            elif isinstance(message, LogAudit) and log == "audit":
                yield msgspec.to_builtins(message.entry)
    raise Failure("the daemon closed the stream", UNREACHABLE)


def show(session: Session, row: _Row, line: Callable[[_Row], str]) -> None:
    """One row, as JSON or on one line."""
    if session.as_json:
        show_json(row)
    else:
        say(line(row))


def _event_line(row: _Row) -> str:
    parts = (row["at"], row["workspace"], row["kind"], row["mailbox"], row["recipient"])
    return "  ".join(part for part in (*parts, row["message"], _detail(row)) if part)


def audit_line(row: _Row) -> str:
    """An audit entry on one line."""
    parts = (row["seq"], row["at"], row["workspace"], row["actor"], row["action"], row["target"])
    return "  ".join(str(part) for part in (*parts, _detail(row)) if part)


def _detail(row: _Row) -> str:
    detail = row["detail"]
    if "change" in detail:  # of the book, in words
        return f"{detail['change']} ({detail['file']})"
    return " ".join(
        f"{name}={_value(value)}" for name, value in detail.items() if value is not None
    )


def _value(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
