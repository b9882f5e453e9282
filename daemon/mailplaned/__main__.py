"""`mailplaned`: the daemon in the foreground."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from mailplane_wire.paths import Places, places
from mailplaned.main import run
from mailplaned.runtime import logs
from mailplaned.runtime.place import Refused

EX_SOFTWARE = 70

_OFFLINE = {
    "verify-backup": ("file", "read a backup from end to end"),
    "restore": ("file", "put a backup into an empty state folder"),
    "check-book": ("folder", "tell every problem of a book"),
    "book-schema": ("name", "the JSON Schema of a file of the book"),
}


def main() -> None:
    """Parse the command line, run, exit with a code of sysexits.h."""
    parser = argparse.ArgumentParser(prog="mailplaned", description="The mailplane daemon.")
    parser.add_argument("--config", help="folder with mailplane.toml and workspaces/")
    parser.add_argument("--state", help="folder for the database, the lock and the secrets")
    parser.add_argument("--socket", help="path of the operator socket")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", help="what to do instead of running")
    for verb, (what, words) in _OFFLINE.items():
        choices = ("mailplane", "workspace") if verb == "book-schema" else None
        verbs.add_parser(verb, help=words).add_argument("what", metavar=what, choices=choices)
    arguments = parser.parse_args()
    os.umask(0o077)
    logs.configure()
    try:
        found = places(arguments.config, arguments.state, arguments.socket)
        if arguments.verb is not None:
            sys.exit(_offline(arguments.verb, arguments.what, found))
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            sys.exit(runner.run(run(found)))
    except Refused as refused:
        sys.stderr.write(f"mailplaned: {refused}\n")
        sys.exit(refused.code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BaseExceptionGroup:
        structlog.get_logger("daemon").exception("a task died; the daemon ends", action="stop")
        sys.exit(EX_SOFTWARE)


def _offline(verb: str, what: str, found: Places) -> int:
    """Work on files without a daemon; the answer is JSON on standard output."""
    from mailplaned import backup
    from mailplaned.book import offline

    answer: object
    if verb == "check-book":
        answer = offline.check(Path(what))
    elif verb == "book-schema":
        answer = offline.json_schema(what)
    elif verb == "restore":
        answer = backup.restore(Path(what), found, _tell)
    else:
        answer = backup.verify(Path(what), _tell)
    sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
    return 0


def _tell(step: str, count: int) -> None:
    """How far it is, for the command line."""
    sys.stderr.write(f"progress {step} {count}\n")


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # not on this platform
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    main()
