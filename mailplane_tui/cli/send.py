"""`mailplane send` and `mailplane preflight`: hand in a message, or ask what would become of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import click

from mailplane_tui.cli.names import MAILBOXES, PATHS
from mailplane_tui.cli.output import complain, say, show_json
from mailplane_tui.cli.session import REFUSED, Failure, Session, Verb, pass_session, spoken

F = TypeVar("F", bound=Callable[..., Any])

_File = click.File("rb")


def _message_options(function: F) -> F:
    """The options that describe one message."""
    options = (
        click.option("--json-file", type=_File, help="The request as JSON; - is standard input."),
        click.option(
            "--mailbox", metavar="ADDRESS", help="Send from this mailbox.", shell_complete=MAILBOXES
        ),
        click.option("--path", metavar="NAME", help="Send by this path.", shell_complete=PATHS),
        click.option("--workload", metavar="NAME", help="Why it is sent; manual if not given."),
        click.option("--to", multiple=True, metavar="ADDRESS"),
        click.option("--cc", multiple=True, metavar="ADDRESS"),
        click.option("--bcc", multiple=True, metavar="ADDRESS"),
        click.option("--reply-to", metavar="ADDRESS"),
        click.option("--subject"),
        click.option("--text", help="The text of the message."),
        click.option("--text-file", type=_File, help="The text from a UTF-8 file."),
        click.option("--html", help="The HTML of the message."),
        click.option("--html-file", type=_File, help="The HTML from a UTF-8 file."),
        click.option("--header", multiple=True, metavar="NAME:VALUE", help="One more header."),
        click.option("--attach", multiple=True, type=click.Path(path_type=Path, dir_okay=False)),
        click.option("--raw", type=_File, help="A whole RFC 5322 message in place of all that."),
        click.option("--idempotency-key", metavar="KEY", help="The same key is sent once."),
        click.option("--not-before", metavar="TIME", help="Such as 2026-12-01T08:00:00Z."),
        click.option("--expires-in", metavar="DURATION", help="Give up after, such as 2d."),
        click.option("--on-cap", type=click.Choice(["schedule", "reject"])),
        click.option("--metadata", multiple=True, metavar="NAME=VALUE", help="Kept with it."),
    )
    for option in reversed(options):
        function = option(function)
    return function


@click.command(cls=Verb)
@_message_options
@pass_session
def send(session: Session, /, **given: Any) -> int:
    """Hand in a message; the answer says when it goes, and which cap decided."""
    return _submit(session, "/v1/messages", given)


@click.command(cls=Verb)
@_message_options
@pass_session
def preflight(session: Session, /, **given: Any) -> int:
    """Ask what would become of a message, without a trace."""
    return _submit(session, "/v1/preflight", given)


def _submit(session: Session, path: str, given: dict[str, Any]) -> int:
    given = {name: value for name, value in given.items() if value not in (None, ())}
    file = given.pop("json_file", None)
    if file is not None and given:
        raise click.UsageError("--json-file holds the whole request; leave the other options out")
    body = _from_file(file) if file is not None else _from_options(given)
    if session.workspace is not None and "messages" not in body:
        body.setdefault("workspace", session.workspace)
    reply = session.call("POST", path, body)
    results = reply["results"] if "messages" in body else [reply]
    if session.as_json:
        show_json(reply)
    else:
        for result in results:
            _show(result)
    return REFUSED if any("detail" in result for result in results) else 0


def _from_file(file: BinaryIO) -> dict[str, Any]:
    try:
        body = json.load(file)
    except (ValueError, RecursionError) as fault:
        raise Failure(f"the file is not JSON: {fault}") from fault
    if not isinstance(body, dict):
        raise Failure('the file must hold one message, or {"messages": […]}')
    return body


def _from_options(given: dict[str, Any]) -> dict[str, Any]:
    """The request that the options describe; the daemon judges it."""
    for kind in ("text", "html"):
        file = given.pop(f"{kind}_file", None)
        if file is not None and kind in given:
            raise click.UsageError(f"--{kind} or --{kind}-file, not both")
        if file is not None:
            given[kind] = _decoded(file, kind)
    body: dict[str, Any] = {
        name: list(value) if isinstance(value, tuple) else value for name, value in given.items()
    }
    if "raw" in body:
        body["raw"] = _base64(body["raw"].read())
    if "header" in body:
        body["headers"] = _pairs("--header", body.pop("header"), ":")
    if "metadata" in body:
        body["metadata"] = _pairs("--metadata", body["metadata"], "=")
    if "attach" in body:
        body["attachments"] = [_attachment(path) for path in body.pop("attach")]
    return body


def _decoded(file: BinaryIO, kind: str) -> str:
    try:
        return file.read().decode()
    except UnicodeDecodeError as fault:
        raise Failure(f"the {kind} file is not UTF-8") from fault


def _pairs(option: str, given: list[str], mark: str) -> dict[str, str]:
    pairs = {}
    for text in given:
        name, found, value = text.partition(mark)
        if not found:
            raise click.UsageError(f"{option} needs NAME{mark}VALUE")
        if name.strip() in pairs:
            raise click.UsageError(f"{option} {name.strip()} is given twice")
        pairs[name.strip()] = value.strip()
    return pairs


def _attachment(path: Path) -> dict[str, str]:
    from mimetypes import guess_type

    kind, encoding = guess_type(path.name)
    known = kind if kind and not encoding else "application/octet-stream"
    return {"name": path.name, "type": known, "content": _base64(path.read_bytes())}


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _show(result: dict[str, Any]) -> None:
    if "detail" in result:
        complain(spoken(result))
        return
    slot = f", slot {result['slot_at']}" if result["slot_at"] else ""
    say(f"{result['id'] or 'preflight'}: {result['state']} from {result['mailbox']}{slot}")
    decision = result["decision"]
    if decision["scope"] is not None:
        say(
            f"  {decision['verdict']}: {decision['scope']}, "
            f"{decision['remaining']} of {decision['limit']} left in the "
            f"{decision['kind']} {decision['window']}, resets {decision['resets_at'] or '-'}"
        )
    if decision.get("reason"):
        say(f"  {decision['reason']}")
