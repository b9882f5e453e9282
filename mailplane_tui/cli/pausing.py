"""The verbs `pause` and `resume`, the same for every noun that has them."""

from __future__ import annotations

import click

from mailplane_tui.cli.names import Completer
from mailplane_tui.cli.output import say, show_json
from mailplane_tui.cli.session import Noun, Session, part, pass_session


def pause_scope(noun: Noun, collection: str, metavar: str, what: str, names: Completer) -> None:
    """Give a noun the verb `pause`."""

    @noun.command("pause", help=f"Stop new attempts of {what} until it is resumed.")
    @click.argument("name", metavar=metavar, shell_complete=names)
    @click.option("--reason", required=True, help="Why; it is kept in the audit log.")
    @click.option("--until", metavar="TIME", help="Until then, such as 2026-12-01T08:00:00Z.")
    @pass_session
    def pause(session: Session, name: str, reason: str, until: str | None) -> None:
        session.check_home(collection, name)
        body = {"reason": reason} | ({"until": until} if until else {})
        reply = session.call("POST", f"/v1/{collection}/{part(name)}/pause", body)
        if session.as_json:
            show_json(reply)
        else:
            say(f"paused {name}" + (f" until {until}" if until else ""))


def resume_scope(noun: Noun, collection: str, metavar: str, what: str, names: Completer) -> None:
    """Give a noun the verb `resume`."""

    @noun.command("resume", help=f"Lift the pauses of {what}.")
    @click.argument("name", metavar=metavar, shell_complete=names)
    @click.option("--reason", required=True, help="Why; it is kept in the audit log.")
    @click.option("--acknowledge", is_flag=True, help="Lift also what a rule or a provider paused.")
    @pass_session
    def resume(session: Session, name: str, reason: str, *, acknowledge: bool) -> None:
        session.check_home(collection, name)
        body = {"reason": reason, "acknowledge": acknowledge}
        reply = session.call("POST", f"/v1/{collection}/{part(name)}/resume", body)
        if session.as_json:
            show_json(reply)
        else:
            say(f"resumed {name}")
