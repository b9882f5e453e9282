"""`mailplane book`: which book is in force, and whether files are one."""

from __future__ import annotations

from pathlib import Path

import click

from mailplane_tui.cli.offline import offline
from mailplane_tui.cli.output import say, show_facts, show_json
from mailplane_tui.cli.session import REFUSED, Noun, Session, pass_session


@click.group(cls=Noun)
def book() -> None:
    """The operator's files: what should be true."""


@book.command()
@pass_session
def status(session: Session) -> None:
    """Show the book in force, what of it is not acted on, and why a newer one is not in force."""
    found = session.call("GET", "/v1/health").get("book")
    if session.as_json:
        show_json(found)
        return
    if found is None:
        say("no book is in force yet")
        return
    show_facts([("hash", found["hash"]), ("applied", found["applied_at"])])
    for problem in found["problems"]:
        say(f"problem: {problem}", "red")
    for notice in found["notices"]:
        say(f"notice: {notice}", "yellow")


@book.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@pass_session
def check(session: Session, folder: Path | None) -> int:
    """Tell every problem of the book in FOLDER, without a daemon; exit code 1 if there is one."""
    folder = folder or session.places().config
    found = offline(session, "check-book", str(folder.absolute()))
    if session.as_json:
        show_json(found)
    else:
        for problem in found["problems"]:
            say(f"problem: {problem}", "red")
        for notice in found["notices"]:
            say(f"notice: {notice}", "yellow")
        count = len(found["problems"])
        say(f"{count} problem{'s' if count > 1 else ''}" if count else f"good: {found['hash']}")
    return REFUSED if found["problems"] else 0


@book.command()
@click.argument("name", type=click.Choice(["mailplane", "workspace"]))
@pass_session
def schema(session: Session, name: str) -> None:
    """Print the JSON Schema of mailplane.toml, or of a file of workspaces/, for an editor."""
    show_json(offline(session, "book-schema", name))
