"""`mailplane up`, `down`, `status`: the daemon as a process. Nothing of it is imported here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import click

from mailplane_tui.cli.output import say, show_facts, show_json
from mailplane_tui.cli.progress import progress
from mailplane_tui.cli.session import (
    NOT_PERMITTED,
    UNREACHABLE,
    Failure,
    Session,
    Verb,
    pass_session,
)

_START_S: Final = 10.0
_STOP_S: Final = 60.0
_LOOK_S: Final = 0.1


@click.command(cls=Verb)
@click.option(
    "--detach", is_flag=True, help="Run it in the background, its log in the state folder."
)
@pass_session
def up(session: Session, *, detach: bool) -> None:
    """Run the daemon."""
    found = session.places()
    # -P: what lies in the folder that one happens to be in must not be imported.
    command = [sys.executable, "-P", "-m", "mailplaned"]
    command += ["--config", str(found.config), "--state", str(found.state)]
    command += ["--socket", str(found.socket)]
    if not detach:
        sys.stdout.flush()
        os.execv(command[0], command)  # noqa: S606 - our own interpreter, no shell
    running = _health(session)
    if running is not None:
        raise Failure(f"a daemon answers at {found.socket} already, pid {running.get('pid')}")
    with progress(session, "waiting until it is ready"):
        pid = _start(session, command, found.state)
    if session.as_json:
        show_json({"pid": pid, "socket": str(found.socket)})
    else:
        say(f"mailplaned runs, pid {pid}, at {found.socket}")


@click.command(cls=Verb)
@pass_session
def down(session: Session) -> None:
    """Stop the daemon; it finishes what is on the wire."""
    pid = session.call("GET", "/v1/health").get("pid")
    if not isinstance(pid, int) or pid <= 1:
        raise Failure("the daemon does not tell its pid")
    try:
        os.kill(pid, signal.SIGTERM)
    except PermissionError as fault:
        raise Failure(f"pid {pid} is not yours to stop", NOT_PERMITTED) from fault
    except ProcessLookupError as fault:
        raise Failure(f"there is no pid {pid} here; does the daemon run elsewhere?") from fault
    with progress(session, "waiting until it has finished what is on the wire"):
        _wait_until_gone(session, pid)
    if session.as_json:
        show_json({"pid": pid})
    else:
        say(f"mailplaned stopped, pid {pid}")


@click.command(cls=Verb)
@pass_session
def status(session: Session) -> None:
    """Show whether the daemon does its work, and the mailboxes by state."""
    health = session.call("GET", "/v1/health")
    states: dict[str, int] = {}
    for workspace in session.items("/v1/workspaces", workspace=session.workspace):
        for state, count in workspace["states"].items():
            states[state] = states.get(state, 0) + count
    if session.as_json:
        show_json({"health": health, "mailboxes": states})
        return
    book = health.get("book") or {}
    show_facts(
        [
            ("status", health["status"]),
            ("version", health["version"]),
            ("pid", health.get("pid")),
            ("started", health.get("started_at")),
            ("book", book.get("hash")),
            ("waiting", health.get("waiting")),
            ("sending", health.get("sending")),
            ("unknown", health.get("unknown")),
            ("mailboxes", [f"{count} {state}" for state, count in states.items() if count]),
        ]
    )
    for finding in health.get("findings", ()):
        say(f"finding: {finding}", "yellow")
    for problem in book.get("problems", ()):
        say(f"book: {problem}", "red")


def _wait_until_gone(session: Session, pid: int) -> None:
    for _ in range(int(_STOP_S / _LOOK_S)):
        if _health(session) is None:
            return
        time.sleep(_LOOK_S)
    raise Failure(f"pid {pid} still answers after {_STOP_S:.0f} s")


def _start(session: Session, command: list[str], state: Path) -> int:
    """Start the daemon in a session of its own; its pid, once it answers."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = state / "mailplaned.log"
    opened = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    begun_at = os.fstat(opened).st_size
    with os.fdopen(opened, "ab") as file:
        child = subprocess.Popen(  # noqa: S603 - our own interpreter, no shell
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
    for _ in range(int(_START_S / _LOOK_S)):
        if child.poll() is not None:
            raise Failure(f"mailplaned ended at once: {_last_line(log, begun_at)}")
        found = _health(session)  # it may be another daemon's, whose place the child has to leave
        if found is not None and found.get("pid", child.pid) == child.pid:
            return child.pid
        time.sleep(_LOOK_S)
    raise Failure(f"mailplaned does not answer after {_START_S:.0f} s; see {log}", UNREACHABLE)


def _health(session: Session) -> dict[str, Any] | None:
    """What a daemon at the socket says of itself; None when none answers."""
    from mailplane_wire.client import DaemonUnreachable, Refused

    try:
        found: dict[str, Any] = session.client(timeout_s=2.0).call("GET", "/v1/health")
    except DaemonUnreachable:
        return None
    except Refused:
        return {}
    return found


def _last_line(log: Path, begun_at: int) -> str:
    with log.open("rb") as file:
        file.seek(begun_at)
        lines = file.read(64 * 1024).decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"it left no word in {log}"
