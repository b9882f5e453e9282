"""`mailplane init`: a first book, a state folder and a token. It never overwrites anything."""

from __future__ import annotations

import os
import secrets
from importlib.resources import files
from pathlib import Path
from typing import Final

import click

from mailplane_tui.cli.output import say, show_json
from mailplane_tui.cli.session import Failure, Session, Verb, pass_session

_WORKSPACE: Final = "example"
_SECRET: Final = "example-relay-password"  # noqa: S105 - a name, not a secret


@click.command(cls=Verb)
@pass_session
def init(session: Session) -> None:
    """Write a commented example book, make the state folder, and make a first token."""
    places = session.places()
    book = places.config / "mailplane.toml"
    workspace = places.config / "workspaces" / f"{_WORKSPACE}.toml"
    token = places.state / f"{_WORKSPACE}.token"
    for path in (book, workspace, token):
        if path.exists():
            raise Failure(f"{path} exists already; nothing was changed")
    workspace.parent.mkdir(parents=True, exist_ok=True)
    places.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    places.state.chmod(0o700)
    _write(book, _template("mailplane.toml"), 0o644)
    _write(workspace, _template("example.toml"), 0o644)
    _write(token, f"mp_{secrets.token_urlsafe(32)}\n", 0o600)
    if session.as_json:
        paths = {"book": book, "workspace": workspace, "state": places.state, "token": token}
        show_json({name: str(path) for name, path in paths.items()})
        return
    say(f"the book:        {book}")
    say(f"its workspace:   {workspace}")
    say(f"the state:       {places.state}")
    say(f"a token:         {token} (for senders; the daemon takes it in when it starts)")
    say("")
    say(f"1. Put your relay, domain and mailbox into {workspace}")
    say("2. Run: mailplane up --detach")
    say(f"3. Run: mailplane secret set {_SECRET} --workspace {_WORKSPACE}")


def _template(name: str) -> str:
    return files("mailplane_tui.cli").joinpath("templates", name).read_text(encoding="utf-8")


def _write(path: Path, text: str, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
