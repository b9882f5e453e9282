"""`mailplane backup`: a copy of everything that a daemon needs to go on elsewhere."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import click

from mailplane_tui.cli.offline import offline
from mailplane_tui.cli.output import say, show_facts, show_json
from mailplane_tui.cli.progress import progress
from mailplane_tui.cli.session import Failure, Noun, Session, pass_session

_FILE = click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))


@click.group(cls=Noun)
def backup() -> None:
    """Backups: made while the daemon runs, verified and restored without it."""


@backup.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--keys", is_flag=True, help="Take the keys and secret files into it as well.")
@pass_session
def create(session: Session, file: Path | None, *, keys: bool) -> None:
    """Make a backup, in the state folder or as FILE."""
    if file is not None and file.exists():
        raise Failure(f"{file} exists already; nothing is overwritten")
    made = session.call_long("making a backup", "POST", "/v1/backups", {"keys": keys})
    if file is not None:
        shutil.move(made["path"], file)
        made["path"] = str(file.absolute())
    _show(session, made)


@backup.command()
@_FILE
@pass_session
def verify(session: Session, file: Path) -> None:
    """Read a backup from end to end: hashes, the database, what it holds."""
    _show(session, _read(session, "verify-backup", file))


@backup.command()
@_FILE
@pass_session
def restore(session: Session, file: Path) -> None:
    """Put a backup into a state folder that has none; the daemon then sends nothing until told."""
    made = _read(session, "restore", file)
    _show(session, made)
    if not session.as_json:
        say("everything is paused in it: what was sent since the backup is not in its ledger")
        if left_out := ", ".join(made["left_out"]):
            say(f"before the daemon starts, put into {session.places().state}: {left_out}")
        say("start the daemon and look; then: mailplane pause lift ID --acknowledge --reason TEXT")


def _read(session: Session, verb: str, file: Path) -> dict[str, Any]:
    with progress(session, f"reading {file.name}", file.stat().st_size) as bar:

        def told(step: str, count: int) -> None:
            if step == "read":
                bar.advance(count)
            else:
                bar.go_on("looking the database over")

        made: dict[str, Any] = offline(session, verb, str(file.absolute()), told=told)
    return made


def _show(session: Session, made: dict[str, Any]) -> None:
    if session.as_json:
        show_json(made)
        return
    held = [f"{count} {name}" for name, count in made["counts"].items()]
    show_facts(
        [
            ("backup", made["path"]),
            ("made", made["made_at"]),
            ("bytes", made["bytes"]),
            ("book", made["book"]),
            ("holds", held),
            ("left out", made["left_out"] or "nothing"),
        ]
    )
