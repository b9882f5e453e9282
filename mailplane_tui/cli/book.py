"""`mailplane book`: which book is in force, which was, and what other files would change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mailplane_tui.cli.editing import show_change
from mailplane_tui.cli.offline import offline
from mailplane_tui.cli.output import complain, say, show_facts, show_json, show_table
from mailplane_tui.cli.session import (
    NOT_PERMITTED,
    REFUSED,
    Failure,
    Noun,
    Session,
    address,
    pass_session,
)


@click.group(cls=Noun)
def book() -> None:
    """The operator's files: what should be true."""


@book.command()
@pass_session
def status(session: Session) -> None:
    """Show the book in force, what of it is not acted on, and why a newer one is not in force."""
    found = session.call("GET", "/v1/health").get("book")
    if found is None:
        raise Failure("the book in force is told to those who see all workspaces", NOT_PERMITTED)
    if session.as_json:
        show_json(found)
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


@book.command()
@click.argument("folder", required=False, type=click.Path(exists=True, path_type=Path))
@pass_session
def diff(session: Session, folder: Path | None) -> int:
    """Tell what would change if FOLDER were the book; without it: what lies in the book's own."""
    found = session.call("POST", "/v1/book/diff", _files(folder))
    if session.as_json:
        show_json(found)
    else:
        for problem in found["problems"]:
            say(f"problem: {problem}", "red")
        for difference in found["differences"]:
            say(difference["text"])
        if not found["differences"] and not found["problems"]:
            say("nothing differs")
    return REFUSED if found["problems"] else 0


@book.command()
@click.argument("folder", required=False, type=click.Path(exists=True, path_type=Path))
@pass_session
def apply(session: Session, folder: Path | None) -> int:
    """Have FOLDER be the book: its files take the place of the present ones, all or none.

    Without it what lies in the book's own folder is taken now.
    """
    files = _files(folder)
    if folder is not None and not session.yes:
        found = session.call("POST", "/v1/book/diff", files)
        if found["differences"] and not found["problems"]:
            for line in found["differences"]:
                complain(line["text"])
            session.confirm("Put this in force?")
    return show_change(session, session.call("POST", "/v1/book/apply", files))


@book.command()
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@pass_session
def history(session: Session, limit: int) -> None:
    """Show which books were in force, the newest first; the audit log has what each changed."""
    found = session.call("GET", address("/v1/book/history", limit=limit))
    if session.as_json:
        show_json(found)
        return
    rows = (
        (row["applied_at"], row["hash"], row["actor"], row["changes"]) for row in found["items"]
    )
    show_table(("APPLIED", "BOOK", "BY", "CHANGES"), rows)


def _files(folder: Path | None) -> dict[str, Any]:
    """The texts of a book's files, to be sent."""
    if folder is None:
        return {}
    if not folder.is_dir():
        raise Failure(f"{folder}: no folder; name the one with mailplane.toml")
    found = [folder / "mailplane.toml", *sorted((folder / "workspaces").glob("[!.]*.toml"))]
    texts = {}
    for path in found:
        if not path.is_file():
            continue
        try:
            texts[path.relative_to(folder).as_posix()] = path.read_bytes().decode()
        except (OSError, UnicodeDecodeError) as fault:
            raise Failure(f"{path}: can't be read: {fault}") from fault
    if not texts:
        raise Failure(f"{folder}: holds no book: neither mailplane.toml nor workspaces/*.toml")
    return {"files": texts}
