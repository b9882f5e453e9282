"""`mailplane doctor`: looks the whole set-up over, with a fix for each finding."""

from __future__ import annotations

import stat
from typing import Any, Final

import click

from mailplane_tui.cli.output import Colour, say, show_json
from mailplane_tui.cli.session import NOT_PERMITTED, REFUSED, Failure, Session, Verb, pass_session

_MARKS: Final[dict[str, tuple[str, Colour | None]]] = {
    "ok": ("ok     ", None),
    "warning": ("WARNING", "yellow"),
    "fault": ("FAULT  ", "red"),
}


@click.command(cls=Verb)
@pass_session
def doctor(session: Session) -> int:
    """Check folders, keys, clock, disk, book, secrets, DNS, the audit log and each account."""
    found = _reached(session)
    if found[-1]["status"] == "ok":
        found += session.call_long("trying every account", "GET", "/v1/doctor")["items"]
        found.append(_audit_log(session))
    faults = sum(check["status"] == "fault" for check in found)
    if session.as_json:
        show_json({"items": found, "next": None})
        return REFUSED if faults else 0
    for check in found:
        mark, colour = _MARKS[check["status"]]
        say(f"{mark}  {check['check']}: {check['detail']}", colour)
        if check["fix"]:
            say(f"         do: {check['fix']}")
    warnings = sum(check["status"] == "warning" for check in found)
    say(f"{len(found)} checks, {faults} faults, {warnings} warnings")
    return REFUSED if faults else 0


def _reached(session: Session) -> list[dict[str, Any]]:
    """Whether the daemon can be reached at all; nothing else can be asked without it."""
    places = session.places()
    try:
        health = session.call("GET", "/v1/health")
    except Failure as fault:
        if fault.code == NOT_PERMITTED:
            fix = "ask an owner for a [[member]] entry in the book, and for the socket's group"
        elif not places.state.is_dir():
            fix = "mailplane init, then mailplane up"
        elif not places.socket.exists():
            fix = "mailplane up"
        elif not stat.S_ISSOCK(places.socket.lstat().st_mode):
            fix = f"move {places.socket} away, then mailplane up"
        else:
            fix = "mailplane up"
        return [_check("daemon", "fault", fault.message, fix)]
    return [_check("daemon", "ok", f"pid {health.get('pid')}, version {health['version']}", None)]


def _audit_log(session: Session) -> dict[str, Any]:
    """Whether the log is whole, computed anew from its first entry."""
    from mailplane_tui.cli.audit import verified

    try:
        report = verified(session)
    except Failure as fault:
        if fault.code != NOT_PERMITTED:
            raise
        return _check("audit log", "warning", fault.message, "ask an auditor to run this")
    if not report.findings:
        said = f"{report.entries} entries, signed up to {report.covered}"
        return _check("audit log", "ok", said, None)
    more = len(report.findings) + report.more_findings - 1
    said = report.findings[0].what + (f"; and {more} things more" if more else "")
    return _check("audit log", "fault", said, "mailplane audit verify; keep the state folder as is")


def _check(check: str, status: str, detail: str, fix: str | None) -> dict[str, Any]:
    return {"check": check, "status": status, "detail": detail, "fix": fix}
