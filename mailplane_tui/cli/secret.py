"""`mailplane secret`: credentials, sealed in the daemon's vault."""

from __future__ import annotations

import sys

import click

from mailplane_tui.cli.names import SECRETS
from mailplane_tui.cli.output import say, show_json, show_table
from mailplane_tui.cli.session import Failure, Noun, Session, address, part, pass_session

_EXPIRES = click.option("--expires", metavar="TIME", help="When it stops being valid (RFC 3339).")


@click.group(cls=Noun)
def secret() -> None:
    """Passwords and keys that the book names. Values go in, and are never shown."""


@secret.command("set")
@click.argument("name")
@_EXPIRES
@pass_session
def set_secret(session: Session, name: str, expires: str | None) -> None:
    """Seal a new secret for --workspace, or for all; the value is asked for or read from stdin."""
    body = {"name": name, "workspace": session.workspace, "expires_at": expires}
    made = session.call("POST", "/v1/secrets", {**body, "value": _value(name)})
    _show(session, made, "sealed")


@secret.command()
@click.argument("name", shell_complete=SECRETS)
@_EXPIRES
@pass_session
def rotate(session: Session, name: str, expires: str | None) -> None:
    """Put another value in the place of --workspace's secret, or of that for all."""
    body = {"value": _value(name), "expires_at": expires}
    path = address(f"/v1/secrets/{part(name)}/rotate", workspace=session.workspace)
    _show(session, session.call("POST", path, body), "rotated")


@secret.command("list")
@pass_session
def list_secrets(session: Session) -> None:
    """List secrets with age, expiry and last use, and who uses them."""
    found = list(session.items("/v1/secrets", workspace=session.workspace))
    if session.as_json:
        show_json({"items": found, "next": None})
        return
    heads = ("NAME", "WORKSPACE", "KEPT", "CHANGED", "EXPIRES", "LAST USED", "USED BY", "PROBLEM")
    keys = (
        "name", "workspace", "kept", "changed_at", "expires_at", "last_used_at", "used_by",
        "problem",
    )  # fmt: skip
    show_table(heads, ([row[key] for key in keys] for row in found))


@secret.command()
@click.argument("name", shell_complete=SECRETS)
@click.option("--reason", required=True, help="Why, for the audit log.")
@pass_session
def remove(session: Session, name: str, reason: str) -> None:
    """Forget --workspace's secret, or that for all, once the book no longer needs it."""
    whose = f" of {session.workspace}" if session.workspace else ""
    session.confirm(f"Remove secret {name}{whose}? Its value can't be had back.")
    path = address(f"/v1/secrets/{part(name)}", workspace=session.workspace)
    gone = session.call("DELETE", path, {"reason": reason})
    _show(session, gone, "removed")


@secret.command()
@pass_session
def rekey(session: Session) -> None:
    """Make a new vault key and seal every secret under it; the old key is gone then."""
    session.confirm("Seal all secrets under a new key? Copies of the old key open nothing new.")
    done = session.call_long("sealing every secret anew", "POST", "/v1/vault/rekey")
    if session.as_json:
        show_json(done)
    else:
        say(f"sealed {done['secrets']} secrets under a new key")


def _value(name: str) -> str:
    """The value, from a prompt that doesn't show it or from standard input; never from argv."""
    if sys.stdin.isatty():
        value: str = click.prompt(
            f"Value of {name}", hide_input=True, confirmation_prompt=True, err=True
        )
        return value
    try:
        text = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as fault:
        raise Failure("the value on standard input is not UTF-8 text") from fault
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise Failure("there is no value on standard input")
    return text


def _show(session: Session, view: dict[str, object], done: str) -> None:
    if session.as_json:
        show_json(view)
    else:
        owner = f" of {view['workspace']}" if view["workspace"] else ""
        say(f"{done} {view['name']}{owner} (version {view['version']})")
