"""`mailplane audit`: search the log of changes, take it away, and prove that it is whole."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from mailplane_tui.cli.logs import audit, audit_line, show
from mailplane_tui.cli.output import say, show_facts, show_json
from mailplane_tui.cli.progress import Bar, progress
from mailplane_tui.cli.session import REFUSED, Failure, Session, address, pass_session

if TYPE_CHECKING:
    from mailplane_wire.audit.report import Report

_LINE_BYTES: Final = 16 * 2**20
"""No line of an export is longer."""

_STEP: Final = 500
"""Lines between two moves of the bar."""

_KEY: Final = re.compile("[0-9a-f]{64}")
_END: Final = b'{"type":"end"'
_OUTPUT = click.option("--output", "-o", metavar="FILE", help="Write there, not to the screen.")


@audit.command()
@click.argument("text", required=False)
@click.option("--actor", help="Only changes that this one made.")
@click.option("--action", help="Only this kind of change, such as pause.")
@click.option("--since", metavar="TIME", help="Only from this time on (RFC 3339).")
@click.option("--until", metavar="TIME", help="Only before this time (RFC 3339).")
@pass_session
def search(
    session: Session,
    text: str | None,
    actor: str | None,
    action: str | None,
    since: str | None,
    until: str | None,
) -> None:
    """Find entries, oldest first; TEXT is a part of what was changed, such as an address."""
    wanted = {"target": text, "actor": actor, "action": action, "since": since, "until": until}
    for row in session.items("/v1/audit", workspace=session.workspace, **wanted):
        show(session, row, audit_line)


@audit.command()
@_OUTPUT
@pass_session
def export(session: Session, output: str | None) -> None:
    """Write the log as JSON lines that can be verified elsewhere.

    With --workspace only its entries, each with the proof that it is in the log.
    """
    _sign(session)
    _write(session, _read(session, "/v1/audit/export"), output)


@audit.command()
@click.argument("entry", type=click.IntRange(min=1))
@_OUTPUT
@pass_session
def prove(session: Session, entry: int, output: str | None) -> None:
    """Write one entry (its number) with the proof that it is in the log; verify checks it."""
    _sign(session)
    _write(session, _read(session, f"/v1/audit/{entry}/proof"), output)


@audit.command()
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--public-key",
    "keys",
    multiple=True,
    metavar="KEY",
    help="A key that signed it, as `mailplane audit key` showed it; may be given again.",
)
@pass_session
def verify(session: Session, file: str | None, keys: tuple[str, ...]) -> int:
    """Compute the whole log anew and compare; exit code 1 when something is wrong.

    With FILE, an export, no daemon is asked, and --public-key says whose log it has to be.
    """
    from mailplane_wire.audit.verify import verify as check

    for key in keys:
        if not _KEY.fullmatch(key):
            raise click.BadParameter("a key is 64 of 0-9 and a-f", param_hint="--public-key")
    if file is None:
        report = verified(session, keys)
    elif not keys:
        raise click.UsageError("name the --public-key: an export can't vouch for itself")
    else:
        with Path(file).open("rb") as opened:
            read = iter(lambda: opened.readline(_LINE_BYTES), b"")
            with _counted(session, "verifying", read) as lines:
                report = check(lines, keys)
    _tell(session, report)
    return REFUSED if report.findings else 0


@audit.command()
@pass_session
def key(session: Session) -> None:
    """Show the public key; keep it elsewhere, to verify by."""
    found = _key(session)
    if session.as_json:
        show_json(found)
    else:
        say(found["key"])


@audit.command()
@click.argument("address")
@click.option("--reason", required=True, help="Why; it is kept in the audit log.")
@pass_session
def redact(session: Session, address: str, reason: str) -> None:
    """Take every value with ADDRESS in it out of the log; what was done stays provable."""
    session.confirm(f"Take {address} out of the audit log? It can't be put back.")
    body = {"address": address, "reason": reason, "workspace": session.workspace}
    done = session.call_long("redacting", "POST", "/v1/audit/redact", body)
    if session.as_json:
        show_json(done)
    else:
        say(f"{done['values']} values were taken out")


def verified(session: Session, keys: tuple[str, ...] = ()) -> Report:
    """What is to be said of the running daemon's log; without a key its own is believed."""
    from mailplane_wire.audit.verify import verify as check

    known = keys or (_key(session)["key"],)
    with suppress(Failure):  # a disk that is full is no reason not to verify what is signed
        _sign(session)
    with _counted(session, "verifying", _read(session, "/v1/audit/export")) as lines:
        return check(lines, known)


def _key(session: Session) -> dict[str, str]:
    found: dict[str, str] = session.call(
        "GET", address("/v1/audit/key", workspace=session.workspace)
    )
    return found


def _sign(session: Session) -> None:
    """Have what is new covered by a checkpoint."""
    session.call("POST", address("/v1/audit/checkpoints", workspace=session.workspace))


def _read(session: Session, path: str) -> Iterator[bytes]:
    with session.failing():
        yield from session.client().lines(address(path, workspace=session.workspace))


def _write(session: Session, lines: Iterator[bytes], output: str | None) -> None:
    """All lines, to a file that is there only when it is whole, or to standard output."""
    if output is None:
        _print(session, lines)
        return
    part = Path(output + ".part")
    try:
        with (
            open(part, "wb", opener=_open_private) as file,
            _counted(session, "exporting", lines) as counted,
        ):
            line = b""
            for line in counted:
                file.write(line + b"\n")
        entries = _entries(line)
        part.replace(output)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    if session.as_json:
        show_json({"path": str(Path(output).absolute()), "entries": entries})
    else:
        say(f"wrote {entries} entr{'y' if entries == 1 else 'ies'} to {output}")


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _print(session: Session, lines: Iterator[bytes]) -> None:
    line = b""
    if sys.stdout.isatty():
        for line in lines:
            # A terminal gets ASCII only: nothing in the log can steer it.
            show_json(json.loads(line))
    else:
        with _counted(session, "exporting", lines) as counted:
            for line in counted:
                click.echo(line)
    _entries(line)


def _entries(last: bytes) -> int:
    """How many entries an export has, by its last line. Raises Failure when that is not its end."""
    if not last.startswith(_END):
        raise Failure("the export broke off: the daemon is stopping; try again")
    entries: int = json.loads(last)["entries"]
    return entries


@contextmanager
def _counted(session: Session, words: str, lines: Iterator[bytes]) -> Iterator[Iterator[bytes]]:
    """The lines of an export, with a bar; the first of them says how many entries there are."""
    first = next(lines, b"")
    found = re.search(rb'"entries":([0-9]{1,12})', first)
    with progress(session, words, int(found[1]) if found else None) as bar:
        yield _told(first, lines, bar)


def _told(first: bytes, rest: Iterator[bytes], bar: Bar) -> Iterator[bytes]:
    yield first
    for number, line in enumerate(rest, 1):
        yield line
        if number % _STEP == 0:
            bar.advance(_STEP)


def _tell(session: Session, report: Report) -> None:
    import msgspec

    if session.as_json:
        show_json(msgspec.to_builtins(report))
        return
    signed = f"up to entry {report.covered}, {report.covered_at}" if report.covered else "nothing"
    facts = [
        ("holds", _held(report)),
        ("entries", f"{report.entries} ({report.first} to {report.last})"),
        ("signed", signed),
    ]
    if report.redacted:
        facts.append(("redacted", f"{report.redacted} values"))
    if report.dropped:
        facts.append(("dropped", f"entries 1 to {report.dropped}"))
    show_facts(facts)
    for finding in report.findings:
        say(f"wrong: {finding.what}", "red")
    if report.more_findings:
        say(f"wrong: {report.more_findings} things more", "red")
    if not report.findings:
        say("nothing is wrong with it", "green")


def _held(report: Report) -> str:
    match report.holds:
        case "all":
            return f"the whole log {report.origin}"
        case "workspace":
            return f"the entries of {report.workspace} in the log {report.origin}"
        case "entry":
            return f"one entry of the log {report.origin}"
        case _:
            return "nothing"
