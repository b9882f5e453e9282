"""The root of the command line: finds the verb, and turns every end into an exit code.

0 done, 1 refused or failed, 2 wrong usage, 3 daemon not reachable, 4 not permitted.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import Final

import click

from mailplane_tui.cli.output import complain
from mailplane_tui.cli.session import Failure, Session, common_flags, pass_session

VERBS: Final = {
    "init": "setup",
    "up": "daemon",
    "down": "daemon",
    "status": "daemon",
    "demo": "demo",
    "send": "send",
    "preflight": "send",
    "message": "message",
    "mailbox": "mailbox",
    "workspace": "workspace",
    "domain": "listing",
    "account": "listing",
    "path": "listing",
    "pause": "pause",
    "suppression": "suppression",
    "event": "logs",
    "audit": "audit",
    "ledger": "ledger",
    "clock": "clock",
    "book": "book",
    "people": "people",
    "token": "token",
    "secret": "secret",
    "backup": "backup",
    "doctor": "doctor",
    "completion": "completion",
}
"""Each verb or noun and the file it is in; a file is imported when it is needed."""

_USAGE: Final = 2


class Root(click.Group):
    """`mailplane` itself: it imports a verb only when that verb is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs in the order of `VERBS`."""
        del ctx
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb of that name."""
        del ctx
        if cmd_name not in VERBS:
            return None
        module = import_module(f"mailplane_tui.cli.{VERBS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
        return command


@click.group(
    cls=Root,
    params=common_flags(),
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="mailplane", message="mailplane %(version)s")
@pass_session
@click.pass_context
def root(context: click.Context, session: Session) -> int | None:
    """Send mail within its caps, and see it live. Without a verb: the dashboard."""
    if context.invoked_subcommand is not None:
        return None
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("the dashboard needs a terminal; name a verb instead")
    from mailplane_tui.app import run

    return run(session.places(), workspace=session.workspace)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; the exit code."""
    if "_MAILPLANE_COMPLETE" in os.environ:  # a shell asks; it ends in `root.main`
        import_module("mailplane_tui.cli.completion")
    session = Session()
    if isinstance(sys.stdout, TextIOWrapper):  # names from outside, at a terminal of any encoding
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = root.main(arguments, "mailplane", standalone_mode=False, obj=session)
    except click.UsageError as fault:
        command = fault.ctx.command_path if fault.ctx else "mailplane"
        complain(f"{fault.format_message().rstrip('.')} (see {command} --help)")
        return _USAGE
    except Failure as fault:
        return _failed(session, fault)
    except click.ClickException as fault:
        return _failed(session, Failure(fault.format_message(), fault.exit_code))
    except UnicodeEncodeError:
        return _failed(session, Failure("what was typed is not UTF-8 text"))
    except click.Abort:
        return _failed(session, Failure("stopped"))
    except OSError as fault:
        said = f"{fault.filename}: {fault.strerror}" if fault.filename else str(fault.strerror)
        return _failed(session, Failure(said))
    except Exception as fault:  # noqa: BLE001 - a person gets a line, never a traceback
        said = f"a fault in mailplane: {type(fault).__name__}; please report it"
        return _failed(session, Failure(said))
    return code if isinstance(code, int) else 0


def _failed(session: Session, fault: Failure) -> int:
    """Say why on one line, with `--json` as a problem (RFC 9457); the exit code."""
    if session.as_json:
        unnamed = {"type": "about:blank", "title": "Failed", "detail": fault.message}
        click.echo(json.dumps(fault.problem or unnamed), err=True)
    else:
        complain(fault.message)
    return fault.code
